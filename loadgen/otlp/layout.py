"""What each span of a batch is joined from and filled with, worked out once for all its requests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.otlp.pieces import LONGEST_VARINT, Ints, Pieces
from loadgen.synth import Meaning, SpanBatch
from loadgen.synth.digits import drawn_text
from loadgen.synth.tree import ragged

_VARINT_STEPS = np.array([1 << 7 * i for i in range(1, LONGEST_VARINT - 1)], np.uint64)

# A span's ids as they stand on the wire, each behind its tag and length; a root ends before the parent's tag.
IDS = np.dtype(
    [("trace_tag", "<u2"), ("trace_id", "<u8", 2), ("span_tag", "<u2"), ("span_id", "<u8")]
    + [("parent_tag", "<u2"), ("parent_id", "<u8")]
)
ROOT_IDS_BYTES = IDS.fields["parent_tag"][1] if IDS.fields is not None else 0
_TAGS = {"trace_tag": 0x100A, "span_tag": 0x0812, "parent_tag": 0x0822}
# Start and end, each behind its tag: they follow each other, so they are one store.
TIMES = np.dtype([("start_tag", "u1"), ("start_ns", "<i8"), ("end_tag", "u1"), ("end_ns", "<i8")])


@dataclass(frozen=True, slots=True)
class Filling:
    """Values of one width whose digits are written into their pieces: the last ``width`` bytes of each.

    Attributes:
        row: Per value of the batch its row in ``text``, -1 for values that are not of this kind, int64[k].
        text: What is written, V{width}[rows].
    """

    row: Ints
    text: NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a batch of n spans and k values.

    Attributes:
        value_piece: Piece of each value, int64[k].
        value_end: Bytes from its span's content to the end of each value, int64[k].
        values: Number of values of each span, int64[n].
        body_bytes: Length of each span's message, int64[n].
        width: Bytes of its length field, 1 to 3, int64[n].
        head, tail: Pieces, int64[n].
        is_root: Whether the span has no parent, bool[n].
        ids, times: What is stored in each span, IDS[n] and TIMES[n].
        times_at: Where the times' tag stands in the span's message, int64[n].
        event_at: Where the time of its exception stands, from the message's end, 0 where there is none, int64[n].
        fillings: Values with digits of their own.
    """

    value_piece: Ints
    value_end: Ints
    values: Ints
    body_bytes: Ints
    width: Ints
    head: Ints
    tail: Ints
    is_root: NDArray[np.bool_]
    ids: NDArray[np.void]
    times: NDArray[np.void]
    times_at: Ints
    event_at: Ints
    fillings: tuple[Filling, ...]


def varint_bytes(numbers: NDArray[np.uint64]) -> Ints:
    """Bytes that each number below 2**63 takes as a varint, 1 to 9."""
    return np.searchsorted(_VARINT_STEPS, numbers, side="right") + 1


def lay_out(pieces: Pieces, batch: SpanBatch) -> Layout:
    """The layout of a batch."""
    value_piece = _value_pieces(pieces, batch)
    values = pieces.program.slot_count[batch.form]
    value_bytes = pieces.length[value_piece]
    upto = np.concatenate([[0], np.cumsum(value_bytes)])
    before = upto[batch.first_value]
    is_root = batch.parent < 0
    has_parent = (~is_root).astype(np.int64)
    head_bytes = pieces.head_bytes[batch.form, has_parent]
    tail = pieces.tail[batch.form, batch.remote.astype(np.int64)]
    body_bytes = head_bytes + pieces.length[tail] + upto[batch.first_value + values] - before
    width = 1 + (body_bytes > 0x7F) + (body_bytes > 0x3FFF)
    event_at = pieces.event_at[batch.form]
    return Layout(
        value_piece=value_piece,
        value_end=upto[1:] + np.repeat(head_bytes - before, values),
        values=values,
        body_bytes=body_bytes,
        width=width,
        head=pieces.head[batch.form, has_parent, width - 1],
        tail=tail,
        is_root=is_root,
        ids=_ids(batch),
        times=_times(batch),
        times_at=pieces.start_at[batch.form, has_parent] - 1,
        event_at=np.where(event_at < 0, 0, pieces.length[tail] - event_at),
        fillings=_fillings(pieces, batch),
    )


def _value_pieces(pieces: Pieces, batch: SpanBatch) -> Ints:
    piece = pieces.slot_piece[batch.slot]
    meaning = pieces.program.slots.meaning[batch.slot]
    pooled = meaning == Meaning.POOL
    if pooled.all():
        return piece + batch.number.astype(np.int64)
    piece[pooled] += batch.number[pooled].astype(np.int64)
    numeric = np.flatnonzero(meaning == Meaning.NUMBER)
    piece[numeric] += varint_bytes(batch.number[numeric]) - 1
    return piece


def _ids(batch: SpanBatch) -> NDArray[np.void]:
    wire = batch.span_ids.byteswap()
    ids = np.empty(batch.spans, IDS)
    for field, tag in _TAGS.items():
        ids[field] = tag
    ids["trace_id"] = batch.trace_ids.view("<u8")[batch.trace]
    ids["span_id"] = wire
    ids["parent_id"] = wire[batch.parent]  # a root stores no such field
    return ids


def _times(batch: SpanBatch) -> NDArray[np.void]:
    times = np.empty(batch.spans, TIMES)
    times["start_tag"], times["end_tag"] = 0x39, 0x41
    times["start_ns"], times["end_ns"] = batch.start_ns, batch.end_ns
    return times


def _fillings(pieces: Pieces, batch: SpanBatch) -> tuple[Filling, ...]:
    """The digits of numbers, one filling per length of varint, and of texts, one per rule."""
    slots = pieces.program.slots
    meaning = slots.meaning[batch.slot]
    fillings = []
    numeric = np.flatnonzero(meaning == Meaning.NUMBER)
    width = varint_bytes(batch.number[numeric])
    for each in np.unique(width).tolist():
        rows = numeric[width == each]
        fillings.append(_filling(len(meaning), rows, _varints(batch.number[rows], each)))
    textual = np.flatnonzero((meaning == Meaning.RAW) | (meaning == Meaning.TIME))
    rule = slots.text_rule[batch.slot[textual]]
    for each in np.unique(rule).tolist():
        rows = textual[rule == each]
        fillings.append(_filling(len(meaning), rows, drawn_text(slots.slots[each].rule, batch.number[rows])))
    return tuple(fillings)


def _filling(values: int, rows: NDArray[np.intp], text: NDArray[np.uint8]) -> Filling:
    row = np.full(values, -1)
    row[rows] = np.arange(len(rows))
    return Filling(row, np.ascontiguousarray(text).view(f"V{text.shape[1]}").ravel())


def _varints(numbers: NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    """Numbers that all take ``width`` bytes as varints, uint8[k, width]."""
    octets = np.empty((len(numbers), width), np.uint8)
    for i in range(width):
        octets[:, i] = numbers >> np.uint64(7 * i) & np.uint64(0x7F)
    octets[:, :-1] |= 0x80
    return octets


def values_of(batch: SpanBatch, layout: Layout, spans: Ints) -> tuple[Ints, Ints, Ints]:
    """The values of the given spans in order: per value the place of its span in ``spans``, its number, its index."""
    place, number = ragged(layout.values[spans])
    return place, number, batch.first_value[spans][place] + number
