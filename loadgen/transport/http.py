"""OTLP/HTTP over one kept-alive connection of the standard library's client.

Facts. The Collector answers an accepted request with 200 and the two bytes ``0a 00`` (an empty
partial success), so only ``rejected_spans > 0`` means loss; a message without it is a warning (OTLP
specification, "Partial Success"). Any other 2xx is taken as acceptance, as the Collector's own exporter
does. Of the status codes only 429, 502, 503 and 504 may be retried ("Failures"). A request whose
connection breaks after it was written may have arrived: sending it again could store it twice, so it
is not sent again and its outcome is unknown.
"""

from __future__ import annotations

import random
import select
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from isal import igzip
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from loadgen.errors import InputError
from loadgen.transport.outcome import Outcome
from loadgen.transport.retry import RetryPolicy

RETRYABLE = frozenset({429, 502, 503, 504})
LARGEST_ANSWER_BYTES = 1 << 20
# Servers close idle connections at a time of their own; a request must not meet that moment.
LONGEST_IDLE_S = 10.0
TRACES_PATH = "/v1/traces"
DEFAULT_PORTS = {"http": 4318, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go, taken apart; ``path`` ends in ``/v1/traces``."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_endpoint(text: str, place: str = "--otlp-endpoint") -> Endpoint:
    """The endpoint in ``text``, as OTEL_EXPORTER_OTLP_ENDPOINT has it: a base URL without the signal's path.

    Raises:
        InputError: Not an http(s) URL with a host; user and password are never taken from a URL.
    """
    rule = "must be a URL such as http://localhost:4318, without user or query"
    wrong = InputError(place, text if "@" not in text else "a URL with a user in it", rule)
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
        host.encode("idna")  # as connecting will
    except ValueError as error:
        raise wrong from error
    plain = text.isascii() and text.isprintable() and " " not in text
    if not plain or not host or port == 0 or "@" in url.netloc or url.query or url.fragment:
        raise wrong
    if url.scheme not in DEFAULT_PORTS:
        raise wrong
    path = url.path.rstrip("/")
    path = path if path.endswith(TRACES_PATH) else path + TRACES_PATH
    return Endpoint(url.scheme, host, port or DEFAULT_PORTS[url.scheme], path)


@dataclass(slots=True)
class HttpSender:
    """Sends requests to an endpoint; clock, sleep and randomness are parameters for tests.

    Attributes:
        endpoint: Where to.
        timeout_s: Longest wait for a connection or an answer.
        gzip: Whether bodies are compressed.
        headers: Further headers, e.g. an authorization; never logged.
        retry: When and how often a refused request is sent again.
    """

    endpoint: Endpoint
    timeout_s: float = 10.0
    gzip: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    uniform: Callable[[], float] = random.random
    _connection: HTTPConnection | None = None
    _used_s: float = 0.0

    def send(self, body: bytes | bytearray) -> Outcome:
        """The outcome of a request, after as many retries as the policy allows."""
        content = igzip.compress(body, 1) if self.gzip else body
        waited_s = 0.0
        attempt = 0
        while True:
            attempt += 1
            outcome, asked_s = self._once(content, attempt)
            if outcome.state != "refused":
                return outcome
            wait_s = self.retry.wait_s(attempt, waited_s, asked_s, self.uniform)
            if wait_s is None:
                return outcome
            self.sleep(wait_s)
            waited_s += wait_s

    def close(self) -> None:
        """Close the connection; the next send opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _once(self, content: bytes | bytearray, attempt: int) -> tuple[Outcome, float | None]:
        try:
            connection = self._connected()
        except OSError as error:
            self.close()
            return Outcome("refused", f"no connection: {_named(error)}", 0, attempt), None
        try:
            connection.request("POST", self.endpoint.path, content, self._headers())
            response = connection.getresponse()
            answer = response.read(LARGEST_ANSWER_BYTES)
            self._used_s = self.clock()
            if response.will_close or not response.isclosed() or response.status < 200:
                self.close()
        except (OSError, HTTPException) as error:
            self.close()
            return Outcome("unknown", f"no answer: {_named(error)}", 0, attempt), None
        except BaseException:
            # Killed in mid-request (a stop without patience): the connection is in no state to be used again.
            self.close()
            raise
        return read_answer(response.status, answer, attempt), retry_after_s(response)

    def _connected(self) -> HTTPConnection:
        idle = self.clock() - self._used_s > LONGEST_IDLE_S
        if self._connection is not None and (idle or _has_ended(self._connection)):
            self.close()
        if self._connection is None:
            where = (self.endpoint.host, self.endpoint.port)
            if self.endpoint.scheme == "https":
                context = ssl.create_default_context()
                self._connection = HTTPSConnection(*where, timeout=self.timeout_s, context=context)
            else:
                self._connection = HTTPConnection(*where, timeout=self.timeout_s)
            self._connection.connect()
            self._used_s = self.clock()
        return self._connection

    def _headers(self) -> dict[str, str]:
        encoding = {"Content-Encoding": "gzip"} if self.gzip else {}
        return {
            "Content-Type": "application/x-protobuf",
            "User-Agent": "honua-load",
            **encoding,
            **self.headers,
        }


def _has_ended(connection: HTTPConnection) -> bool:
    """Whether the server has closed the connection, or said what nobody asked: between requests it is silent."""
    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _named(error: BaseException) -> str:
    """The kind of an error, without addresses or times: causes must be few."""
    return type(error).__name__


def retry_after_s(response: HTTPResponse) -> float | None:
    """Seconds of a Retry-After header; its date form is rare and not worth a clock."""
    text = response.getheader("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() else None


def read_answer(status: int, answer: bytes, attempts: int = 1) -> Outcome:
    """The outcome that a status code and a body stand for."""
    if status < 200:
        return Outcome("unknown", f"HTTP {status}, which is no answer", 0, attempts)
    if status >= 300:
        state = "refused" if status in RETRYABLE else "rejected"
        return Outcome(state, f"HTTP {status}", 0, attempts)
    try:
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
    except Exception:  # noqa: BLE001  (protobuf's DecodeError is not the same class in all its back ends)
        return Outcome("unknown", f"HTTP {status} with a body that is no OTLP answer", 0, attempts)
    if partial.rejected_spans > 0:
        return Outcome("accepted", "partial success", partial.rejected_spans, attempts)
    return Outcome("accepted", "", 0, attempts)
