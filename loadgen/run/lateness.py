"""Lateness of sends against their intended time, as a histogram that any number of workers can add up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

# Upper bounds [us]: a quarter of a doubling apart, so a quantile is known within 19 %; the last one catches the rest.
BOUNDS_US = (*sorted({round(100 * 2 ** (i / 4)) for i in range(80)}), 2**62)
OVER_US = BOUNDS_US[-1]


def bucket_us(lateness_us: float) -> int:
    """The upper bound [us] of the bucket that a lateness falls in."""
    return BOUNDS_US[bisect_left(BOUNDS_US, lateness_us)]


def quantile_us(counts: Mapping[int, int], q: float) -> int | None:
    """The bucket's upper bound [us] below which a share ``q`` of the sends lies; OVER_US means past the last bound.

    None where there was no send.
    """
    total = sum(counts.values())
    if not total:
        return None
    reached = 0
    for bound in sorted(counts):
        reached += counts[bound]
        if reached >= q * total:
            return bound
    return None
