"""JSON over HTTP for reading back what arrived: bounded in time and size, no redirects, no proxies."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from loadgen.errors import InputError, RemoteError

TENANT_VARIABLE = "HONUA_TEMPO_TENANT"
TOKEN_VARIABLE = "HONUA_TEMPO_TOKEN"  # noqa: S105 - the variable's name, not a token
LIMIT_BYTES = 512 * 2**20
_PIECE_BYTES = 1 << 20


class _NoRedirect(HTTPRedirectHandler):
    """A redirect is an answer like any other: followed, it would carry the token to another host."""

    def redirect_request(self, *_: object) -> None:
        """Never another request."""


_OPENER = build_opener(ProxyHandler({}), _NoRedirect)


def base_url(text: str, place: str = "--observed") -> str:
    """A checked http(s) URL without a trailing slash.

    Raises:
        InputError: Not such a URL, or one with a password in it.
    """
    try:
        parts: SplitResult = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InputError(place, text, "must look like http://host:3200")
    if parts.username or parts.password:
        raise InputError(place, f"{parts.scheme}://...@{parts.hostname}", f"must hold no secret; set {TOKEN_VARIABLE}")
    return text.rstrip("/")


def headers_from(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What tenant and token in the environment add to a request.

    Raises:
        InputError: A value that no header can carry; the message does not repeat it.
    """
    headers = {"Accept": "application/json"}
    forms = {TENANT_VARIABLE: ("X-Scope-OrgID", "{}"), TOKEN_VARIABLE: ("Authorization", "Bearer {}")}
    for variable, (header, form) in forms.items():
        value = environment.get(variable, "").strip()
        if not (value.isascii() and value.replace(" ", "").isprintable()):
            raise InputError(variable, "***", "must be printable ASCII")
        if value:
            headers[header] = form.format(value)
    return headers


def get(url: str, timeout_s: float = 30.0, headers: Mapping[str, str] | None = None) -> bytes:
    """The body of a GET.

    Args:
        url: What to get.
        timeout_s: For each wait, and for the whole answer [s].
        headers: Sent along; by default those of the environment.

    Raises:
        RemoteError: Unreachable, not HTTP 200, too slow, too long or cut off.
    """
    request = Request(url, headers=dict(headers_from() if headers is None else headers))  # noqa: S310 - base_url()
    deadline_s = time.monotonic() + timeout_s
    try:
        with _OPENER.open(request, timeout=timeout_s) as answer:
            # read1 returns what has come; read would wait for a whole piece, however slowly it trickles in.
            return _read(answer.read1, url, deadline_s)
    except HTTPError as error:
        with error:
            raise RemoteError(url, f"HTTP {error.code} {_first_line(error)}".strip(), "HTTP 200") from error
    except TimeoutError as error:
        raise RemoteError(url, f"no answer in {timeout_s:g} s", "an answer") from error
    except (OSError, HTTPException, ValueError) as error:
        raise RemoteError(url, _reason(error), "an answer") from error


def _read(read: Callable[[int], bytes], url: str, deadline_s: float) -> bytes:
    pieces: list[bytes] = []
    size_bytes = 0
    while piece := read(_PIECE_BYTES):
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > LIMIT_BYTES:
            raise RemoteError(url, f"more than {LIMIT_BYTES} bytes", "a shorter answer")
        if time.monotonic() > deadline_s:
            raise TimeoutError
    return b"".join(pieces)


def _first_line(error: IO[bytes]) -> str:
    text = error.read(500).decode("utf-8", "replace").strip()
    return text.splitlines()[0] if text else ""


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__


def get_json(url: str, timeout_s: float = 30.0) -> dict[str, Any]:
    """The JSON object that a GET answers with.

    Raises:
        RemoteError: As :func:`get`, or the answer is no JSON object.
    """
    body = get(url, timeout_s)
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise RemoteError(url, _shown(body), "JSON") from error
    if not isinstance(answer, dict):
        raise RemoteError(url, _shown(body), "a JSON object")
    return answer


def _shown(body: bytes) -> str:
    return repr(body[:60].decode("utf-8", "replace")) if body else "an empty answer"
