"""The spans of one block of traces, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """n spans of m whole traces, sorted by trace, parents before their children.

    Attributes:
        block: Number of the block.
        starts_ns: Intended start of each trace, int64[m] [ns since the epoch], never decreasing.
        trace_ids: uint8[m, 16].
        first_span: Index of each trace's first span (its root), int64[m + 1]; the last entry is n.
        trace: Trace of each span, int32[n], never decreasing.
        parent: Index of the parent span in this batch, -1 for roots, int32[n].
        operation: Operation number, int64[n].
        cause: Cause of failure, -1 where there is none, int64[n].
        form: Form number, int64[n]; see :mod:`loadgen.synth.program`.
        resource: Resource number, int64[n].
        remote: Whether the parent is in another service, bool[n].
        span_ids: uint64[n]; the id's bytes are the number's, big-endian.
        start_ns, end_ns: int64[n].
        first_value: Index of each span's first value, int64[n].
        slot: Slot of each value, int64[k].
        number: What was drawn for it, uint64[k]; see :class:`loadgen.synth.slots.Meaning`.
    """

    block: int
    starts_ns: NDArray[np.int64]
    trace_ids: NDArray[np.uint8]
    first_span: NDArray[np.int64]
    trace: NDArray[np.int32]
    parent: NDArray[np.int32]
    operation: NDArray[np.int64]
    cause: NDArray[np.int64]
    form: NDArray[np.int64]
    resource: NDArray[np.int64]
    remote: NDArray[np.bool_]
    span_ids: NDArray[np.uint64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    first_value: NDArray[np.int64]
    slot: NDArray[np.int64]
    number: NDArray[np.uint64]

    @property
    def spans(self) -> int:
        """Number of spans, n."""
        return len(self.trace)

    @property
    def traces(self) -> int:
        """Number of traces, m."""
        return len(self.starts_ns)

    def spans_per_trace(self) -> NDArray[np.int64]:
        """int64[m]."""
        return np.diff(self.first_span)

    def failed_traces(self) -> NDArray[np.bool_]:
        """Whether each trace holds a span with an error, bool[m]."""
        return np.bincount(self.trace, weights=self.cause >= 0, minlength=self.traces) > 0

    def duration_ns(self) -> NDArray[np.int64]:
        """Last end less first start of each trace, int64[m] [ns]."""
        roots = self.first_span[:-1]
        return np.maximum.reduceat(self.end_ns, roots) - np.minimum.reduceat(self.start_ns, roots)
