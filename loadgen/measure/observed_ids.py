"""Trace ids as keys: grouping spans by them and matching two lists of them, exactly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadgen.samplers import Bools, Counts, Ids

#: One span seen: the trace id and the span id as they stand on the wire.
SEEN = np.dtype([("trace", "u1", 16), ("span", "u1", 8)])
Seen = npt.NDArray[np.void]


class Grouped(NamedTuple):
    """Spans by trace (k traces): sorted ids uint8[k, 16], spans int64[k], different span ids int64[k]."""

    ids: Ids
    spans: Counts
    unique_spans: Counts


def _halves(ids: Ids) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(ids).view(">u8").astype(np.uint64)


def _new_rows(*columns: npt.NDArray[np.uint64]) -> Bools:
    """Whether each row of sorted columns differs from the one before; the first one does."""
    new = np.ones(len(columns[0]), np.bool_)
    if len(new):
        new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return new


def group_spans(seen: Seen) -> Grouped:
    """What n seen spans amount to, trace by trace.

    Args:
        seen: The spans, ``SEEN``[n], in any order, with repetitions.
    """
    high, low = _halves(seen["trace"]).T
    span = np.ascontiguousarray(seen["span"]).view(np.uint64)[:, 0]
    order = np.lexsort((span, low, high))
    high, low, span = high[order], low[order], span[order]
    first = np.flatnonzero(_new_rows(high, low))
    if not len(first):
        return Grouped(np.empty((0, 16), np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    different = _new_rows(high, low, span).astype(np.int64)
    spans = np.diff(first, append=len(order))
    return Grouped(seen["trace"][order[first]], spans, np.add.reduceat(different, first))


def match(known: Ids, looked_for: Ids) -> Counts:
    """Where each of k ids stands among m known ones, -1 where it does not, int64[k].

    Args:
        known: Ids without repetition, uint8[m, 16].
        looked_for: Ids without repetition, uint8[k, 16].
    """
    high, low = _halves(np.concatenate([known, looked_for])).T
    # Equal ids end up side by side, the known one first, because the sort is stable.
    order = np.lexsort((low, high))
    second = np.flatnonzero(~_new_rows(high[order], low[order]))
    places = np.full(len(looked_for), -1, np.int64)
    places[order[second] - len(known)] = order[second - 1]
    return places
