"""Text made of drawn numbers: hexadecimal digits, UUIDs and times, for whole arrays at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.synth.slots import Meaning, Slot
from loadgen.synth.streams import Words, mixed
from loadgen.topology import Value
from loadgen.topology.values import Scalar

Ascii = NDArray[np.uint8]

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_GOLDEN = 0x9E3779B97F4A7C15
TIME_TEXT = 24  # 2026-01-31T23:59:59.999Z
_UUID_DIGITS = [i for i in range(36) if i not in (8, 13, 18, 23)]


def hex_digits(words: Words, digits: int) -> Ascii:
    """``digits`` hexadecimal digits of each word, uint8[k, digits]; past 16 from words derived of it."""
    rounds = [mixed(words + np.uint64(i * _GOLDEN % 2**64)) for i in range((digits + 15) // 16)]
    octets = np.stack(rounds, axis=1).astype("<u8").view(np.uint8).reshape(len(words), -1)
    nibbles = np.empty((len(words), 2 * octets.shape[1]), np.uint8)
    nibbles[:, 0::2], nibbles[:, 1::2] = octets >> 4, octets & 15
    return _HEX[nibbles[:, :digits]]


def uuid_text(words: Words) -> Ascii:
    """A version 4 UUID of each word, uint8[k, 36] (RFC 9562)."""
    text = np.full((len(words), 36), ord("-"), np.uint8)
    text[:, _UUID_DIGITS] = hex_digits(words, 32)
    text[:, 14] = ord("4")
    text[:, 19] = np.frombuffer(b"89ab", np.uint8)[text[:, 19] & 3]
    return text


def time_text(time_ns: NDArray[np.uint64]) -> Ascii:
    """RFC 3339 text in UTC with milliseconds of times since the epoch, uint8[k, 24]."""
    shown = np.datetime_as_string(time_ns.astype("datetime64[ns]").astype("datetime64[ms]"), timezone="UTC")
    return shown.astype(f"S{TIME_TEXT}").view(np.uint8).reshape(-1, TIME_TEXT)


def text_width(rule: Value) -> int:
    """Characters of what :func:`drawn_text` makes of a rule."""
    if rule.derive is not None:
        return TIME_TEXT
    return 36 if rule.uuid is not None else rule.hex or 0


def drawn_text(rule: Value, numbers: NDArray[np.uint64]) -> Ascii:
    """The text of RAW and TIME numbers, uint8[k, text_width(rule)]."""
    if rule.derive is not None:
        return time_text(numbers)
    return uuid_text(numbers) if rule.uuid is not None else hex_digits(numbers, rule.hex or 0)


def value_of(slot: Slot, number: int) -> Scalar:
    """The attribute value that ``number`` stands for in ``slot``."""
    if slot.meaning is Meaning.POOL:
        return slot.values[number]
    if slot.meaning is Meaning.NUMBER:
        return number
    return drawn_text(slot.rule, np.array([number], np.uint64)).tobytes().decode("ascii")
