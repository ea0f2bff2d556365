"""One request out, one outcome back: every answer that a target may give, and those it should not."""

from __future__ import annotations

import gzip
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from loadgen.otlp import compile_pieces, encode, for_run, lay_out
from loadgen.synth import compile_topology, draw
from loadgen.topology import load_topology
from loadgen.transport import Endpoint, HttpSender, Outcome, RetryPolicy

# --- a target that says what it is told ------------------------------------------------------------------------------

Reply = bytes | None | Callable[[socket.socket], None]
OK_BODY = b"\x0a\x00"


def reply(status: int = 200, body: bytes = OK_BODY, *headers: str, reason: str = "") -> bytes:
    """A whole HTTP/1.1 answer."""
    lines = [f"HTTP/1.1 {status} {reason}".rstrip(), f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


OK = reply()


@dataclass
class Target:
    """A server on a port of its own; its n-th request gets the n-th reply, the last one for ever.

    A reply is the bytes to answer with, None to close without a word, or a function of the socket.
    """

    replies: list[Reply]
    requests: list[tuple[int, Message, bytes]] = field(default_factory=list)
    connections: int = 0
    answer: Callable[[socket.socket, bytes], None] | None = None  # what to do instead

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        """End everything; the port is free again."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while line := stream.readline():
                    if line != b"POST /v1/traces HTTP/1.1\r\n":
                        return
                    head = BytesParser().parsebytes(b"".join(iter(stream.readline, b"\r\n")))
                    body = stream.read(int(head["Content-Length"]))
                    if self.answer is not None:
                        self.answer(connection, body)
                        continue
                    answer = self._next(number, head, body)
                    if answer is None:
                        return
                    if callable(answer):
                        answer(connection)
                    else:
                        connection.sendall(answer)
            except OSError:
                return

    def _next(self, number: int, head: Message, body: bytes) -> Reply:
        with self._lock:
            self.requests.append((number, head, body))
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


Serve = Callable[..., Target]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts targets that end with the test."""
    targets: list[Target] = []

    def start(*replies: Reply) -> Target:
        targets.append(Target(list(replies) or [OK]))
        return targets[-1]

    yield start
    for target in targets:
        target.close()


class Patient(list[float]):
    """Remembers what it was to sleep, and does not."""

    def __call__(self, wait_s: float) -> None:
        """Sleep."""
        self.append(wait_s)


Connect = Callable[..., HttpSender]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes senders that do not really sleep, and are closed with the test."""
    senders: list[HttpSender] = []

    def sender(target: Target | int, **options: Any) -> HttpSender:
        port = target if isinstance(target, int) else target.port
        endpoint = Endpoint("http", "127.0.0.1", port, "/v1/traces")
        senders.append(HttpSender(endpoint, **{"timeout_s": 5.0, "sleep": Patient(), **options}))
        return senders[-1]

    yield sender
    for each in senders:
        each.close()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


# --- answers ---------------------------------------------------------------------------------------------------------


def partly(rejected: int, message: str = "") -> bytes:
    """A partial success."""
    success = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return ExportTraceServiceResponse(partial_success=success).SerializeToString()


# What the Collector and Tempo answer over HTTP (OpenTelemetry Collector v0.161.0 source, otlpreceiver), and neighbours.
ANSWERS = [
    ("accepted: an empty but present partial success", reply(200, OK_BODY), Outcome("accepted")),
    ("accepted: an empty body", reply(200, b""), Outcome("accepted")),
    ("accepted elsewhere", reply(202, b""), Outcome("accepted")),
    ("accepted without content", reply(204, b""), Outcome("accepted")),
    ("partly rejected", reply(200, partly(7, "no")), Outcome("accepted", "partial success", 7)),
    ("a warning: nothing is rejected", reply(200, partly(0, "slow down")), Outcome("accepted")),
    ("memory limit, full queue", reply(503), Outcome("refused", "HTTP 503", attempts=4)),
    ("resource exhausted", reply(429), Outcome("refused", "HTTP 429", attempts=4)),
    ("bad gateway", reply(502), Outcome("refused", "HTTP 502", attempts=4)),
    ("gateway timed out", reply(504), Outcome("refused", "HTTP 504", attempts=4)),
    ("invalid argument, or over 20 MiB", reply(400), Outcome("rejected", "HTTP 400")),
    ("bad content type", reply(415), Outcome("rejected", "HTTP 415")),
    ("wrong method", reply(405), Outcome("rejected", "HTTP 405")),
    ("permanent error", reply(500), Outcome("rejected", "HTTP 500")),
    ("no such path", reply(404), Outcome("rejected", "HTTP 404")),
    ("not authorized", reply(401), Outcome("rejected", "HTTP 401")),
    ("too large", reply(413), Outcome("rejected", "HTTP 413")),
    ("moved: never followed", reply(301, b"", "Location: /elsewhere"), Outcome("rejected", "HTTP 301")),
    ("no answer", None, Outcome("unknown", "no answer: RemoteDisconnected")),
    ("no HTTP", b"hello\r\n\r\n", Outcome("unknown", "no answer: BadStatusLine")),
    ("a body cut short", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x0a", None),
    ("an answer that is no OTLP", reply(200, b"<html>fine</html>"), None),
    ("JSON to a protobuf request", reply(200, b'{"partialSuccess":{}}'), None),
    ("a partial success cut short", reply(200, partly(7, "no")[:-2]), None),
    ("an informal answer, which none follows", b"HTTP/1.1 103 Early Hints\r\n\r\n", None),
    ("rejected beyond counting", reply(200, partly(2**62)), Outcome("accepted", "partial success", 2**62)),
    ("less than nothing rejected", reply(200, partly(-5)), Outcome("accepted")),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "outcome"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS])
def test_every_answer_is_one_of_the_ledgers_outcomes(
    serve: Serve, answer: Reply, outcome: Outcome | None, connect: Connect
) -> None:
    """What the target says decides what is counted; where it says nothing that can be read, it is unknown."""

    def said(connection: socket.socket) -> None:
        connection.sendall(answer)  # type: ignore[arg-type]
        connection.shutdown(socket.SHUT_WR)

    found = connect(serve(said if isinstance(answer, bytes) and outcome is None else answer)).send(b"body")
    assert found == outcome if outcome is not None else found.state == "unknown"
    assert (found.attempts, found.rejected_spans) == (outcome.attempts, outcome.rejected_spans) if outcome else (1, 0)


def test_an_answer_may_come_in_chunks_and_after_a_continue(serve: Serve, connect: Connect) -> None:
    """Ways of HTTP that other servers take."""
    chunked = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x0a\x00\r\n0\r\n\r\n"
    )
    target = serve(chunked, OK)
    made = connect(target)
    assert [made.send(b"1"), made.send(b"2")] == [Outcome("accepted")] * 2
    assert target.connections == 1


def test_a_huge_answer_is_not_read_to_its_end(serve: Serve, connect: Connect) -> None:
    """An answer past a mebibyte is nobody's; the connection is not used again."""
    target = serve(reply(200, bytes(5 << 20)), OK)
    made = connect(target)
    assert made.send(b"1").state == "unknown"
    assert made.send(b"2") == Outcome("accepted")
    assert target.connections == 2


def test_endless_headers_are_no_answer(serve: Serve, connect: Connect) -> None:
    """A target that never comes to the point is given up."""
    made = connect(
        serve(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000)
    )
    assert [made.send(b"1").state, made.send(b"2").state] == ["unknown", "unknown"]


# --- retries -----------------------------------------------------------------------------------------------------


def test_a_refused_request_is_sent_again_and_stays_one(serve: Serve, connect: Connect) -> None:
    """The same body again, and one outcome that counts the sends."""
    target = serve(reply(503), reply(429), OK)
    assert connect(target).send(b"body") == Outcome("accepted", attempts=3)
    assert [body for _, _, body in target.requests] == [b"body"] * 3


def test_a_retry_may_end_in_another_outcome(serve: Serve, connect: Connect) -> None:
    """Only a refusal is tried again; what comes then is final."""
    assert connect(serve(reply(503), reply(400))).send(b"x") == Outcome("rejected", "HTTP 400", attempts=2)
    assert connect(serve(reply(503), None)).send(b"x") == Outcome(
        "unknown", "no answer: RemoteDisconnected", attempts=2
    )


def test_nothing_is_sent_twice_after_a_broken_connection(serve: Serve, connect: Connect) -> None:
    """It may have arrived: another copy could be stored beside it."""
    target = serve(None)
    assert connect(target).send(b"body").attempts == 1
    assert len(target.requests) == 1


def test_a_target_that_is_down_refuses_after_retries(connect: Connect) -> None:
    """Nothing was sent, so nothing can have arrived."""
    made = connect(free_port())
    assert made.send(b"body") == Outcome("refused", "no connection: ConnectionRefusedError", attempts=4)
    assert made.sleep == pytest.approx([0.075, 0.15, 0.3], rel=0.34)


def test_a_target_that_comes_up_is_found(serve: Serve, connect: Connect) -> None:
    """A refused connection leaves nothing behind that a later one would meet."""
    made = connect(free_port(), retry=RetryPolicy(attempts=1))
    assert made.send(b"1").state == "refused"
    made.endpoint = Endpoint("http", "127.0.0.1", serve().port, "/v1/traces")
    assert made.send(b"2") == Outcome("accepted")


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("3", [3.0, 3.0, 3.0]),
        # never sooner than the backoff, which spreads the senders
        ("0", [0.05, 0.1, 0.2]),
        # what cannot be read is as if it were not there
        ("soon", [0.05, 0.1, 0.2]),
        ("-1", [0.05, 0.1, 0.2]),
        ("\u00b2", [0.05, 0.1, 0.2]),
        ("Fri, 31 Dec 1999 23:59:59 GMT", [0.05, 0.1, 0.2]),
        # two of five seconds fit in the budget of ten
        ("5", [5.0, 5.0]),
        # to come back sooner than asked would not help: the request ends
        ("60", []),
        ("9" * 400, []),
    ],
)
def test_retry_after_is_obeyed_within_the_budget(
    serve: Serve, header: str, waits: list[float], connect: Connect
) -> None:
    """The target knows best when it will be ready; the request's budget bounds how long that is worth waiting for."""
    target = serve(reply(503, b"", f"Retry-After: {header}"))
    made = connect(target, uniform=lambda: 0.0)
    assert made.send(b"body") == Outcome("refused", "HTTP 503", attempts=1 + len(waits))
    assert made.sleep == pytest.approx(waits)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 12), st.floats(0.01, 3), st.floats(0.01, 60), st.floats(0, 60))
def test_waits_are_jittered_and_bounded(
    luck: float, attempts: int, initial_s: float, longest_s: float, budget_s: float
) -> None:
    """Each wait is half to all of a doubling backoff; no wait, no number of sends and no sum passes its bound."""
    policy = RetryPolicy(attempts, initial_s, longest_s, budget_s)
    waits: list[float] = []
    while (wait_s := policy.wait_s(len(waits) + 1, sum(waits), None, lambda: luck)) is not None:
        full_s = min(initial_s * 2 ** len(waits), longest_s)
        assert full_s / 2 <= wait_s <= full_s
        waits.append(wait_s)
    assert len(waits) < attempts
    assert sum(waits) <= budget_s


@given(st.floats(0, 1000), st.integers(1, 3))
def test_an_asked_wait_is_the_least(asked_s: float, attempt: int) -> None:
    """A target's wish is met or the request ends."""
    wait_s = RetryPolicy().wait_s(attempt, 0.0, asked_s, random.random)
    assert (wait_s is None) == (asked_s > 5.0)
    assert wait_s is None or wait_s >= asked_s


# --- connections ---------------------------------------------------------------------------------------------------


def test_a_connection_is_used_again(serve: Serve, connect: Connect) -> None:
    """Ten requests, one connection; and after a close another one."""
    target = serve()
    made = connect(target)
    assert [made.send(b"x").state for _ in range(10)] == ["accepted"] * 10
    assert target.connections == 1
    made.close()
    made.close()
    assert made.send(b"x").state == "accepted"
    assert target.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, OK_BODY, "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n\x0a\x00",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\x0a\x00",
    ],
)
def test_a_server_that_closes_gets_a_new_connection(serve: Serve, answer: bytes, connect: Connect) -> None:
    """A server that says that it closes loses no request."""

    def last(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    target = serve(last)
    made = connect(target)
    assert [made.send(b"x") for _ in range(3)] == [Outcome("accepted")] * 3
    assert target.connections == 3


def test_a_connection_that_ended_while_idle_is_noticed(serve: Serve, connect: Connect) -> None:
    """A server that closes between requests without saying so is met before the next one is written, not after."""
    ended = threading.Event()

    def last(connection: socket.socket) -> None:
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)
        ended.set()

    target = serve(last, OK)
    made = connect(target)
    assert made.send(b"1") == Outcome("accepted")
    assert ended.wait(5)
    time.sleep(0.02)
    assert made.send(b"2") == Outcome("accepted")
    assert target.connections == 2


def test_an_answer_nobody_asked_for_is_nobodys(serve: Serve, connect: Connect) -> None:
    """What a server says between requests is not taken for the answer to the next one."""
    said = threading.Event()

    def twice(connection: socket.socket) -> None:
        connection.sendall(OK)
        connection.sendall(reply(400))
        said.set()

    made = connect(serve(twice, OK))
    assert made.send(b"1") == Outcome("accepted")
    assert said.wait(5)
    time.sleep(0.02)
    assert made.send(b"2") == Outcome("accepted")


def test_a_long_idle_connection_is_opened_anew(serve: Serve, connect: Connect) -> None:
    """Past ten seconds a server may be about to close: the request does not try its luck."""
    now_s = [100.0]
    target = serve()
    made = connect(target, clock=lambda: now_s[0])
    connections = []
    for idle_s in (0, 9.9, 10.1, 9.9):
        now_s[0] += idle_s
        assert made.send(b"x").state == "accepted"
        connections.append(target.connections)
    assert connections == [1, 1, 2, 2]


def test_a_slow_target_is_unknown_after_the_time_out(serve: Serve, connect: Connect) -> None:
    """No answer in time: the request may have arrived; the next one goes on a connection of its own."""
    hold = threading.Event()
    target = serve(lambda _: hold.wait(5) and None, OK)
    made = connect(target)
    made.timeout_s = 0.1
    assert made.send(b"1") == Outcome("unknown", "no answer: TimeoutError")
    hold.set()
    assert made.send(b"2") == Outcome("accepted")
    assert target.connections == 2


def test_a_send_that_is_stopped_leaves_no_half_used_connection(serve: Serve, connect: Connect) -> None:
    """An interrupt in mid-request goes through, and what the target then says is met by nobody."""
    ticks = iter([0.0, 1.0])

    def clock() -> float:
        now_s = next(ticks, None)
        if now_s is None:
            raise KeyboardInterrupt
        return now_s

    target = serve()
    made = connect(target, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        made.send(b"1")
    made.clock = time.monotonic
    assert made.send(b"2") == Outcome("accepted")
    assert target.connections == 2


def test_tls_to_a_plain_server_is_no_connection(serve: Serve) -> None:
    """The wrong scheme is counted as a target that cannot be reached."""
    made = HttpSender(Endpoint("https", "127.0.0.1", serve().port, "/v1/traces"), timeout_s=0.2, sleep=lambda _: None)
    found = made.send(b"x")
    assert (found.state, found.cause.split(":")[0], found.attempts) == ("refused", "no connection", 4)


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_requests_say_what_they_are(serve: Serve, connect: Connect) -> None:
    """Type, length, and the user's own headers; the body as it is."""
    target = serve()
    body = bytes(range(256)) * 100
    assert connect(target, headers={"Authorization": "Bearer x"}).send(bytearray(body)).state == "accepted"
    _, head, sent = target.requests[0]
    assert sent == body
    names = ("Content-Type", "Content-Length", "Content-Encoding", "Authorization", "Host")
    assert [head[name] for name in names] == [
        "application/x-protobuf", "25600", None, "Bearer x", f"127.0.0.1:{target.port}",
    ]  # fmt: skip


def test_a_compressed_body_is_the_body(serve: Serve, connect: Connect) -> None:
    """gzip, said in its header, once for all attempts."""
    target = serve(reply(503), OK)
    body = b"span " * 10_000
    assert connect(target, gzip=True).send(body) == Outcome("accepted", attempts=2)
    for _, head, sent in target.requests:
        assert head["Content-Encoding"] == "gzip"
        assert len(sent) < len(body) / 20
        assert gzip.decompress(sent) == body


def test_proxies_of_the_environment_are_not_asked(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    """Load goes where it is told to go."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert connect(serve()).send(b"x") == Outcome("accepted")


def test_a_senders_text_holds_no_secret(connect: Connect) -> None:
    """What is logged of a sender does not show its headers."""
    assert "secret" not in repr(connect(1, headers={"Authorization": "secret"}))


# --- many at once ------------------------------------------------------------------------------------------------


def spans_of(body: bytes) -> list[bytes]:
    """Ids of the spans in a request, as protobuf reads them."""
    request = ExportTraceServiceRequest.FromString(body)
    return [span.span_id for r in request.resource_spans for s in r.scope_spans for span in s.spans]


class Moody:
    """Takes its time, refuses every third request, and keeps what it accepted."""

    def __init__(self) -> None:
        self.count = 0
        self.accepted: list[bytes] = []
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket, body: bytes) -> None:
        """Answer one request."""
        with self._lock:
            self.count += 1
            refuses = self.count % 3 == 0
            if not refuses:
                self.accepted.append(body)
        time.sleep(0.002)
        connection.sendall(reply(503, b"", "Retry-After: 0") if refuses else OK)


def bodies(requests: int) -> tuple[list[bytes], list[str]]:
    """Requests of a real topology, and the ids of all their spans."""
    program = compile_topology(load_topology("checkout"))
    batch = draw(program, 1, "run", 0, np.arange(requests * 2) * 10**6 + 10**18)
    layout = lay_out(for_run(compile_pieces(program), 1, "run"), batch, batch.first_span[::2])
    return [bytes(encode(layout, i)) for i in range(requests)], [f"{number:016x}" for number in batch.span_ids.tolist()]


def test_a_slow_sink_at_concurrency_8_gets_every_span_once(serve: Serve, connect: Connect) -> None:
    """Eight senders, a slow target that refuses a third: every body decodes, every span is accepted exactly once."""
    moody = Moody()
    target = serve(OK)
    target.answer = moody
    work, span_ids = bodies(160)
    outcomes: list[Outcome] = []

    def work_off(own: Sequence[bytes]) -> None:
        made = connect(target, retry=RetryPolicy(attempts=20, initial_s=0.001), sleep=time.sleep)
        outcomes.extend(made.send(body) for body in own)
        made.close()

    threads = [threading.Thread(target=work_off, args=(work[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    arrived = Counter(span.hex() for body in moody.accepted for span in spans_of(body))
    assert Counter(outcome.state for outcome in outcomes) == {"accepted": 160}
    assert sum(outcome.attempts for outcome in outcomes) == moody.count > 160
    assert arrived == Counter(span_ids)
    assert target.connections == 8
