"""Drawing a block: (program, seed, run id, block number, intended starts) -> spans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.synth.batch import SpanBatch
from loadgen.synth.program import Program
from loadgen.synth.settle import Outcome, settle
from loadgen.synth.slots import draw_numbers
from loadgen.synth.streams import Stream, Words, high, mixed, stream_key
from loadgen.synth.tree import NO_CAUSE, Ints, Level, grow, ragged

NS_PER_MS = 1_000_000


def draw(
    program: Program,
    seed: int,
    run_id: str,
    block: int,
    starts_ns: NDArray[np.int64],
    *,
    ending: bool = False,
) -> SpanBatch:
    """The spans of block ``block``: a pure function of its arguments, alike on every machine.

    Args:
        program: The compiled topology.
        seed: Keys the content: shapes, latencies, failures and attribute values.
        run_id: With the seed, keys trace and span ids, so that two runs never share one.
        block: The block's number, 0 <= block < 2**63.
        starts_ns: Intended time of each of its traces, int64[m] [ns since the epoch].
        ending: Whether the intended time is the trace's end (as when it is delivered whole) or its start.
    """
    levels = grow(program, len(starts_ns), Stream(stream_key(seed, "tree"), block))
    spans = _flatten(levels, settle(program, levels))
    spans = _only(spans, ~program.hidden[spans.operation])
    ids = Stream(stream_key(seed, run_id, "ids"), block)
    trace_words = ids.words(2 * len(starts_ns))
    span_ids = np.maximum(ids.words(len(spans.trace)), np.uint64(1))  # an id of zeros is invalid
    begin_ns = starts_ns - _extent_ns(spans, len(starts_ns)) if ending else starts_ns
    start_ns = begin_ns[spans.trace] + spans.start_ns
    values = Stream(stream_key(seed, "values"), block)
    choice = values.words(len(starts_ns))
    form = np.where(spans.cause == NO_CAUSE, spans.operation, spans.cause + _operations(program))
    end_ns = start_ns + spans.duration_ns
    slot, span, number = _values(program, form, spans.trace, len(starts_ns), values)
    _derive(program, slot, number, span, (start_ns, end_ns, spans.parent))
    counts = program.slot_count[form]
    service = program.service[spans.operation]
    return SpanBatch(
        block=block,
        starts_ns=starts_ns,
        trace_ids=np.maximum(trace_words, np.uint64(1)).astype("<u8").view(np.uint8).reshape(-1, 16),
        first_span=np.searchsorted(spans.trace, np.arange(len(starts_ns) + 1)),
        trace=spans.trace.astype(np.int32),
        parent=spans.parent.astype(np.int32),
        operation=spans.operation,
        cause=spans.cause,
        form=form,
        resource=_resources(program, choice).take(spans.trace * len(program.instances) + service),
        remote=(spans.parent >= 0) & (service[spans.parent] != service),
        span_ids=span_ids,
        start_ns=start_ns,
        end_ns=end_ns,
        first_value=np.cumsum(counts) - counts,
        slot=slot,
        number=number,
    )


def _extent_ns(spans: _Spans, traces: int) -> Ints:
    """From the start of each trace to the end of its last span [ns]."""
    first = np.searchsorted(spans.trace, np.arange(traces))
    return np.maximum.reduceat(spans.start_ns + spans.duration_ns, first)


def _operations(program: Program) -> int:
    """Number of operations that make spans: the forms of success come first."""
    return int((~program.hidden).sum())


class _Spans:
    """Spans of all levels in one set of arrays; times are relative to the trace's start."""

    __slots__ = ("cause", "duration_ns", "operation", "parent", "start_ns", "trace")

    def __init__(self, *arrays: Ints) -> None:
        self.trace, self.operation, self.parent, self.start_ns, self.duration_ns, self.cause = arrays


def _flatten(levels: list[Level], outcomes: list[Outcome]) -> _Spans:
    """All spans that happened, level by level, with the parent's index and the start after the trace's."""
    kept: list[tuple[Ints, ...]] = []
    number = np.zeros(0, np.int64)
    start = np.zeros(0, np.int64)
    total = 0
    for level, outcome in zip(levels, outcomes, strict=True):
        if total:
            parent, start = number.take(level.parent), start.take(level.parent) + outcome.offset_ns
            happened = outcome.happened & (parent >= 0)
        else:
            happened, parent, start = outcome.happened, level.parent, outcome.offset_ns
        arrays = (level.trace, level.operation, parent, start, outcome.duration_ns, outcome.cause)
        rows = np.flatnonzero(happened)
        number = np.full(len(happened), -1)
        number[rows] = total + np.arange(len(rows))
        total += len(rows)
        kept.append(tuple(array.take(rows) for array in arrays) if len(rows) < len(happened) else arrays)
    return _sorted(_Spans(*(np.concatenate(arrays) for arrays in zip(*kept, strict=True))))


def _sorted(spans: _Spans) -> _Spans:
    """By trace; within a trace parents still come before their children."""
    return _reorder(spans, np.argsort(_narrow(spans.trace), kind="stable"))


def _narrow(keys: Ints) -> NDArray[np.uint16] | Ints:
    """Keys as 16-bit numbers where they fit: NumPy then sorts by radix, five times faster."""
    return keys.astype(np.uint16) if not len(keys) or keys.max() < 2**16 else keys


def _only(spans: _Spans, wanted: NDArray[np.bool_]) -> _Spans:
    return spans if wanted.all() else _reorder(spans, np.flatnonzero(wanted))


def _reorder(spans: _Spans, rows: NDArray[np.intp]) -> _Spans:
    place = np.full(len(spans.trace) + 1, -1)  # one more, so that parent -1 maps to -1
    place[rows] = np.arange(len(rows))
    parent = place.take(spans.parent.take(rows), mode="wrap")
    others = (spans.start_ns, spans.duration_ns, spans.cause)
    return _Spans(spans.trace.take(rows), spans.operation.take(rows), parent, *(array.take(rows) for array in others))


def _resources(program: Program, choice: Words) -> Ints:
    """The instance of each service that serves each trace, as a resource number, int64[traces, services]."""
    service = np.arange(len(program.instances), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    word = mixed(choice[:, np.newaxis] ^ service)
    instance = high(word) * program.instances.astype(np.uint64) >> np.uint64(32)
    return program.first_resource + instance.astype(np.int64)


def _values(
    program: Program, form: Ints, trace: Ints, traces: int, stream: Stream
) -> tuple[Ints, Ints, NDArray[np.uint64]]:
    """Slot, span and drawn number of each value."""
    span, nth = ragged(program.slot_count[form])
    slot = program.first_slot[form][span] + nth
    shared = stream.words(traces * program.variables).reshape(traces, program.variables)
    words = stream.words(len(slot))
    if program.variables:
        variable = program.slots.variable[slot]
        uses = np.flatnonzero(variable >= 0)
        words[uses] = shared[trace[span[uses]], variable[uses]]
    return slot, span, draw_numbers(program.slots, slot, words)


def _derive(
    program: Program, slot: Ints, number: NDArray[np.uint64], span: Ints, facts: tuple[Ints, Ints, Ints]
) -> None:
    """Fill in the values that follow from the spans' own start, end and parent."""
    rules = {i: each.rule.derive for i, each in enumerate(program.slots.slots) if each.rule.derive is not None}
    if not rules:
        return
    start_ns, end_ns, parent = facts
    sources = {
        "duration_ms": (end_ns - start_ns) // NS_PER_MS,
        "children": np.bincount(parent[parent >= 0], minlength=len(parent)),
        "start_time": start_ns,
        "end_time": end_ns,
    }
    for rule, source in sources.items():
        slots = [i for i, name in rules.items() if name == rule]
        at = np.flatnonzero(np.isin(slot, slots))
        number[at] = source[span[at]].astype(np.uint64)
