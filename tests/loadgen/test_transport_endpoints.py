"""Where requests go: URLs, who answers there, and the fake that keeps what it is sent."""

from __future__ import annotations

import socket
import threading

import pytest

from loadgen.errors import InputError
from loadgen.transport import Endpoint, HttpSender, MemorySender, Outcome, identify, parse_endpoint

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\x0a\x00"


def reply(status: int, body: bytes = b"") -> bytes:
    """A whole HTTP/1.1 answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


# --- endpoints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "endpoint", "url"),
    [
        ("http://localhost:4318", Endpoint("http", "localhost", 4318, "/v1/traces"), "http://localhost:4318"),
        ("http://localhost", Endpoint("http", "localhost", 4318, "/v1/traces"), "http://localhost:4318"),
        ("http://localhost/", Endpoint("http", "localhost", 4318, "/v1/traces"), "http://localhost:4318"),
        ("HTTP://Host:80/otlp/", Endpoint("http", "host", 80, "/otlp/v1/traces"), "http://host:80"),
        ("https://otlp.example.com", Endpoint("https", "otlp.example.com", 443, "/v1/traces"), "https://otlp.example.com:443"),
        ("http://h:1/v1/traces", Endpoint("http", "h", 1, "/v1/traces"), "http://h:1"),
        ("http://[::1]:4318", Endpoint("http", "::1", 4318, "/v1/traces"), "http://[::1]:4318"),
        ("http://127.0.0.1:65535/a%20b", Endpoint("http", "127.0.0.1", 65535, "/a%20b/v1/traces"), "http://127.0.0.1:65535"),
    ],
)  # fmt: skip
def test_endpoints_are_base_urls(text: str, endpoint: Endpoint, url: str) -> None:
    """As OTEL_EXPORTER_OTLP_ENDPOINT has it: the signal's path is added, where it is not there."""
    assert parse_endpoint(text) == endpoint
    assert endpoint.url == url


WRONG = [
    "",
    "localhost:4318",
    "ftp://h",
    "http://",
    "http://:4318",
    "http://h:0",
    "http://h:65536",
    "http://h:x",
    "http://h?q=1",
]
WRONG += [
    "http://h#f",
    "http://h/a b",
    "http://h/\u00fc",
    "http://h\n",
    "http://[::1",
    "http://a..b",
    "http://" + "a" * 64,
]


@pytest.mark.parametrize("text", WRONG)
def test_other_endpoints_are_refused(text: str) -> None:
    """What cannot be connected to is said before anything is sent."""
    with pytest.raises(InputError) as caught:
        parse_endpoint(text)
    rule = "must be a URL such as http://localhost:4318, without user or query"
    assert str(caught.value) == f"--otlp-endpoint: got {text!r}, {rule}"


@pytest.mark.parametrize("text", ["http://me:secret@h", "http://:secret@h", "http://secret@h", "http://me:secret@h:x"])
def test_a_secret_in_a_url_is_not_repeated(text: str) -> None:
    """Users and passwords are not taken from a URL, nor shown."""
    with pytest.raises(InputError) as caught:
        parse_endpoint(text)
    assert "secret" not in str(caught.value)


def test_an_ipv6_target_is_reached() -> None:
    """Brackets are the URL's, not the address's."""
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server:
        thread = threading.Thread(target=answer_one, args=(server,), daemon=True)
        thread.start()
        made = HttpSender(parse_endpoint(f"http://[::1]:{server.getsockname()[1]}"), timeout_s=5)
        assert made.send(b"x") == Outcome("accepted")
        made.close()
        thread.join(5)


def answer_one(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(OK)
        connection.recv(1)


# --- who is there --------------------------------------------------------------------------------------------------


def identified_by(answer: bytes) -> dict[str, str]:
    """What identify() makes of one answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint("http", "127.0.0.1", server.getsockname()[1], "/v1/traces")

        def serve_one() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve_one, daemon=True)
        thread.start()
        facts = identify(endpoint)
        thread.join(5)
    assert facts.pop("endpoint") == endpoint.url
    return facts


def test_the_embedded_sink_is_known() -> None:
    """The sink says what it is, so that its figures are never taken for a backend's."""
    answer = reply(200, b'{"kind": "honua-sink", "version": "0.1.0"}')
    assert identified_by(answer) == {"kind": "sink", "version": "0.1.0"}


NONSENSE = [b"", b"ok", b"[]", b"null", b"[" * 4000, b"\xff\xfe", b'{"kind": "honua-sink"']


@pytest.mark.parametrize("body", [*NONSENSE, b'{"kind": "other"}', b'{"kind": ["honua-sink"]}'])
def test_anything_else_is_unknown(body: bytes) -> None:
    """Another target's answer, and nonsense, are no error: it takes OTLP and does not say what it is."""
    assert identified_by(reply(200, body)) == {"kind": "unknown", "version": ""}


def test_a_target_without_the_question_is_unknown() -> None:
    """404, no HTTP and nobody there are the same."""
    unknown = {"kind": "unknown", "version": ""}
    assert [identified_by(reply(404)), identified_by(b"hello"), identified_by(b"")] == [unknown] * 3
    assert identify(Endpoint("http", "127.0.0.1", free_port(), "/v1/traces"))["kind"] == "unknown"


# --- the fake ----------------------------------------------------------------------------------------------------


def test_the_memory_sender_keeps_and_answers() -> None:
    """The shipped fake: bodies in order, answers as told, then acceptance."""
    fake = MemorySender([Outcome("refused", "HTTP 503")])
    body = bytearray(b"1")
    assert [fake.send(body), fake.send(b"2")] == [Outcome("refused", "HTTP 503"), Outcome("accepted")]
    body[:] = b"x"
    assert fake.bodies == [b"1", b"2"]
    fake.close()
