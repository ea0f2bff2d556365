"""What a span's W3C tracestate says about sampling done before: threshold (th) and randomness (rv).

The grammar and its limits are those of contrib v0.161.0, pkg/sampling: a tracestate it would
refuse counts as malformed, and the sampler's ``fail_closed`` decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from loadgen.samplers.threshold import DIGITS
from loadgen.samplers.traces import Bools, Words

ABSENT = np.uint64(0xFFFFFFFFFFFFFFFF)
_KEY = re.compile(r"(?:[a-z][a-z0-9_*/-]*|[a-z0-9][a-z0-9_*/-]*@[a-z][a-z0-9_*/-]*)\Z")
_VALUE = re.compile(r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]\Z")
_OT_MEMBER = re.compile(r"([a-z][a-z0-9]*):([A-Za-z0-9._-]*)\Z")
_HEX = re.compile(r"[0-9A-Fa-f]+\Z")
_LONGEST, _LONGEST_KEY, _LONGEST_OT, _MEMBERS = 1024, 256, 256, 31


class TraceStates(NamedTuple):
    """Sampling state on arrival, one entry per trace.

    Args:
        th: Thresholds, uint64[n]; ``ABSENT`` where none came.
        rv: Explicit randomness, uint64[n]; ``ABSENT`` where none came.
        malformed: Whether the tracestate could not be read, bool[n].
    """

    th: Words
    rv: Words
    malformed: Bools

    def take(self, chosen: Bools) -> TraceStates:
        """The states of the chosen traces."""
        return TraceStates(self.th[chosen], self.rv[chosen], self.malformed[chosen])


def no_tracestates(n: int) -> TraceStates:
    """The state of n traces that carry no sampling information: what this product's own load carries."""
    return TraceStates(np.full(n, ABSENT), np.full(n, ABSENT), np.zeros(n, np.bool_))


def parse_tracestates(texts: Sequence[str]) -> TraceStates:
    """The sampling state in each of n tracestate headers; an empty text carries none."""
    states = no_tracestates(len(texts))
    for row, text in enumerate(texts):
        try:
            fields = _read(text)
        except ValueError:
            states.malformed[row] = True
            continue
        states.th[row] = fields.get("th", ABSENT)
        states.rv[row] = fields.get("rv", ABSENT)
    return states


def _read(text: str) -> dict[str, int]:
    if len(text) > _LONGEST:
        raise ValueError(text)
    fields: dict[str, int] = {}
    for key, value in _members(text):
        if key == "ot":
            fields = dict(_sampling_fields(value))
    return fields


def _members(text: str) -> Iterator[tuple[str, str]]:
    pieces = [piece.strip(" \t") for piece in text.split(",")] if text else []
    if len(pieces) > _MEMBERS and any(pieces[_MEMBERS:]):
        raise ValueError(text)
    for piece in filter(None, pieces):
        key, equals, value = piece.partition("=")
        if not equals or not _KEY.match(key) or not _VALUE.match(value) or not _key_fits(key):
            raise ValueError(text)
        yield key, value


def _key_fits(key: str) -> bool:
    tenant, at, system = key.partition("@")
    return len(key) <= _LONGEST_KEY and (not at or (len(tenant) <= 241 and len(system) <= 14))


def _sampling_fields(value: str) -> Iterator[tuple[str, int]]:
    if len(value) > _LONGEST_OT:
        raise ValueError(value)
    for member in value.split(";"):
        found = _OT_MEMBER.match(member)
        if not found:
            raise ValueError(value)
        if found[1] in {"rv", "th"}:
            yield found[1], _hex_digits(found[1], found[2])


def _hex_digits(key: str, digits: str) -> int:
    if not _HEX.match(digits) or len(digits) > DIGITS or (key == "rv" and len(digits) != DIGITS):
        raise ValueError(digits)
    return int(digits, 16) << (4 * (DIGITS - len(digits)))
