"""What traces of a topology look like: sizes, depth, durations, errors and bytes, measured on drawn traces."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from loadgen.otlp import Pieces, compile_pieces, encode, for_run, lay_out
from loadgen.synth import SpanBatch, compile_topology, draw
from loadgen.topology import Topology

SPANS_PER_REQUEST = 2000
NS_PER_S = 1e9
# Traces encoded one by one for the bytes of a trace that carries its own resources: their mean settles quickly.
_ALONE = 100


@dataclass(frozen=True, slots=True)
class Shape:
    """Figures of ``sample_traces`` drawn traces of a topology.

    Attributes:
        topology: Its name.
        sample_traces: Size of the sample.
        spans_per_trace: Mean.
        spans_per_trace_error: Standard error of that mean.
        wire_bytes_per_span: OTLP protobuf, not compressed, whole traces at 2,000 spans a request grouped by resource.
        trace_bytes_per_span: Each trace alone with its own resources, as Tempo holds live traces.
        attributes_per_span: Mean, resource attributes not counted.
        resources_per_trace: Mean number of distinct service instances.
        services: Number of services in the topology.
        max_depth: Edges from the root to the deepest span seen.
        duration_s: Durations of the traces, sorted, float64[sample_traces].
        error_traces_ratio: Share of traces that hold a span with an error.
        failed: Whether each trace holds an error, in the order of ``duration_s``, bool[sample_traces].
    """

    topology: str
    sample_traces: int
    spans_per_trace: float
    spans_per_trace_error: float
    wire_bytes_per_span: float
    trace_bytes_per_span: float
    attributes_per_span: float
    resources_per_trace: float
    services: int
    max_depth: int
    duration_s: NDArray[np.float64]
    error_traces_ratio: float
    failed: NDArray[np.bool_]

    def slow_ratio(self, threshold_s: float) -> float:
        """Share of traces longer than ``threshold_s``."""
        return float((self.duration_s > threshold_s).mean())

    def errors_or_slow_ratio(self, threshold_s: float) -> float:
        """Share of traces that hold an error or are longer than ``threshold_s``."""
        return float((self.failed | (self.duration_s > threshold_s)).mean())


def measure_shape(topology: Topology, traces: int = 8000, seed: int = 1) -> Shape:
    """The shape of a topology, from ``traces`` drawn traces; the same for the same arguments.

    Fewer are drawn where traces may be so large that as many would not fit into memory.
    """
    program = compile_topology(topology)
    traces = min(traces, program.most_traces)
    pieces = for_run(compile_pieces(program), seed, "shape")
    batch = draw(program, seed, "shape", 0, np.full(traces, 1_800_000_000 * 10**9))
    per_trace = batch.spans_per_trace()
    duration_s = batch.duration_ns() / NS_PER_S
    order = np.argsort(duration_s, kind="stable")
    return Shape(
        topology=topology.name,
        sample_traces=traces,
        spans_per_trace=float(per_trace.mean()),
        spans_per_trace_error=float(per_trace.std(ddof=1) / sqrt(traces)) if traces > 1 else 0.0,
        wire_bytes_per_span=_bytes_per_span(pieces, batch, SPANS_PER_REQUEST, batch.spans),
        trace_bytes_per_span=_bytes_per_span(pieces, batch, 0, int(batch.first_span[min(_ALONE, traces)])),
        attributes_per_span=_attributes_per_span(pieces, batch),
        resources_per_trace=len(np.unique(batch.trace.astype(np.int64) * len(pieces.resources) + batch.resource))
        / traces,
        services=len(topology.services),
        max_depth=int(depths(batch).max()),
        duration_s=duration_s[order],
        error_traces_ratio=float(batch.failed_traces().mean()),
        failed=batch.failed_traces()[order],
    )


def depths(batch: SpanBatch) -> NDArray[np.int64]:
    """Edges between each span and its root, int64[n]."""
    depth = np.zeros(batch.spans, np.int64)
    above = batch.parent.astype(np.int64)
    while (below := np.flatnonzero(above >= 0)).size:
        depth[below] += 1
        above[below] = batch.parent[above[below]]
    return depth


def _bytes_per_span(pieces: Pieces, batch: SpanBatch, least_spans: int, rows: int) -> float:
    """Bytes of requests of whole traces with at least ``least_spans`` spans each, over the first ``rows`` spans."""
    cuts = [0]
    for end in batch.first_span[1:].tolist():
        if end - cuts[-1] >= least_spans or end >= rows:
            cuts.append(end)
        if end >= rows:
            break
    layout = lay_out(pieces, batch, np.array(cuts))
    return sum(len(encode(layout, i)) for i in range(len(cuts) - 1)) / cuts[-1]


def _attributes_per_span(pieces: Pieces, batch: SpanBatch) -> float:
    constants = np.array([len(form.constants) for form in pieces.program.forms])
    return float((constants[batch.form] + pieces.program.slot_count[batch.form]).mean())
