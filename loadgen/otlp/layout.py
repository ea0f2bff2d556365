"""Where every byte of some requests comes from, worked out at once for all of them.

A request is a join of pieces, and then some stores: values of one width written at known places.
Both follow from arrays over the spans in the order in which they stand on the wire: by request,
within a request by resource, and there as given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.otlp.pieces import LONGEST_VARINT, Ints, Pieces, varint
from loadgen.synth import Meaning, SpanBatch
from loadgen.synth.digits import drawn_text
from loadgen.synth.tree import ragged

_VARINT_STEPS = np.array([1 << 7 * i for i in range(1, LONGEST_VARINT - 1)], np.uint64)
_RESOURCE_SPANS_TAG, _SCOPE_SPANS_TAG = b"\x0a", b"\x12"

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


@dataclass(frozen=True, slots=True)
class Layout:
    """Some requests, ready to be joined and stored into.

    Attributes:
        pool: The pieces.
        piece: Every piece of every request in wire order, int64[p]; a resource's header is piece 0.
        bounds: Pieces of request i are bounds[i] .. bounds[i + 1].
        headers: What stands before the spans of each resource in each request.
        header_at: Place of each header in ``piece``.
        header_bounds: Headers of request i are header_bounds[i] .. header_bounds[i + 1].
        stores: What is written into the joined pieces.
    """

    pool: NDArray[np.object_]
    piece: Ints
    bounds: list[int]
    headers: list[bytes]
    header_at: list[int]
    header_bounds: list[int]
    stores: tuple[Store, ...]


@dataclass(frozen=True, slots=True)
class _Wire:
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
        return int(self.request[-1]) + 1 if len(self.request) else 0


def lay_out(pieces: Pieces, batch: SpanBatch, cuts: Ints, spans: Ints | None = None) -> Layout:
    """The layout of requests of a batch.

    Args:
        pieces: Of the batch's program, for the run.
        batch: The spans.
        cuts: Request i holds ``spans[cuts[i]:cuts[i + 1]]``, int64[r + 1]; none is empty.
        spans: Indexes into the batch, all of them in order if not given.
    """
    wire = _wire(pieces, batch, cuts, spans if spans is not None else np.arange(batch.spans))
    frame_bytes = wire.body_bytes + wire.width + 1
    resources = batch.resource[wire.spans[wire.groups]].tolist()
    headers = list(_headers(pieces, resources, np.add.reduceat(frame_bytes, wire.groups).tolist()))
    header_bytes = np.array([len(header) for header in headers])
    ends = np.cumsum(frame_bytes) + np.repeat(np.cumsum(header_bytes), np.diff(np.append(wire.groups, len(wire.spans))))
    end = ends - np.concatenate([[0], ends[cuts[1:-1] - cuts[0] - 1]])[wire.request]
    piece, header_at = _pieces(pieces, wire)
    return Layout(
        pool=pieces.pool,
        piece=piece,
        bounds=[*header_at[_bounds(wire, wire.groups)[:-1]].tolist(), len(piece)],
        headers=headers,
        header_at=header_at.tolist(),
        header_bounds=_bounds(wire, wire.groups),
        stores=tuple(_stores(pieces, batch, wire, end)),
    )


def _wire(pieces: Pieces, batch: SpanBatch, cuts: Ints, spans: Ints) -> _Wire:
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
    return _Wire(
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


def _headers(pieces: Pieces, resources: list[int], spans_bytes: list[int]) -> Iterator[bytes]:
    """What stands before the spans of each resource: ResourceSpans, Resource, ScopeSpans, scope."""
    for number, size in zip(resources, spans_bytes, strict=True):
        resource, scope = pieces.resources[number]
        scope_spans = _SCOPE_SPANS_TAG + varint(len(scope) + size) + scope
        inner_bytes = len(resource) + len(scope_spans) + size
        yield _RESOURCE_SPANS_TAG + varint(inner_bytes) + resource + scope_spans


def _pieces(pieces: Pieces, wire: _Wire) -> tuple[Ints, Ints]:
    """Every piece in wire order (per span head, values, tail; a place before each group), and the headers' places."""
    count = wire.values + 2
    count[wire.groups] += 1
    ends = np.cumsum(count)
    head_at = ends - wire.values - 2
    piece = np.zeros(ends[-1], np.int64)
    piece[head_at] = pieces.head.take(3 * wire.variant + wire.width - 1)
    piece[ends - 1] = wire.tail
    piece[head_at.take(wire.value_span) + 1 + wire.value_number] = wire.value_piece
    return piece, head_at[wire.groups] - 1


def _bounds(wire: _Wire, rows: Ints) -> list[int]:
    """For rows in wire order: where those of each request begin."""
    bounds: list[int] = np.searchsorted(wire.request[rows], np.arange(wire.requests + 1)).tolist()
    return bounds


def _store(wire: _Wire, rows: Ints, at: Ints, items: NDArray[np.generic]) -> Store:
    """A store of ``items`` (one a row, any dtype or uint8[k, width]) that belong to spans ``rows``."""
    width = items.itemsize if items.ndim == 1 else items.shape[1]
    return Store(at, np.ascontiguousarray(items).view(f"V{width}").ravel(), _bounds(wire, rows))


def _stores(pieces: Pieces, batch: SpanBatch, wire: _Wire, end: Ints) -> Iterator[Store]:
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


def _digits(pieces: Pieces, batch: SpanBatch, wire: _Wire, content: Ints) -> Iterator[Store]:
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


def _value_ends(pieces: Pieces, wire: _Wire, content: Ints) -> Ints:
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
