"""What the planner needs to know of a topology's traces."""

from __future__ import annotations

from math import sqrt
from typing import Protocol

import numpy as np

from planner.figures import Range, figure
from planner.records import Basis, Figure

Durations = np.ndarray[tuple[int], np.dtype[np.float64]]
Z95 = 1.959964


class TraceShape(Protocol):
    """Means over a sample of a topology's traces; ``loadgen.shape.Shape`` is one.

    ``wire_bytes_per_span`` is OTLP protobuf without compression, 2,000 spans a request grouped by
    resource; ``trace_bytes_per_span`` the same with each trace alone, as Tempo holds live traces.
    ``duration_s`` is sorted.
    """

    @property
    def topology(self) -> str: ...  # noqa: D102
    @property
    def sample_traces(self) -> int: ...  # noqa: D102
    @property
    def spans_per_trace(self) -> float: ...  # noqa: D102
    @property
    def spans_per_trace_error(self) -> float: ...  # noqa: D102
    @property
    def wire_bytes_per_span(self) -> float: ...  # noqa: D102
    @property
    def trace_bytes_per_span(self) -> float: ...  # noqa: D102
    @property
    def attributes_per_span(self) -> float: ...  # noqa: D102
    @property
    def resources_per_trace(self) -> float: ...  # noqa: D102
    @property
    def duration_s(self) -> Durations: ...  # noqa: D102
    @property
    def error_traces_ratio(self) -> float: ...  # noqa: D102

    def errors_or_slow_ratio(self, threshold_s: float) -> float:
        """Share of traces with an ERROR span or longer than ``threshold_s`` [0-1]."""
        ...


def spans_range(shape: TraceShape) -> Range:
    """Spans per trace with the 95 % interval of its mean."""
    half = Z95 * shape.spans_per_trace_error
    return Range(shape.spans_per_trace, max(1.0, shape.spans_per_trace - half), shape.spans_per_trace + half)


def design_effect(shape: TraceShape) -> float:
    """E[m^2]/E[m] of spans per trace m: how much whole-trace sampling widens the variance of span counts."""
    variance = shape.spans_per_trace_error**2 * shape.sample_traces
    return variance / shape.spans_per_trace + shape.spans_per_trace


def large_trace_spans(shape: TraceShape) -> float:
    """Mean plus three standard deviations of spans per trace: what limits on one trace must let pass."""
    return shape.spans_per_trace + 3 * shape.spans_per_trace_error * sqrt(shape.sample_traces)


def mean_residence_s(shape: TraceShape, still_s: float, longest_s: float) -> float:
    """Mean time a trace stays live [s]: its own duration and ``still_s`` after it, at most ``longest_s``."""
    return float(np.minimum(np.asarray(shape.duration_s) + still_s, longest_s).mean())


def longer_than(shape: TraceShape, threshold_s: float) -> float:
    """Share of traces that last longer than ``threshold_s`` [0-1]."""
    return float((np.asarray(shape.duration_s) > threshold_s).mean())


def duration_p99_s(shape: TraceShape) -> float:
    """99th percentile of trace durations [s]."""
    return float(np.quantile(shape.duration_s, 0.99))


def shape_figures(shape: TraceShape) -> dict[str, Figure]:
    """The shape as figures, for the plan's record."""
    drawn = f"{shape.sample_traces:,} traces drawn from the topology {shape.topology}"

    def one(name: str, value: float, unit: str) -> Figure:
        return figure(value, unit, Basis.COMPUTED, f"{drawn}; mean", f"{name} = {value:.4g}, mean of {drawn}")

    spans = spans_range(shape)
    working = f"mean {spans.value:.4g} +- 1.96 x {shape.spans_per_trace_error:.3g}"
    return {
        "spans_per_trace": figure(
            spans, "ratio", Basis.COMPUTED, f"{drawn}; range: 95 % interval of the mean", working
        ),
        "wire_bytes_per_span": one("OTLP bytes per span", shape.wire_bytes_per_span, "bytes"),
        "trace_bytes_per_span": one("bytes per span, each trace alone", shape.trace_bytes_per_span, "bytes"),
        "attributes_per_span": one("attributes per span", shape.attributes_per_span, "ratio"),
        "resources_per_trace": one("resources per trace", shape.resources_per_trace, "ratio"),
        "error_traces_ratio": one("traces with an error", shape.error_traces_ratio, "ratio"),
        "duration_mean_s": one("trace duration", float(np.mean(shape.duration_s)), "s"),
        "duration_p99_s": figure(
            duration_p99_s(shape), "s", Basis.COMPUTED, drawn, "99th percentile of trace durations"
        ),
    }
