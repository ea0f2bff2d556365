"""Stored bytes per span in Tempo's blocks, and per day.

The model of a span in vParquet4: a fixed part, a part for each attribute, a part for each trace shared
by its spans, and for values that do not repeat what their bytes take. How much of the wire bytes does
not repeat cannot be seen from sizes, so its spread over the measured profiles is the range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.figures import Range, ends_of, figure, weakest
from planner.records import Basis, Figure
from planner.shape import TraceShape
from planner.shipped import Known, Shipped
from planner.text import DAY_S, number

_LOW, _RANDOM = "base, ten low-cardinality attributes more", "base, two random 32-hex attributes more"
_SHORT, _LONG = "base, 5 spans per trace", "base, 100 spans per trace"
SAME_SHAPE_RATIO = 0.1  # a topology measured under its name counts while its shape is within this of then


@dataclass(frozen=True, slots=True)
class SpanModel:
    """Coefficients of the stored size of a span [bytes], from differences between measured profiles."""

    fixed: float
    per_attribute: float
    per_trace: float
    per_unique_byte: float
    attribute_wire_bytes: float
    bare_wire_bytes: float
    unique: Range  # share of the attribute bytes that behaves as values that never repeat

    def repeating(self, spans_per_trace: float, attributes: float) -> float:
        """Stored bytes of a span whose attribute values all repeat."""
        return self.fixed + self.per_attribute * attributes + self.per_trace / spans_per_trace

    def room(self, wire_bytes: float, attributes: float) -> float:
        """Stored bytes that never-repeating values could add."""
        spare = wire_bytes - self.bare_wire_bytes - self.attribute_wire_bytes * attributes
        return max(0.0, spare) * self.per_unique_byte

    def stored(self, wire_bytes: float, attributes: float, spans_per_trace: float) -> Range:
        """Stored bytes per span with the spread over the measured profiles."""
        base = self.repeating(spans_per_trace, attributes)
        return self.unique.times(self.room(wire_bytes, attributes)).plus(base)


def fit_spans(shipped: Shipped) -> SpanModel:
    """The model through the measured profiles."""
    series = shipped.series["stored"]
    base, low = series.where("profile", "base"), series.where("profile", _LOW)
    random, short, long = (series.where("profile", name) for name in (_RANDOM, _SHORT, _LONG))
    per_low, wire_low = _per_attribute(base, low)
    per_random, wire_random = _per_attribute(base, random)
    per_trace, per_span = _line(short, long)
    free = SpanModel(
        fixed=per_span - per_low * base["attributes_per_span"],
        per_attribute=per_low,
        per_trace=per_trace,
        per_unique_byte=(per_random - per_low) / (wire_random - wire_low),
        attribute_wire_bytes=wire_low,
        bare_wire_bytes=shipped["wire_bytes_without_attributes"].value,
        unique=Range.exact(0.0),
    )
    shares = [_unique_share(free, row) for row in series.rows if row["profile"] not in {_SHORT, _LONG}]
    return replace(free, unique=Range(float(np.mean(shares)), min(shares), max(shares)))


def _per_attribute(base: Mapping[str, Any], more: Mapping[str, Any]) -> tuple[float, float]:
    """Stored and wire bytes of each attribute by which ``more`` exceeds ``base``."""
    count = more["attributes_per_span"] - base["attributes_per_span"]
    stored = more["stored_bytes_per_span"] - base["stored_bytes_per_span"]
    return float(stored / count), float((more["wire_bytes_per_span"] - base["wire_bytes_per_span"]) / count)


def _line(short: Mapping[str, Any], long: Mapping[str, Any]) -> tuple[float, float]:
    """Stored bytes for each trace, and of a span in an endless trace, from two sizes of the same traces."""
    inverse_short, inverse_long = 1 / short["spans_per_trace"], 1 / long["spans_per_trace"]
    difference = short["stored_bytes_per_span"] - long["stored_bytes_per_span"]
    per_trace = float(difference / (inverse_short - inverse_long))
    return per_trace, float(long["stored_bytes_per_span"]) - per_trace * inverse_long


def _unique_share(model: SpanModel, row: Mapping[str, Any]) -> float:
    repeating = model.repeating(row["spans_per_trace"], row["attributes_per_span"])
    room = model.room(row["wire_bytes_per_span"], row["attributes_per_span"])
    return max(0.0, float(row["stored_bytes_per_span"] - repeating) / room)


def stored_per_span(shape: TraceShape, shipped: Shipped, measured: Figure | None = None) -> Figure:
    """Stored bytes per span: from the measured run, from this topology's own entry, or from the model."""
    if measured is not None:
        return measured
    own = shipped.measured_for(shape.topology, "stored_bytes_per_span")
    if own is not None and same_shape(shape, shipped):
        working = f"measured for {shape.topology}: {number(own.value)} B a span"
        return figure(own.amount, "bytes", own.basis, own.cited, working)
    return _modelled(shape, shipped)


def same_shape(shape: TraceShape, shipped: Shipped) -> bool:
    """Whether the topology still has the shape that was measured under its name, within 10 %."""
    now = {"spans_per_trace": shape.spans_per_trace, "wire_bytes_per_span": shape.wire_bytes_per_span}
    then: dict[str, Known | None] = {name: shipped.measured_for(shape.topology, name) for name in now}
    return all(known is None or abs(now[name] / known.value - 1) <= SAME_SHAPE_RATIO for name, known in then.items())


def _modelled(shape: TraceShape, shipped: Shipped) -> Figure:
    model, series = fit_spans(shipped), shipped.series["stored"]
    wire, attributes, spans = shape.wire_bytes_per_span, shape.attributes_per_span, shape.spans_per_trace
    outside = _outside(shape, shipped)
    base = model.repeating(spans, attributes)
    unique = model.unique
    working = (
        f"{model.fixed:.3g} + {model.per_attribute:.3g} x {attributes:.3g} attributes "
        f"+ {model.per_trace:.3g} / {spans:.4g} spans a trace = {base:.4g} B where all values repeat; "
        f"+ {unique.value:.0%} ({unique.low:.0%} to {unique.high:.0%}) of the "
        f"{model.room(wire, attributes):.4g} B that {wire:.4g} B on the wire leave for values that do not"
    )
    basis = Basis.EXTRAPOLATED if outside else Basis.MEASURED
    spread = f"range: spread between the profiles{outside}"
    source = f"model through {len(series.rows)} profiles: {series.cited}; {spread}"
    return figure(model.stored(wire, attributes, spans), "bytes", basis, source, working)


def _outside(shape: TraceShape, shipped: Shipped) -> str:
    series = shipped.series["stored"]
    found = []
    for name in ("wire_bytes_per_span", "attributes_per_span", "spans_per_trace"):
        value, column = getattr(shape, name), series.column(name)
        if not column.min() <= value <= column.max():
            found.append(f"{name} {value:.4g} is outside the measured {column.min():.4g} to {column.max():.4g}")
    return "; " + ", ".join(found) if found else ""


def stored_per_day(kept_spans_per_s: Range, per_span: Figure, kept_basis: Basis = Basis.COMPUTED) -> Figure:
    """Bytes that a day adds to the blocks."""
    daily = kept_spans_per_s.times(ends_of(per_span)).times(DAY_S)
    each = number(ends_of(per_span).value)
    working = f"{number(kept_spans_per_s.value)} spans/s kept x {each} B/span x 86,400 s"
    return figure(daily, "bytes/day", weakest(per_span.basis, kept_basis), per_span.source, working)
