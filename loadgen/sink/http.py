"""The sink's HTTP side: requests read within limits, routed, answered in one write."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple
from urllib.parse import unquote

from loadgen.errors import HonuaError, InputError
from loadgen.sink.inflate import inflate
from loadgen.sink.pipeline import Answer, Pipeline, failure, success
from loadgen.sink.settings import BODY_LIMIT_BYTES, Faults

DRAIN_BYTES = 4 * BODY_LIMIT_BYTES  # read and thrown away so that the sender sees the refusal
IDLE_S = 120.0
PROTOBUF, TEXT, JSON = "application/x-protobuf", "text/plain; charset=utf-8", "application/json"
TRACES = "/v1/traces"


class Reply(NamedTuple):
    """An answer of any kind."""

    status: int
    body: bytes
    content_type: str = TEXT
    retry_after_s: float | None = None


class Route(NamedTuple):
    """What a path answers to; the action gets the path's groups, unquoted."""

    method: str
    pattern: re.Pattern[str]
    action: Callable[..., Reply]


def json_reply(content: object) -> Reply:
    """A JSON answer."""
    return Reply(200, json.dumps(content, separators=(",", ":")).encode(), JSON)


def text_reply(status: int, text: str) -> Reply:
    """A plain answer."""
    return Reply(status, text.encode())


def _act(route: Route, match: re.Match[str]) -> Reply:
    try:
        return route.action(*map(unquote, match.groups()))
    except HonuaError as error:
        return text_reply(500, str(error))


class Server(ThreadingHTTPServer):
    """A listening server; a thread for every connection, gone when ``stop`` returns.

    Raises:
        OSError: The address is taken or not ours.
    """

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], pipeline: Pipeline, routes: list[Route], faults: Faults) -> None:
        self.pipeline, self.routes, self.faults = pipeline, routes, faults
        self.stopping = False
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._posts = self._active = 0
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Binds without the look-up of its own name that the standard library does here."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own types
        """Starts a connection's thread."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """Ends a connection."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def next_post(self) -> int:
        """Numbers the POSTs to /v1/traces from 1."""
        with self._lock:
            self._posts += 1
            return self._posts

    def busy(self, change: int) -> None:
        """Counts requests in work."""
        with self._lock:
            self._active += change

    def stop(self, grace_s: float = 5.0) -> None:
        """Accepts nothing more, lets requests in work finish, ends every connection and thread."""
        self.stopping = True
        self.shutdown()
        end_s = time.monotonic() + grace_s
        while self._active and time.monotonic() < end_s:
            time.sleep(0.01)
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # the other side was quicker
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Reports what went wrong in a connection, unless its sender just left."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_S

    def do_GET(self) -> None:
        """Answers a GET."""
        self._serve()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the metrics page has what there is to say."""

    def _serve(self) -> None:
        self.server.busy(+1)
        try:
            reply = self._reply()
            if reply is None:
                self.close_connection = True
            else:
                self._send(reply)
        finally:
            self.server.busy(-1)

    def _reply(self) -> Reply | None:
        """The answer, None to close the connection without one."""
        path = self.path.partition("?")[0]
        if path == TRACES:
            return self._traces()
        self._drain()
        found = [(route, match) for route in self.server.routes if (match := route.pattern.fullmatch(path))]
        for route, match in found:
            if route.method == self.command:
                return _act(route, match)
        methods = ", ".join(route.method for route, _ in found)
        if methods:
            return text_reply(405, f"405 method not allowed, supported: [{methods}]")
        return text_reply(404, "404 page not found")

    def _traces(self) -> Reply | None:
        early = self._refusal()
        if early is not None:
            self._drain()
            return early
        body = self._body()
        if body is None:
            return None
        faults = self.server.faults
        affected = faults.hits(self.server.next_post())
        if affected and faults.delay_s:
            time.sleep(faults.delay_s)
        if affected and faults.drop == "before":
            return None
        if affected and faults.status is not None:
            answer = failure(faults.status, "refused on request")
            return Reply(*answer, PROTOBUF, faults.retry_after_s)
        answer = self._take(body)
        return self._spoiled(answer) if affected else Reply(*answer, PROTOBUF)

    def _refusal(self) -> Reply | None:
        """What can be refused by the headers alone."""
        if self.command != "POST":
            return text_reply(405, "405 method not allowed, supported: [POST]")
        content_type = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if content_type != PROTOBUF:
            return text_reply(415, f"415 unsupported media type, supported: [{PROTOBUF}]")
        if self._length() is None:
            return text_reply(411, "411 length required")
        if (self._length() or 0) > BODY_LIMIT_BYTES:
            return Reply(*failure(400, "http: request body too large"), PROTOBUF)
        return None

    def _take(self, body: bytes) -> Answer:
        try:
            inflated = inflate(body, self.headers.get("Content-Encoding", ""), BODY_LIMIT_BYTES)
        except InputError as error:
            return failure(400, str(error))
        if self.server.stopping:
            return failure(503, "shutting down")
        return self.server.pipeline.take(inflated)

    def _spoiled(self, answer: Answer) -> Reply | None:
        faults = self.server.faults
        if faults.drop == "after":
            return None
        if faults.garbage and answer.status == 200:
            answer = Answer(200, b"\xff\xffthis is no protobuf message")
        elif faults.rejected_spans and answer.status == 200:
            answer = success(faults.rejected_spans)
        return Reply(*answer, PROTOBUF)

    def _length(self) -> int | None:
        """The announced length of the body; None if there is none or it is no number."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isdecimal() and "Transfer-Encoding" not in self.headers else None

    def _body(self) -> bytes | None:
        """The body; None if the sender left in the middle of it."""
        length = self._length() or 0
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _drain(self) -> None:
        """Reads what was sent and is not wanted; where that cannot be, the connection ends with the answer."""
        left = self._length() or 0
        if left > DRAIN_BYTES or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return
        while left and (part := self.rfile.read(min(left, 1 << 16))):
            left -= len(part)

    def _send(self, reply: Reply) -> None:
        """Sends head and body at once: two writes would be two packets."""
        self.close_connection |= self.server.stopping
        head = [
            f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
        ]
        if reply.retry_after_s is not None:
            head.append(f"Retry-After: {reply.retry_after_s:g}")
        if self.close_connection:
            head.append("Connection: close")
        body = b"" if self.command == "HEAD" else reply.body
        self.wfile.write("\r\n".join([*head, "", ""]).encode() + body)
