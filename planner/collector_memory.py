"""Resident memory of the Collector: its base, what it works on, its queue, and the tail sampler's state.

Source: measured live heap per span, per attribute and per fragment; a fragment is what one request
carries of one trace, and copies resource and scope.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.evidence import Observed
from planner.figures import Range, figure
from planner.records import Basis, Figure
from planner.shape import TraceShape
from planner.shipped import Shipped
from planner.text import number, size


@dataclass(frozen=True, slots=True)
class Collectors:
    """How many replicas, and whether they sample by tail."""

    replicas: int
    tail: bool


@dataclass(frozen=True, slots=True)
class TailState:
    """What a tail sampler holds: traces that wait, bytes of each, and its tables."""

    waiting_traces: float
    num_traces: float
    trace_bytes: Range
    live_bytes: Range


def span_bytes(shape: TraceShape, shipped: Shipped) -> float:
    """Live heap of one span of this shape [bytes], without its fragment's share."""
    return shipped["tail_span_bytes"].value + shipped["tail_attribute_bytes"].value * shape.attributes_per_span


def held_trace_bytes(shape: TraceShape, shipped: Shipped) -> Range:
    """Live heap of one whole trace: from one fragment, over one per resource, to two per resource."""
    spans = shape.spans_per_trace * span_bytes(shape, shipped)
    resources = max(1.0, shape.resources_per_trace)
    fragments = Range(resources, 1.0, max(resources, min(shape.spans_per_trace, 2 * resources)))
    return fragments.times(shipped["tail_fragment_bytes"].value).plus(spans)


def held_s(shipped: Shipped) -> float:
    """How long a tail sampler holds a trace [s]."""
    return shipped["decision_wait_s"].value + shipped["decision_tick_s"].value


def tail_state(shape: TraceShape, traces_per_s: float, shipped: Shipped) -> TailState:
    """The state at a rate of traces before sampling."""
    waiting = traces_per_s * held_s(shipped)
    table = waiting * shipped["num_traces_margin"].value
    each = held_trace_bytes(shape, shipped)
    caches = shipped["cache_entry_bytes"].amount.times(2 * shipped["caches_over_num_traces"].value)
    tables = shipped["num_traces_entry_bytes"].amount.plus(caches).times(table)
    return TailState(waiting, table, each, each.times(waiting).plus(tables))


def queue_bytes(shape: TraceShape, shipped: Shipped) -> float:
    """Live heap of the shipped sending queue when it is full."""
    each = span_bytes(shape, shipped) * shipped["queued_span_factor"].value
    return shipped["queue_spans"].value * each


@dataclass(frozen=True, slots=True)
class Base:
    """Resident memory of one Collector besides what depends on the rate [bytes], and where it comes from."""

    memory_bytes: Range
    source: str


def shipped_base(shipped: Shipped) -> Base:
    """The base that comes with this release."""
    return Base(shipped["collector_base_bytes"].amount, shipped["collector_base_bytes"].cited)


def measured_base(observed: Observed, shipped: Shipped) -> Base:
    """What is left of a measured Collector's memory when the work at its rate is taken off."""
    work = shipped["collector_bytes_per_span_per_s"].value * observed.spans_per_s
    median, peak = (max(0.0, seen - work) for seen in (observed.rss_median_bytes, observed.rss_max_bytes))
    return Base(Range((median + peak) / 2, median, peak), observed.source)


def measured_rate(shipped: Shipped, *, tail: bool) -> float:
    """Greatest rate at one Collector for which memory was measured [spans/s]; by tail, what it then holds."""
    if tail:
        return shipped["tail_measured_spans"].value / held_s(shipped)
    return shipped["collector_measured_spans_per_s"].value


def collector_memory(shape: TraceShape, traces_per_s: float, shipped: Shipped, plan: Collectors, base: Base) -> Figure:
    """Resident memory of all Collector replicas together; the high end has the sending queues full."""
    spans_per_s, replicas = traces_per_s * shape.spans_per_trace, plan.replicas
    bases = base.memory_bytes.times(float(replicas))
    work = shipped["collector_bytes_per_span_per_s"].amount.times(spans_per_s)
    heap = shipped["go_heap_factor"]
    full = Range(0.0, 0.0, queue_bytes(shape, shipped) * heap.amount.low * replicas)
    total = bases.plus(work).plus(full)
    each = f"{replicas} x {size(base.memory_bytes.value)}"
    working = (
        f"{each} base + {size(work.value)} in work at {number(spans_per_s)} spans/s; high end: "
        f"queue of {number(shipped['queue_spans'].value)} spans full, {size(full.high)}"
    )
    sources = [base.source, shipped["collector_bytes_per_span_per_s"].cited]
    most = measured_rate(shipped, tail=plan.tail) * replicas
    basis = Basis.EXTRAPOLATED if spans_per_s > most else Basis.PUBLISHED
    if plan.tail:
        held, held_working = _held(shape, traces_per_s, shipped)
        total, working = total.plus(held), f"{working}; {held_working}"
        sources.append(f"{shipped['tail_span_bytes'].source}; live heap of what is held")
    if spans_per_s > most:
        sources.append(f"extrapolated: {number(spans_per_s / most, 2)}x the measured {number(most)} spans/s")
    return figure(total, "bytes", basis, "; ".join(sources), working)


def _held(shape: TraceShape, traces_per_s: float, shipped: Shipped) -> tuple[Range, str]:
    state, heap = tail_state(shape, traces_per_s, shipped), shipped["go_heap_factor"].amount
    working = (
        f"tail state {number(traces_per_s)} traces/s x {number(held_s(shipped))} s x "
        f"{size(state.trace_bytes.value)} a trace, and tables for {number(state.num_traces)} traces, "
        f"x {number(heap.value)} resident over live"
    )
    return state.live_bytes.times(heap), working
