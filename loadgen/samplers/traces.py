"""What a sampler may look at: the identity and the outcome of each trace, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


class Traces(NamedTuple):
    """What samplers decide on, one entry per trace (n traces), every span of a trace included.

    Args:
        ids: Trace ids, uint8[n, 16], in the byte order of the wire.
        duration_ns: Last span's end less first span's start, int64[n].
        has_error: Whether any span has status ERROR, bool[n].
        spans: Number of spans, int64[n].
    """

    ids: Ids
    duration_ns: Counts
    has_error: Bools
    spans: Counts

    def take(self, chosen: Bools | Counts) -> Traces:
        """The chosen traces, by mask or by index."""
        return Traces(self.ids[chosen], self.duration_ns[chosen], self.has_error[chosen], self.spans[chosen])


def no_traces() -> Traces:
    """Traces without any: the start of an accumulation."""
    empty = np.empty(0, np.int64)
    return Traces(np.empty((0, 16), np.uint8), empty, np.empty(0, np.bool_), empty)


def are_zero(ids: Ids) -> Bools:
    """Which ids are all zero, i.e. no trace id at all, bool[n]."""
    halves = np.ascontiguousarray(ids).view(np.uint64)
    return (halves[:, 0] | halves[:, 1]) == 0  # type: ignore[no-any-return]
