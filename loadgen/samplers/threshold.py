"""Consistent probability sampling's arithmetic: a trace is kept when its threshold T <= its randomness R.

Both are 56-bit whole numbers. T is the share *rejected*: the probability of being kept is
(2^56 - T) / 2^56. The roundings are those of contrib v0.161.0, pkg/sampling.
"""

from __future__ import annotations

import math

import numpy as np

from loadgen.samplers.traces import Ids, Words

DIGITS = 14
ONE = 1 << 56  # as a threshold: keeps nothing
ALWAYS, NEVER = 0, ONE
_LOW_56 = np.uint64(ONE - 1)


def randomness_of(ids: Ids) -> Words:
    """The last seven bytes of each id as a number: its W3C randomness, uint64[n]."""
    low = np.ascontiguousarray(ids[:, 8:]).view(">u8")[:, 0].astype(np.uint64)
    return low & _LOW_56


def threshold_of(ratio: float, precision: int = DIGITS) -> int:
    """The threshold that keeps ``ratio`` of all traces, to ``precision`` significant hex digits.

    Leading ``0`` or ``f`` digits do not count as significant, so that probabilities near 0
    and 1 keep their relative precision.

    Args:
        ratio: Share to keep; below 2^-56 nothing can be kept, 1 keeps all [0-1].
        precision: Hex digits, 1-14; 0 means 14.
    """
    if ratio * ONE < 1:
        return NEVER
    if ratio >= 1:
        return ALWAYS
    asked = precision or DIGITS
    leading = max(int(math.frexp(part)[1] / -4) for part in (ratio, 1 - ratio))
    shift = 4 * (DIGITS - min(DIGITS, asked + leading))
    exact = ONE - _round_half_up(ratio * ONE)
    return exact if shift == 0 else (exact + (1 << (shift - 1))) >> shift << shift


def _round_half_up(value: float) -> int:
    # Not floor(value + 0.5): above 2^52 that addition itself rounds.
    whole = math.floor(value)
    return whole + (value - whole >= 0.5)


def ratio_of(threshold: int) -> float:
    """The share of uniformly random traces that ``threshold`` keeps, correctly rounded [0-1]."""
    return (ONE - threshold) / ONE


def threshold_hex(threshold: int) -> str:
    """The ``th`` value a kept span carries: no trailing zeros, ``0`` for all, empty for none."""
    if threshold in {ALWAYS, NEVER}:
        return "0" if threshold == ALWAYS else ""
    return f"{threshold:0{DIGITS}x}".rstrip("0")
