"""Request bodies as they were before compression, never larger than allowed."""

from __future__ import annotations

from isal import isal_zlib

from loadgen.errors import InputError

GZIP = 31  # window size 15 with gzip header and trailer


def inflate(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """The body without its content encoding.

    Args:
        body: As received.
        encoding: Value of Content-Encoding: ``gzip``, ``identity`` or nothing.
        limit_bytes: What it may come to.

    Raises:
        InputError: Another encoding, no gzip, cut off, or too large; the Collector's words.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise InputError("Content-Encoding", encoding, "unsupported Content-Encoding")
    parts: list[bytes] = []
    room = limit_bytes
    while body:
        member = isal_zlib.decompressobj(GZIP)
        part = _member(member, body, room + 1)
        room -= len(part)
        if room < 0:
            raise InputError("body", f"more than {limit_bytes} bytes inflated", "http: request body too large")
        parts.append(part)
        body = member.unused_data
    return b"".join(parts)


def _member(member: isal_zlib.Decompress, body: bytes, room: int) -> bytes:
    try:
        part: bytes = member.decompress(body, room)
    except isal_zlib.error as error:  # type: ignore[misc]  # the stub takes it for an instance
        raise InputError("body", str(error), "must be gzip") from error
    if not member.eof and len(part) < room:
        raise InputError("body", f"{len(body)} bytes", "unexpected EOF in gzip")
    return part
