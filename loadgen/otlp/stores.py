"""What is written into joined pieces: lengths, ids, times, digits; all of a kind in one store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.otlp.pieces import Ints, Pieces
from loadgen.otlp.wire import Wire, bounds_of, varint_bytes
from loadgen.synth import Meaning, SpanBatch
from loadgen.synth.digits import drawn_text

# A span's ids as they stand on the wire, each behind its tag and length; a root ends before the parent's tag.
_IDS = np.dtype(
    [
        ("trace_tag", "<u2"),
        ("trace_id", "<u8", 2),
        ("span_tag", "<u2"),
        ("span_id", "<u8"),
        ("parent_tag", "<u2"),
        ("parent_id", "<u8"),
    ]
)
_ROOT_IDS_BYTES = 28
_ID_TAGS = {"trace_tag": 0x100A, "span_tag": 0x0812, "parent_tag": 0x0822}
# Start and end, each behind its tag: they follow each other, so they are one store.
_TIMES = np.dtype([("start_tag", "u1"), ("start_ns", "<i8"), ("end_tag", "u1"), ("end_ns", "<i8")])


@dataclass(frozen=True, slots=True)
class Store:
    """Items of one width and where they go.

    Attributes:
        at: Place of each item in its request, int64[k], in wire order.
        items: V{width}[k].
        bounds: Items of request i are bounds[i] .. bounds[i + 1], list of r + 1.
    """

    at: Ints
    items: NDArray[np.void]
    bounds: list[int]


def _store(wire: Wire, rows: Ints, at: Ints, items: NDArray[np.generic]) -> Store:
    """A store of ``items`` (one a row, any dtype or uint8[k, width]) that belong to spans ``rows``."""
    width = items.itemsize if items.ndim == 1 else items.shape[1]
    return Store(at, np.ascontiguousarray(items).view(f"V{width}").ravel(), bounds_of(wire, rows))


def stores_of(pieces: Pieces, batch: SpanBatch, wire: Wire, end: Ints) -> Iterator[Store]:
    """Lengths, ids, times, the times of exceptions, and the digits of values, of spans that end at ``end``."""
    content = end - wire.body_bytes
    for width in np.unique(wire.width).tolist():
        rows = np.flatnonzero(wire.width == width)
        yield _store(wire, rows, content[rows] - width, _varints(wire.body_bytes[rows].astype(np.uint64), width))
    ids = _ids(batch, wire.spans)
    has_parent = wire.variant & 1
    below, roots = np.flatnonzero(has_parent), np.flatnonzero(has_parent == 0)
    yield _store(wire, below, content.take(below), ids.take(below))
    root_ids = ids[roots].view(np.uint8).reshape(-1, _IDS.itemsize)[:, :_ROOT_IDS_BYTES]
    yield _store(wire, roots, content[roots], root_ids)
    times_at = content + pieces.start_at.take(wire.variant) - 1
    yield _store(wire, np.arange(len(times_at)), times_at, _times(batch, wire.spans))
    failed = np.flatnonzero(pieces.event_at[wire.form] >= 0)
    if len(failed):
        # An exception is recorded when its span ends.
        event_at = end[failed] - pieces.length[wire.tail[failed]] + pieces.event_at[wire.form[failed]]
        yield _store(wire, failed, event_at, batch.end_ns[wire.spans[failed]])
    yield from _digits(pieces, batch, wire, content)


def _ids(batch: SpanBatch, spans: Ints) -> NDArray[np.void]:
    wire = batch.span_ids.byteswap()
    ids = np.empty(len(spans), _IDS)
    for field, tag in _ID_TAGS.items():
        ids[field] = tag
    ids["trace_id"] = batch.trace_ids.view("<u8").take(batch.trace.take(spans), axis=0)
    ids["span_id"] = wire.take(spans)
    ids["parent_id"] = wire.take(batch.parent.take(spans), mode="wrap")  # a root stores no such field
    return ids


def _times(batch: SpanBatch, spans: Ints) -> NDArray[np.void]:
    times = np.empty(len(spans), _TIMES)
    times["start_tag"], times["end_tag"] = 0x39, 0x41
    times["start_ns"], times["end_ns"] = batch.start_ns.take(spans), batch.end_ns.take(spans)
    return times


def _digits(pieces: Pieces, batch: SpanBatch, wire: Wire, content: Ints) -> Iterator[Store]:
    """Numbers, by length of varint, and texts, by rule: they end where their piece ends."""
    slots = pieces.program.slots
    slot, number = batch.slot.take(wire.value), batch.number.take(wire.value)
    meaning = slots.meaning.take(slot)
    numeric = np.flatnonzero(meaning == Meaning.NUMBER)
    textual = np.flatnonzero((meaning == Meaning.RAW) | (meaning == Meaning.TIME))
    if not len(numeric) and not len(textual):
        return
    end = _value_ends(pieces, wire, content)
    width = varint_bytes(number[numeric])
    for each in np.unique(width).tolist():
        rows = numeric[width == each]
        yield _store(wire, wire.value_span[rows], end[rows] - each, _varints(number[rows], each))
    rule = slots.text_rule[slot[textual]]
    for each in np.unique(rule).tolist():
        rows = textual[rule == each]
        text = drawn_text(slots.slots[each].rule, number[rows])
        yield _store(wire, wire.value_span[rows], end[rows] - text.shape[1], text)


def _value_ends(pieces: Pieces, wire: Wire, content: Ints) -> Ints:
    """Where each value's piece ends in its request."""
    ends: Ints = np.cumsum(pieces.length.take(wire.value_piece))
    first = np.cumsum(wire.values) - wire.values
    before = np.concatenate([[0], ends])[first]
    ends += np.repeat(content + wire.head_bytes - before, wire.values)
    return ends


def _varints(numbers: NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    """Numbers that all take ``width`` bytes as varints, uint8[k, width]."""
    octets = np.empty((len(numbers), width), np.uint8)
    for i in range(width):
        octets[:, i] = numbers >> np.uint64(7 * i) & np.uint64(0x7F)
    octets[:, :-1] |= 0x80
    return octets
