"""The sink on the wire: the Collector's answers to what is wrong, and misbehaviour on request."""

from __future__ import annotations

import gzip
import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from loadgen.errors import InputError
from loadgen.sink import Faults, Sink, SinkSettings, serve_sink
from loadgen.sink.inflate import inflate

PROTOBUF = {"Content-Type": "application/x-protobuf"}
OK = (200, b"\n\x00")
LIMIT_BYTES = 20 << 20

_request = ExportTraceServiceRequest()
_scope = _request.resource_spans.add().scope_spans.add()
for _n in range(3):
    _scope.spans.add(trace_id=b"t" * 16, span_id=bytes([1] * 7 + [_n]), name="work")
BODY = _request.SerializeToString()


@pytest.fixture(name="sink", scope="module")
def _sink() -> Iterator[Sink]:
    with serve_sink(SinkSettings(port=0)) as sink:
        yield sink


def _open(sink: Sink) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(sink.url.removeprefix("http://"), timeout=20)


def _ask(
    sink: Sink, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, bytes, dict[str, str]]:
    with closing(_open(sink)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def _post(sink: Sink, body: bytes = BODY, **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return _ask(sink, "POST", "/v1/traces", body, PROTOBUF | named)[:2]


def _raw(sink: Sink, sent: bytes) -> bytes:
    """What comes back for these bytes until the sink closes the connection."""
    host, port = sink.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize("content_type", ["application/x-protobuf", "application/x-protobuf; charset=x"])
def test_taken(sink: Sink, content_type: str) -> None:
    """A good request gets 200 and a partial success that is present but empty."""
    before = sink.tally.accepted

    answer = _post(sink, Content_Type=content_type)

    assert (answer, sink.tally.accepted - before) == (OK, 3)


def test_request_without_spans(sink: Sink) -> None:
    """No body, and a body without spans, are fine."""
    assert [_post(sink, b""), _post(sink, b"\n\x00")] == [OK, OK]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "text"),
    [
        ("GET", "/v1/traces", {}, 405, b"405 method not allowed, supported: [POST]"),
        ("PUT", "/v1/traces", PROTOBUF, 405, b"405 method not allowed, supported: [POST]"),
        ("POST", "/v1/traces", {"Content-Type": "text/plain"}, 415, b"415 unsupported media type"),
        ("POST", "/v1/traces", {"Content-Type": "application/json"}, 415, b"415 unsupported media type"),
        ("POST", "/v1/metrics", PROTOBUF, 404, b"404 page not found"),
        ("GET", "/", {}, 404, b"404 page not found"),
        ("POST", "/ready", {}, 405, b"405 method not allowed, supported: [GET]"),
        ("GET", "/honua/flush", {}, 405, b"405 method not allowed, supported: [POST]"),
    ],
)
def test_wrong_address(sink: Sink, method: str, path: str, headers: dict[str, str], status: int, text: bytes) -> None:
    """Wrong methods, paths and content types get the Collector's codes and words, and count nothing."""
    before = sink.tally

    found, body, _ = _ask(sink, method, path, BODY, headers)

    assert (found, body[: len(text)], sink.tally) == (status, text, before)


def _with_ids(trace_bytes: int, span_bytes: int) -> bytes:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * trace_bytes, span_id=b"s" * span_bytes)
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xff\xff", {}),
        (BODY[:-1], {}),
        (b"{}", {}),
        (_with_ids(15, 8), {}),
        (_with_ids(16, 0), {}),
        (BODY, {"Content_Encoding": "gzip"}),
        (gzip.compress(BODY)[:-1], {"Content_Encoding": "gzip"}),
        (gzip.compress(b"\xff\xff"), {"Content_Encoding": "gzip"}),
        (BODY, {"Content_Encoding": "zstd"}),
        (bytes(LIMIT_BYTES + 1), {}),
        (gzip.compress(bytes(LIMIT_BYTES + 1), 1), {"Content_Encoding": "gzip"}),
    ],
    ids=lambda parameter: f"{len(parameter)}",
)
def test_bad_body(sink: Sink, body: bytes, headers: dict[str, str]) -> None:
    """A body that is no request, has ids of a wrong length, or is too large, gets 400 with a status message."""
    before = sink.tally

    status, answer = _post(sink, body, **headers)

    found = Status.FromString(answer)
    assert (status, found.code, bool(found.message), sink.tally) == (400, 3, True, before)


def test_connection_survives_refusals(sink: Sink) -> None:
    """After each refusal the same connection takes the next request."""
    wrong = (("GET", BODY, PROTOBUF), ("POST", b"\xff", PROTOBUF), ("POST", BODY, {"Content-Type": "x/y"}))
    statuses = []
    with closing(_open(sink)) as connection:
        for method, body, headers in (*wrong, ("POST", BODY, PROTOBUF)):
            connection.request(method, "/v1/traces", body, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
            same = connection.sock is not None

    assert (statuses, same) == ([405, 400, 415, 200], True)


def test_length_is_required(sink: Sink) -> None:
    """A body of unannounced length gets 411 and the connection is closed."""
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"

    none = _raw(sink, head + b"Connection: close\r\n\r\n")
    chunked = _raw(sink, head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    nonsense = _raw(sink, head + b"Content-Length: -5\r\nConnection: close\r\n\r\n")

    assert [answer.split(b"\r\n", 1)[0] for answer in (none, chunked, nonsense)] == [
        b"HTTP/1.1 411 Length Required"
    ] * 3
    assert b"\r\nConnection: close\r\n" in chunked


def test_sender_that_leaves_halfway(sink: Sink) -> None:
    """A body that ends early is not taken and gets no answer; the sink goes on."""
    before = sink.tally
    head = f"POST /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: {len(BODY)}"

    answer = _raw(sink, head.encode() + b"\r\n\r\n" + BODY[:-1])

    assert (answer, sink.tally) == (b"", before)
    assert _post(sink) == OK


def test_inflate_takes_several_members() -> None:
    """A gzip body may consist of several members; the limit is on their sum."""
    body = gzip.compress(b"ab") + gzip.compress(b"cd")

    assert inflate(body, "gzip", 4) == b"abcd"
    with pytest.raises(InputError, match="too large"):
        inflate(body, "gzip", 3)


def test_inflate_stops_at_the_limit() -> None:
    """A bomb is not inflated beyond the limit."""
    bomb = gzip.compress(bytes(200 << 20), 1)

    start_s = time.process_time()
    with pytest.raises(InputError, match="too large"):
        inflate(bomb, "gzip", 1000)

    assert time.process_time() - start_s < 0.1


def _faulty(faults: Faults, requests: int = 4) -> tuple[list[tuple[int, bytes, dict[str, str]] | None], int]:
    """Answers to some requests, None where the connection was closed, and the spans taken."""
    answers: list[tuple[int, bytes, dict[str, str]] | None] = []
    with serve_sink(SinkSettings(port=0), faults) as sink:
        for _ in range(requests):
            try:
                answers.append(_ask(sink, "POST", "/v1/traces", BODY, PROTOBUF))
            except http.client.RemoteDisconnected:
                answers.append(None)
        return answers, sink.tally.accepted


def test_fault_status_with_retry_after() -> None:
    """Every second request is refused with the status asked for and Retry-After, and not taken."""
    answers, accepted = _faulty(Faults(every=2, status=503, retry_after_s=1.5))

    assert [answer[0] for answer in answers if answer] == [200, 503, 200, 503]
    assert [answer[2].get("Retry-After") for answer in answers if answer] == [None, "1.5", None, "1.5"]
    assert accepted == 6


@pytest.mark.parametrize(("drop", "accepted"), [("before", 6), ("after", 12)])
def test_fault_dropped_connection(drop: str, accepted: int) -> None:
    """A connection is closed without an answer, before or after the request was taken."""
    answers, taken = _faulty(Faults(every=2, drop=drop))  # type: ignore[arg-type]

    assert ([answer is None for answer in answers], taken) == ([False, True, False, True], accepted)


def test_fault_garbage() -> None:
    """The request is taken and the answer is 200 with a body that does not decode."""
    answers, accepted = _faulty(Faults(garbage=True), 1)

    assert (accepted, [answer[0] for answer in answers if answer]) == (3, [200])
    with pytest.raises(Exception, match="pars"):
        ExportTraceServiceResponse.FromString(answers[0][1] if answers[0] else b"")


def test_fault_partial_success() -> None:
    """The answer says how many spans were rejected, and why."""
    answers, _ = _faulty(Faults(rejected_spans=2), 1)

    partial = ExportTraceServiceResponse.FromString(answers[0][1] if answers[0] else b"").partial_success
    assert (partial.rejected_spans, partial.error_message) == (2, "rejected on request")


def test_fault_delay() -> None:
    """An affected request waits."""
    start_s = time.monotonic()

    answers, _ = _faulty(Faults(delay_s=0.2), 1)

    assert time.monotonic() - start_s >= 0.2
    assert [answer[:2] for answer in answers if answer] == [OK]


def test_no_faults_every_0() -> None:
    """With ``every`` 0 nothing is affected."""
    answers, accepted = _faulty(Faults(every=0, status=500))

    assert ([answer[0] for answer in answers if answer], accepted) == ([200] * 4, 12)
