"""JSON over HTTP for reading back what arrived."""

from __future__ import annotations

import json
from typing import Any

from loadgen.errors import RemoteError
from loadgen.measure.http import TEMPO_TOKEN, fetch, headers_from, parse_address

LIMIT_BYTES = 512 * 2**20  # a listing of some ten million traces


def base_url(text: str, place: str = "--observed") -> str:
    """A checked http(s) URL without a trailing slash.

    Raises:
        InputError: Not such a URL, or one with a password in it.
    """
    return parse_address(text, "/", place).url.rstrip("/")


def get(url: str, timeout_s: float = 30.0) -> bytes:
    """The body of a GET, with tenant and token from the environment.

    Raises:
        RemoteError: Unreachable, not HTTP 200, too slow as a whole, too long or cut off.
    """
    headers = headers_from(token=TEMPO_TOKEN, accept="application/json")
    return fetch(parse_address(url, "/"), headers, timeout_s, LIMIT_BYTES, "an answer")


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
