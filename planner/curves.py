"""RAM, CPU and storage against the rate, with the measured runs as points."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from planner.collector_memory import Collectors, collector_memory, measured_rate
from planner.figures import Range, ends_of
from planner.load import Load, tempo_load
from planner.records import Curve, Point
from planner.shipped import Series
from planner.sizing import Models, Sized
from planner.text import DAY_S, number
from planner.traffic import Traffic

STEPS = 33


def plan_curves(models: Models, traffic: Traffic, sized: Sized) -> tuple[Curve, ...]:
    """The curves of the recommended choice; Tempo's stand for one process, whatever the plan provisions."""
    low, high = models.memory.measured.spans_per_s
    rates = _grid(max(2 * sized.load.spans_per_s, 1.25 * high))
    received = _grid(2 * traffic.peak.spans_per_s.value)
    seen = measured_rate(models.shipped, tail=sized.sampling.kind == "tail")
    return (
        _curve("Tempo RSS, peak", "bytes", rates, lambda x: models.memory.peak_range(_load(models, x)),
               _run_points(models, "rss_max_bytes"), (low, high)),
        _curve("Tempo RSS, median", "bytes", rates, lambda x: models.memory.median_range(_load(models, x)),
               _run_points(models, "rss_median_bytes"), (low, high)),
        _curve("Tempo CPU", "cores", rates, lambda x: models.cpu.cores(_load(models, x)),
               _run_points(models, "cores"), (low, high)),
        _curve("Collector RSS", "bytes", received, lambda x: _collector(models, sized, x),
               _collector_points(models, sized), (0.0, seen)),
        _curve("Stored per day", "bytes/day", rates, lambda x: ends_of(models.per_span).times(x * DAY_S),
               _stored_points(models.shipped.series["stored"]), (0.0, float(rates[-1]))),
    )  # fmt: skip


def _grid(top: float) -> Sequence[float]:
    return [float(x) for x in np.linspace(0.0, top, STEPS)]


def _curve(
    name: str,
    y_unit: str,
    x: Sequence[float],
    at: Callable[[float], Range],
    points: tuple[Point, ...],
    valid: tuple[float, float],
) -> Curve:
    ranges = [at(rate) for rate in x]
    return Curve(
        name=name,
        x_unit="spans/s",
        y_unit=y_unit,
        x=tuple(x),
        y=tuple(r.value for r in ranges),
        low=tuple(r.low for r in ranges),
        high=tuple(r.high for r in ranges),
        points=points,
        valid_from=valid[0],
        valid_to=valid[1],
    )


def _load(models: Models, spans_per_s: float) -> Load:
    return tempo_load(models.shape, spans_per_s / models.shape.spans_per_trace, models.shipped)


def _run_points(models: Models, column: str) -> tuple[Point, ...]:
    rows = models.shipped.series["tempo_load"].rows
    return tuple(
        Point(
            x=float(row["spans_per_s"]),
            y=float(row[column]),
            label=f"measured: {row['spans_per_trace']} spans/trace, {row['wire_bytes_per_span']} B/span",
        )
        for row in rows
    )


def _collector(models: Models, sized: Sized, spans_per_s: float) -> Range:
    how = Collectors(sized.replicas("Collector"), sized.sampling.kind == "tail")
    traces = spans_per_s / models.shape.spans_per_trace
    return ends_of(collector_memory(models.shape, traces, models.shipped, how, models.base))


def _collector_points(models: Models, sized: Sized) -> tuple[Point, ...]:
    if sized.sampling.kind == "tail":
        return ()
    idle, busy = models.shipped["collector_idle_bytes"], models.shipped["collector_busy_bytes"]
    rate = models.shipped["collector_measured_spans_per_s"].value
    return (
        Point(x=0.0, y=idle.value, label="published: idle, average"),
        Point(x=rate, y=busy.value, label="published: average"),
        Point(x=rate, y=busy.amount.high, label="published: maximum"),
    )


def _stored_points(series: Series) -> tuple[Point, ...]:
    rate = 4000.0  # the rate of the runs; bytes per span do not depend on it
    return tuple(
        Point(
            x=rate,
            y=row["stored_bytes_per_span"] * rate * DAY_S,
            label=f"measured: {row['profile']}, {number(row['stored_bytes_per_span'])} B/span",
        )
        for row in series.rows
    )
