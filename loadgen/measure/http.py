"""One page fetched over HTTP, whatever the other side does: bounded in time and size, no redirects, no proxies."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import Self
from urllib.parse import SplitResult, urlsplit

from loadgen.errors import InputError, RemoteError

# Names of environment variables, not secrets themselves.
OBSERVE_TOKEN = "HONUA_OBSERVE_TOKEN"  # noqa: S105
TEMPO_TOKEN = "HONUA_TEMPO_TOKEN"  # noqa: S105
TENANT = "HONUA_TEMPO_TENANT"
LIMIT_BYTES = 32 * 2**20  # Tempo v3.0.3 with one tenant shows a metrics page of 200 kB


@dataclass(frozen=True, slots=True)
class Address:
    """A checked URL of a page: what to connect to, what to ask for, what to call it in messages."""

    url: str
    host: str
    port: int
    path: str
    tls: bool


def _split(url: str, place: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InputError(place, url, "must look like http://host:3200")
    return parts


def parse_address(url: str, default_path: str = "/metrics", place: str = "URL") -> Address:
    """The page at ``url``; a URL without a path means ``default_path``.

    Raises:
        InputError: Not an http(s) URL, or one that carries a password.
    """
    parts = _split(url, place)
    host = parts.hostname or ""
    if parts.username or parts.password:
        raise InputError(place, f"{parts.scheme}://...@{host}", f"must hold no secret; set {OBSERVE_TOKEN}")
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    path = (parts.path if parts.path.strip("/") else default_path) + (f"?{parts.query}" if parts.query else "")
    shown = f"[{host}]" if ":" in host else host
    return Address(f"{parts.scheme}://{shown}:{port}{path}", host, port, path, tls)


def headers_from(
    environment: Mapping[str, str] = os.environ, *, token: str = OBSERVE_TOKEN, accept: str = "text/plain;version=0.0.4"
) -> dict[str, str]:
    """What secrets and tenants in the environment add to a request.

    Args:
        environment: Where secrets come from, and the only place.
        token: The variable that holds the bearer token.
        accept: The kind of answer wanted.

    Raises:
        InputError: A value no header can carry; the message does not repeat it.
    """
    forms = {token: ("Authorization", "Bearer {}"), TENANT: ("X-Scope-OrgID", "{}")}
    headers = {"Accept": accept}
    for variable, (header, form) in forms.items():
        value = environment.get(variable, "").strip()
        if not (value.isascii() and value.replace(" ", "").isprintable()):
            raise InputError(variable, "***", "must be printable ASCII")
        if value:
            headers[header] = form.format(value)
    return headers


class _Watchdog:
    """Cuts a connection ``timeout_s`` after it was made.

    A socket's own timeout starts anew with each byte: a page that trickles would hold us for ever.
    """

    def __init__(self, connection: HTTPConnection, timeout_s: float) -> None:
        self.fired = False
        self._socket = connection.sock
        self._timer = threading.Timer(timeout_s, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # only then is the socket nobody else's

    def _cut(self) -> None:
        self.fired = True
        with suppress(OSError):  # the other side was quicker
            # The base class's: a TLS socket's own drops state that the reading thread still uses.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _body(response: HTTPResponse, place: str, limit_bytes: int) -> bytes:
    if response.status != 200:
        said = response.read(500).decode("utf-8", "replace").strip().splitlines() or [response.reason]
        raise RemoteError(place, f"HTTP {response.status} {said[0]}".strip(), "HTTP 200")
    body = response.read(limit_bytes + 1)
    if len(body) > limit_bytes:
        raise RemoteError(place, f"more than {limit_bytes} bytes", "a shorter answer")
    if response.length:
        raise IncompleteRead(body, response.length)
    return body


def _connect(address: Address, timeout_s: float) -> HTTPConnection:
    if not address.tls:
        return HTTPConnection(address.host, address.port, timeout=timeout_s)
    context = ssl.create_default_context()
    return HTTPSConnection(address.host, address.port, timeout=timeout_s, context=context)


def _get(address: Address, headers: Mapping[str, str], timeout_s: float, limit_bytes: int) -> bytes:
    body = b""
    with closing(_connect(address, timeout_s)) as connection:
        connection.connect()
        with _Watchdog(connection, timeout_s) as watchdog:
            try:
                connection.request("GET", address.path, headers=dict(headers))
                with connection.getresponse() as response:
                    body = _body(response, address.url, limit_bytes)
            except (OSError, HTTPException):
                if not watchdog.fired:  # else it is the watchdog's doing
                    raise
    if watchdog.fired:
        raise TimeoutError
    return body


def fetch(
    address: Address,
    headers: Mapping[str, str],
    timeout_s: float = 5.0,
    limit_bytes: int = LIMIT_BYTES,
    expected: str = "a metrics page",
) -> bytes:
    """The body of a GET; redirects are not followed, so that no token goes elsewhere.

    Raises:
        RemoteError: Unreachable, not verified, not answered in full within ``timeout_s`` [s] of connecting,
            not HTTP 200, or too long.
    """
    try:
        return _get(address, headers, timeout_s, limit_bytes)
    except TimeoutError as error:
        raise RemoteError(address.url, f"no full answer in {timeout_s:g} s", expected) from error
    except (OSError, HTTPException, ValueError) as error:
        raise RemoteError(address.url, _reason(error), expected) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
