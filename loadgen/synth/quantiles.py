"""Durations drawn from integer quantile tables.

A table holds a distribution's quantiles at BINS + 1 evenly spaced probabilities in whole
nanoseconds; a draw picks a place in it with 32 bits and interpolates with integers. The few
floating-point results on the way are rounded to six digits first, so that the last bit of a
platform's exp() cannot move a nanosecond.
"""

from __future__ import annotations

from math import exp, log
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from loadgen.synth.streams import Words
from loadgen.topology import Latency
from loadgen.topology.durations import LONGEST_NS

BINS = 2048
_BIN_SHIFT = np.uint64(21)  # 32 bits of a draw: 11 for the bin, 21 for the place in it
_PLACE_MASK = np.uint64((1 << 21) - 1)
_P95_Z = NormalDist().inv_cdf(0.95)

# The last quantile stands for probability 1; at 1 - 2**-14 it cuts 0.006 % of the tail. What is left of a tail
# past the longest duration is cut there, so that the sums of a trace's durations stay within 64 bits.
_LAST = 1 - 2.0**-14
_Z = [NormalDist().inv_cdf(min(max(i / BINS, 1 - _LAST), _LAST)) for i in range(BINS + 1)]


def quantile_table(latency: Latency) -> NDArray[np.int64]:
    """Quantiles of a latency, int64[BINS + 1] [ns], never decreasing."""
    if latency.fixed is not None:
        return np.full(BINS + 1, latency.fixed, np.int64)
    if latency.p50 is None or latency.p95 is None:
        raise AssertionError("a latency has fixed, or p50 and p95")
    sigma = log(latency.p95 / latency.p50) / _P95_Z
    return np.array([min(round(float(f"{latency.p50 * exp(sigma * z):.6g}")), LONGEST_NS) for z in _Z], np.int64)


def draw_quantile(tables: NDArray[np.int64], row: NDArray[np.intp], position: Words) -> NDArray[np.int64]:
    """Durations [ns] of table ``row`` at ``position`` / 2**32.

    Args:
        tables: int64[rows, BINS + 1].
        row: Which table, per draw.
        position: 32-bit numbers, per draw.
    """
    place = row * (BINS + 1) + (position >> _BIN_SHIFT).astype(np.intp)
    flat = tables.ravel()
    lower = flat.take(place)
    step = flat.take(place + 1) - lower
    # step < 2**50 (7 days) would overflow times 2**21: take the place in the bin at 13 bits, 1/8192 of a bin.
    return lower + ((step * ((position & _PLACE_MASK) >> np.uint64(8)).astype(np.int64)) >> 13)
