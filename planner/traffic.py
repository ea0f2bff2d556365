"""Traffic: what the user said, and the same in traces, spans and bytes per second."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from loadgen.errors import InputError
from planner.figures import Range, figure
from planner.records import Basis, Figure
from planner.shape import TraceShape, spans_range
from planner.text import DAY_S, byte_rate, number

Counted = Literal["traces", "spans", "bytes"]
FORMS = "must be traffic such as 1000rps, '1000 traces/s', '20000 spans/s', 8MB/s, 8MiB/s or '50M traces/day'"
LARGEST_PER_S = 1e12  # far over any stack; keeps every product finite

_TEXT = re.compile(
    r"(?P<count>\d+(?:[,_]\d{3})*(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)\s*(?P<factor>[kKMG]i?)?\s*"
    r"(?P<unit>rps|requests?|req|traces?|spans?|B|bytes)?\s*(?:(?:/|per)\s*(?P<per>[a-z]+))?",
    re.ASCII,
)
_FACTORS = {
    "": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9,
    "ki": 2.0**10, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30,
}  # fmt: skip
_PER_S = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0,
    "d": DAY_S, "day": DAY_S,
}  # fmt: skip


class Stated(NamedTuple):
    """A rate as stated: how many of what per second."""

    per_s: float
    counted: Counted


def _counted(unit: str) -> Counted:
    return "bytes" if unit in {"B", "bytes"} else "spans" if unit.startswith("span") else "traces"


def parse_traffic(text: str) -> Stated:
    """The rate in ``text``; ``1000rps`` means 1000 traces/s.

    Raises:
        InputError: Not one of the forms named in the message, or not over 0.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise InputError("--traffic", text, FORMS)
    unit, factor, per = found["unit"], found["factor"] or "", found["per"]
    counted = _counted(found["unit"] or "traces")
    whole = counted != "bytes" and factor.endswith("i")
    if (unit == "rps") == (per is not None) or per not in {None, *_PER_S} or whole:
        raise InputError("--traffic", text, FORMS)
    per_s = float(re.sub("[,_]", "", found["count"])) * _FACTORS[factor] / _PER_S[per or "s"]
    if not 0 < per_s <= LARGEST_PER_S:
        raise InputError("--traffic", text, f"must be over 0 and at most {LARGEST_PER_S:.0e} per second")
    return Stated(per_s, counted)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Mean traffic in every unit, with the range that the shape's sample leaves, and the peak over it."""

    text: str
    traces_per_s: Range
    spans_per_s: Range
    bytes_per_s: Range
    peak_factor: float

    def scaled(self, factor: float) -> Traffic:
        """The same traffic, ``factor`` times as much."""
        traces, spans = self.traces_per_s.times(factor), self.spans_per_s.times(factor)
        return Traffic(self.text, traces, spans, self.bytes_per_s.times(factor), self.peak_factor)

    @property
    def peak(self) -> Traffic:
        """The traffic to provision for."""
        return self.scaled(self.peak_factor)


def read_traffic(text: str, shape: TraceShape, peak_factor: float) -> Traffic:
    """What ``text`` states, converted with the traces' shape; what is stated has no range, what follows has.

    Raises:
        InputError: See :func:`parse_traffic`.
    """
    stated, spans = parse_traffic(text), spans_range(shape)
    wire_bytes = shape.wire_bytes_per_span
    if stated.counted == "traces":
        traces = Range.exact(stated.per_s)
        return Traffic(text, traces, traces.times(spans), traces.times(spans).times(wire_bytes), peak_factor)
    per_s = stated.per_s if stated.counted == "spans" else stated.per_s / wire_bytes
    rate = Range.exact(per_s)
    return Traffic(text, rate.over(spans), rate, rate.times(wire_bytes), peak_factor)


def first_line(traffic: Traffic, shape: TraceShape, place: str) -> str:
    """The line every output begins with: topology, its spans per trace and bytes per span, the rates."""
    spans = format(shape.spans_per_trace, "#.3g").rstrip(".")
    size = f"{spans} spans/trace, {number(shape.wire_bytes_per_span)} B/span on the wire"
    rates = f"{number(traffic.spans_per_s.value)} spans/s, {byte_rate(traffic.bytes_per_s.value)}"
    return f"{number(traffic.traces_per_s.value)} traces/s of {shape.topology} ({place}): {size} -> {rates}"


def traffic_figures(traffic: Traffic, shape: TraceShape) -> dict[str, Figure]:
    """Mean and peak in all units, for the plan's record."""
    source = f"{traffic.text!r} (1 rps = 1 trace/s) and the shape of {shape.topology}; range: 95 %"
    spans, wire = number(shape.spans_per_trace), number(shape.wire_bytes_per_span)

    def rates(of: Traffic, prefix: str, factor: str) -> dict[str, Figure]:
        chain = f"{traffic.text!r} at {spans} spans/trace and {wire} B/span on the wire{factor}"
        named = {"traces": of.traces_per_s, "spans": of.spans_per_s, "bytes": of.bytes_per_s}
        return {
            f"{prefix}{unit}_per_s": figure(rate, f"{unit}/s", Basis.COMPUTED, source, chain)
            for unit, rate in named.items()
        }

    what = "peak over mean; 1: the stated rate is the peak"
    factor = figure(traffic.peak_factor, "ratio", Basis.ASSUMED, "--peak-factor", what)
    day = traffic.bytes_per_s.times(DAY_S)
    daily = f"{byte_rate(traffic.bytes_per_s.value)} x 86,400 s"
    per_day = figure(day, "bytes/day", Basis.COMPUTED, source, daily)
    mean = rates(traffic, "", "")
    peak = rates(traffic.peak, "peak_", f", times the peak factor {number(traffic.peak_factor)}")
    return mean | {"bytes_per_day": per_day, "peak_factor": factor} | peak
