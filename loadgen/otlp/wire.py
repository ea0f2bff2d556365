"""The spans of some requests in the order in which they stand on the wire, and the pieces they are joined from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.otlp.pieces import LONGEST_VARINT, Ints, Pieces
from loadgen.synth import Meaning, SpanBatch
from loadgen.synth.tree import ragged

_VARINT_STEPS = np.array([1 << 7 * i for i in range(1, LONGEST_VARINT - 1)], np.uint64)


@dataclass(frozen=True, slots=True)
class Wire:
    """The spans of all requests in wire order; places count from the start of each span's request."""

    spans: Ints
    request: Ints
    form: Ints
    variant: Ints  # of the head: 2 * form, and 1 more where there is a parent
    values: Ints  # how many
    value: Ints  # index of each value in the batch
    value_span: Ints  # its span, as a place in wire order
    value_number: Ints  # its number within the span
    value_piece: Ints
    tail: Ints
    head_bytes: Ints
    body_bytes: Ints
    width: Ints  # bytes of the length field
    groups: Ints  # first span of each resource of each request

    @property
    def requests(self) -> int:
        """How many requests there are."""
        return int(self.request[-1]) + 1 if len(self.request) else 0


def wire_of(pieces: Pieces, batch: SpanBatch, cuts: Ints, spans: Ints) -> Wire:
    """The wire order of requests; arguments as of :func:`loadgen.otlp.lay_out`."""
    spans = spans[cuts[0] : cuts[-1]]
    request = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))
    key = request * len(pieces.resources) + batch.resource[spans]
    narrow = len(key) and int(key.max()) < 2**16  # NumPy sorts 16-bit keys by radix, five times faster
    order = np.argsort(key.astype(np.uint16) if narrow else key, kind="stable")
    spans, key = spans.take(order), key.take(order)
    form = batch.form.take(spans)
    variant = 2 * form + (batch.parent.take(spans) >= 0)
    values = pieces.program.slot_count.take(form)
    value_span, value_number = ragged(values)
    value = batch.first_value.take(spans).take(value_span) + value_number
    value_piece = _value_pieces(pieces, batch.slot.take(value), batch.number.take(value))
    upto = np.concatenate([[0], np.cumsum(pieces.length.take(value_piece))])
    last = np.cumsum(values)
    tail = pieces.tail.take(2 * form + batch.remote.take(spans))
    head_bytes = pieces.head_bytes.take(variant)
    body_bytes = head_bytes + pieces.length.take(tail) + upto.take(last) - upto.take(last - values)
    return Wire(
        spans=spans,
        request=request,
        form=form,
        variant=variant,
        values=values,
        value=value,
        value_span=value_span,
        value_number=value_number,
        value_piece=value_piece,
        tail=tail,
        head_bytes=head_bytes,
        body_bytes=body_bytes,
        width=1 + (body_bytes > 0x7F) + (body_bytes > 0x3FFF),
        groups=np.concatenate([[0], np.flatnonzero(key[1:] != key[:-1]) + 1]),
    )


def varint_bytes(numbers: NDArray[np.uint64]) -> Ints:
    """Bytes that each number below 2**63 takes as a varint, 1 to 9."""
    return np.searchsorted(_VARINT_STEPS, numbers, side="right") + 1


def _value_pieces(pieces: Pieces, slot: Ints, number: NDArray[np.uint64]) -> Ints:
    piece = pieces.slot_piece.take(slot)
    meaning = pieces.program.slots.meaning.take(slot)
    pooled = meaning == Meaning.POOL
    if pooled.all():
        return piece + number.astype(np.int64)
    piece += np.where(pooled, number, 0).astype(np.int64)
    numeric = np.flatnonzero(meaning == Meaning.NUMBER)
    piece[numeric] += varint_bytes(number[numeric]) - 1
    return piece


def bounds_of(wire: Wire, rows: Ints) -> list[int]:
    """For rows in wire order: where those of each request begin."""
    bounds: list[int] = np.searchsorted(wire.request[rows], np.arange(wire.requests + 1)).tolist()
    return bounds
