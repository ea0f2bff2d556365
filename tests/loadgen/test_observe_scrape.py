"""Fetching a page from servers that behave in every wrong way, and counters that restart."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import InputError, RemoteError
from loadgen.measure.http import fetch, headers_from, parse_address
from loadgen.measure.scrape import SystemClock, fetch_page, increase, restarts

OK = b"HTTP/1.1 200 OK\r\n"
Serve = Callable[[Callable[[socket.socket, bytes], None]], str]


@pytest.fixture(name="serve")
def _serve() -> Iterator[Serve]:
    """``serve(answer)`` gives the URL of a server that calls ``answer(connection, request)`` once."""
    with ExitStack() as stack:

        def start(answer: Callable[[socket.socket, bytes], None]) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.settimeout(10)

            def run() -> None:
                with suppress(OSError), listener.accept()[0] as connection:
                    connection.settimeout(10)
                    answer(connection, connection.recv(65536))

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start


def seen_at(url: str, timeout_s: float = 5.0, limit_bytes: int = 10**6) -> str:
    with pytest.raises(RemoteError) as caught:
        fetch(parse_address(url), {}, timeout_s, limit_bytes)
    assert caught.value.place.startswith(url)
    return caught.value.seen


def drip(connection: socket.socket, first: bytes) -> None:
    connection.sendall(first)
    while True:
        connection.sendall(b"a")
        time.sleep(0.02)


def test_page_is_fetched_with_its_headers(serve: Serve) -> None:
    """The request carries what the environment adds; the page comes back parsed."""
    requests = []

    def answer(connection: socket.socket, request: bytes) -> None:
        requests.append(request)
        connection.sendall(OK + b"Content-Length: 4\r\n\r\na 1\n")

    headers = headers_from({"HONUA_OBSERVE_TOKEN": "t0ken", "HONUA_TEMPO_TENANT": "team a"})
    page = fetch_page(parse_address(serve(answer)), headers)

    assert page.total("a") == 1
    assert requests[0].startswith(b"GET /metrics HTTP/1.1\r\n")
    assert b"Authorization: Bearer t0ken\r\n" in requests[0]
    assert b"X-Scope-OrgID: team a\r\n" in requests[0]


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "HTTP 503 Service Unavailable"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n", "HTTP 302 Found"),
        (b"SSH-2.0-OpenSSH_9\r\n", "SSH-2.0-OpenSSH_9"),
        (b"", "Remote end closed connection without response"),
        (OK + b"Content-Length: 100\r\n\r\na 1\n", "IncompleteRead(4 bytes read, 96 more expected)"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "IncompleteRead"),
        (OK + b"Content-Length: 2000000\r\n\r\n" + b"a 1\n" * 500000, "more than 1000000 bytes"),
        (OK + b"\r\n" + b"a 1\n" * 500000, "more than 1000000 bytes"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_wrong_answers_are_named(serve: Serve, answer: bytes, seen: str) -> None:
    """Whatever comes instead of a page is told as it came; redirects are not followed."""
    assert seen in seen_at(serve(lambda connection, _: connection.sendall(answer)))


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX: ", OK + b"\r\n", OK + b"Content-Length: 9999\r\n\r\n"])
def test_a_trickling_answer_ends_in_time(serve: Serve, first: bytes) -> None:
    """The time limit is for the whole answer: headers or a body that trickle do not extend it."""
    url = serve(lambda connection, _: drip(connection, first))
    started_s = time.monotonic()

    assert seen_at(url, timeout_s=0.3) == "no full answer in 0.3 s"
    assert time.monotonic() - started_s < 2


def test_silence_ends_in_time(serve: Serve) -> None:
    """A server that accepts and says nothing is given up."""
    url = serve(lambda *_: time.sleep(0.6))

    assert seen_at(url, timeout_s=0.2) == "no full answer in 0.2 s"


def test_nobody_listens() -> None:
    """A closed port is said to be one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert seen_at(f"http://127.0.0.1:{port}") == "Connection refused"


def test_untrusted_certificate_and_plain_http_are_refused(serve: Serve) -> None:
    """TLS is verified: what speaks no TLS is not read."""
    url = serve(lambda connection, _: connection.sendall(OK + b"\r\na 1\n"))

    assert "SSL" in seen_at(url.replace("http:", "https:"))


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("http://localhost:8888", "http://localhost:8888/metrics"),
        ("http://localhost:8888/", "http://localhost:8888/metrics"),
        ("http://localhost/x?y=1", "http://localhost:80/x?y=1"),
        ("https://tempo.test", "https://tempo.test:443/metrics"),
        ("http://[::1]:8888", "http://[::1]:8888/metrics"),
    ],
)
def test_addresses(url: str, full: str) -> None:
    """A URL without a path means the metrics page, one without a port the scheme's."""
    assert parse_address(url).url == full


@pytest.mark.parametrize(
    "url", ["localhost:8888", "ftp://h", "http://", "http://h:99999", "http://[x", "http://h:0", ""]
)
def test_no_addresses(url: str) -> None:
    """What is no http(s) URL is refused with an example of one."""
    with pytest.raises(InputError, match="must look like http://host:3200"):
        parse_address(url)


def test_secrets_are_not_repeated() -> None:
    """A password in a URL or an unusable token is refused without showing it."""
    with pytest.raises(InputError) as in_url:
        parse_address("http://me:s3cret@host:1")
    with pytest.raises(InputError) as in_token:
        headers_from({"HONUA_OBSERVE_TOKEN": "s3cret\nX-Evil: 1"})

    assert "s3cret" not in str(in_url.value) + str(in_token.value)


def test_no_secret_no_header() -> None:
    """Without the variables nothing is added."""
    assert headers_from({}) == {"Accept": "text/plain;version=0.0.4"}


@pytest.mark.parametrize(
    ("values", "increased", "restarted"),
    [
        ([], 0, 0),
        ([7], 0, 0),
        ([7, 7, 9], 2, 0),
        ([0, 100, 160], 160, 0),
        ([100, 160, 20, 50], 60 + 20 + 30, 1),
        ([5, 0, 0, 3, 1], 0 + 0 + 3 + 1, 2),
    ],
)
def test_increase_counts_through_restarts(values: list[float], increased: float, restarted: int) -> None:
    """A counter that falls has restarted from 0: what it shows then was counted since."""
    assert (increase(values), restarts(values)) == (increased, restarted)


@given(st.lists(st.lists(st.integers(0, 1000), max_size=8), max_size=4))
def test_increase_is_the_sum_of_the_steps(lives: list[list[int]]) -> None:
    """What is counted one by one over several lives of a process is what the increase finds, or less.

    Less only where a restarted counter had overtaken its last value before it was read again.
    """
    values, total = [0], 0
    for steps in lives:
        count = 0
        for step in steps:
            count += step
            total += step
            values.append(count)

    assert increase(values) <= total
    if len(lives) <= 1:
        assert increase(values) == total


def test_system_clock_is_the_time_of_day_and_never_goes_back() -> None:
    """The observer's times can be compared with those of the spans."""
    clock = SystemClock()
    first = clock.now_s()
    clock.sleep(0.01)

    assert abs(first - time.time()) < 1
    assert clock.now_s() >= first + 0.01
