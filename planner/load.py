"""What a monolithic Tempo is given, and how far that lies outside what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from planner.shape import TraceShape, mean_residence_s
from planner.shipped import Series, Shipped
from planner.text import number


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Rates at Tempo, after sampling."""

    spans_per_s: float
    wire_bytes_per_span: float
    live_traces: float
    spans_per_trace: float

    @property
    def megabytes_per_s(self) -> float:
        """Uncompressed OTLP bytes [10^6 B/s]."""
        return self.spans_per_s * self.wire_bytes_per_span / 1e6


def tempo_load(shape: TraceShape, traces_per_s: float, shipped: Shipped) -> Load:
    """The load that ``traces_per_s`` traces of this shape are."""
    return Load(
        spans_per_s=traces_per_s * shape.spans_per_trace,
        wire_bytes_per_span=shape.wire_bytes_per_span,
        live_traces=traces_per_s * residence_s(shape, shipped),
        spans_per_trace=shape.spans_per_trace,
    )


def residence_s(shape: TraceShape, shipped: Shipped) -> float:
    """Mean time a trace is live in Tempo [s]."""
    return mean_residence_s(shape, shipped["live_trace_residence_s"].value, shipped["max_trace_live_s"].value)


def row_loads(series: Series) -> list[Load]:
    """The loads of measured runs."""
    names = ("spans_per_s", "wire_bytes_per_span", "live_traces", "spans_per_trace")
    return [Load(**{name: float(row[name]) for name in names}) for row in series.rows]


@dataclass(frozen=True, slots=True)
class Measured:
    """Least and greatest load among the measured runs."""

    spans_per_s: tuple[float, float]
    spans_per_trace: tuple[float, float]
    wire_bytes_per_span: tuple[float, float]

    @classmethod
    def of(cls, loads: list[Load], wire_bytes: tuple[float, float]) -> Measured:
        """The range of ``loads``; the size of spans was varied in runs of their own."""
        rates, sizes = [x.spans_per_s for x in loads], [x.spans_per_trace for x in loads]
        return cls((min(rates), max(rates)), (min(sizes), max(sizes)), wire_bytes)

    def including(self, load: Load) -> Measured:
        """The same with one more measured run."""
        return Measured(
            _with(self.spans_per_s, load.spans_per_s),
            _with(self.spans_per_trace, load.spans_per_trace),
            _with(self.wire_bytes_per_span, load.wire_bytes_per_span),
        )

    def outside(self, load: Load) -> list[str]:
        """One text for each way in which ``load`` lies outside; empty inside."""
        limits = {
            "spans/s": (load.spans_per_s, self.spans_per_s),
            "spans/trace": (load.spans_per_trace, self.spans_per_trace),
            "B/span": (load.wire_bytes_per_span, self.wire_bytes_per_span),
        }
        out = {unit: pair for unit, pair in limits.items() if not pair[1][0] <= pair[0] <= pair[1][1]}
        return [_beyond(unit, value, *ends) for unit, (value, ends) in out.items()]


def _with(ends: tuple[float, float], value: float) -> tuple[float, float]:
    return min(ends[0], value), max(ends[1], value)


def _beyond(unit: str, value: float, low: float, high: float) -> str:
    end, factor = (high, value / high) if value > high else (low, value / low)
    return f"{number(value)} {unit} is {number(factor, 2)}x the measured {number(end)}"
