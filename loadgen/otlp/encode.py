"""Spans to the bytes of an OTLP request: one join of pieces, then one store per kind of field.

Facts. ``bytearray.join`` copies pieces of any length at memory speed, and a NumPy view of the
result with a stride of one byte takes an unaligned 8-byte store per element in some 10 ns. So no
span is touched in Python; only the few resources of a request are. Every request owns its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.otlp.pieces import LONGEST_VARINT, Ints, Pieces, varint
from loadgen.synth import Meaning, SpanBatch
from loadgen.synth.digits import drawn_text
from loadgen.synth.tree import ragged

_VARINT_STEPS = np.array([1 << 7 * i for i in range(1, LONGEST_VARINT - 1)], np.uint64)
_RESOURCE_SPANS_TAG, _SCOPE_SPANS_TAG = b"\x0a", b"\x12"


@dataclass(frozen=True, slots=True)
class Layout:
    """What each span of a batch is joined from, worked out once for all its requests.

    Attributes:
        value_piece: Piece of each value, int64[k].
        body_bytes: Length of each span's message, int64[n].
        width: Bytes of its length field, 1 to 3, int64[n].
        head, tail: Pieces, int64[n].
        values: Number of values of each span, int64[n].
        ids: Trace id as two words, span id and parent id in wire order, uint64[n, 4].
        filled: Values whose piece has digits to fill in, int64[f].
    """

    value_piece: Ints
    body_bytes: Ints
    width: Ints
    head: Ints
    tail: Ints
    values: Ints
    ids: NDArray[np.uint64]
    has_holes: bool


def varint_bytes(numbers: NDArray[np.uint64]) -> Ints:
    """Bytes that each number below 2**63 takes as a varint, 1 to 9."""
    return np.searchsorted(_VARINT_STEPS, numbers, side="right") + 1


def lay_out(pieces: Pieces, batch: SpanBatch) -> Layout:
    """The layout of a batch."""
    value_piece = _value_pieces(pieces, batch)
    values = pieces.program.slot_count[batch.form]
    ends = np.concatenate([[0], np.cumsum(pieces.length[value_piece])])
    has_parent = (batch.parent >= 0).astype(np.int64)
    tail = pieces.tail[batch.form, batch.remote.astype(np.int64)]
    body_bytes = pieces.head_bytes[batch.form, has_parent] + pieces.length[tail]
    body_bytes += ends[batch.first_value + values] - ends[batch.first_value]
    width = 1 + (body_bytes > 0x7F) + (body_bytes > 0x3FFF)
    meaning = pieces.program.slots.meaning
    return Layout(
        value_piece=value_piece,
        body_bytes=body_bytes,
        width=width,
        head=pieces.head[batch.form, has_parent, width - 1],
        tail=tail,
        values=values,
        ids=_ids(batch),
        has_holes=bool((meaning != Meaning.POOL).any()),
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


def _ids(batch: SpanBatch) -> NDArray[np.uint64]:
    wire = batch.span_ids.byteswap()
    ids = np.empty((batch.spans, 4), np.uint64)
    ids[:, :2] = batch.trace_ids.view("<u8")[batch.trace]
    ids[:, 2] = wire
    ids[:, 3] = wire[batch.parent]  # a root has no hole for this
    return ids


def encode_batch(pieces: Pieces, batch: SpanBatch, spans: NDArray[np.int64] | slice = slice(None)) -> bytearray:
    """An ExportTraceServiceRequest with the given spans of a batch, grouped by resource.

    For more than one request of a batch, call :func:`lay_out` once and :func:`encode` per request.
    """
    return encode(pieces, batch, lay_out(pieces, batch), np.arange(batch.spans)[spans])


def encode(pieces: Pieces, batch: SpanBatch, layout: Layout, spans: NDArray[np.int64]) -> bytearray:
    """The request with ``spans`` (indexes into the batch), in their order within each resource.

    Returns:
        The request's bytes, as the official encoder would write them for the same spans.
    """
    if not len(spans):
        return bytearray()
    resource = batch.resource[spans]
    order = np.argsort(resource.astype(np.uint16) if len(pieces.resources) < 2**16 else resource, kind="stable")
    spans, resource = spans[order], resource[order]
    groups = np.flatnonzero(np.diff(resource, prepend=-1))
    frame_bytes = layout.body_bytes[spans] + layout.width[spans] + 1
    headers = _headers(pieces, resource[groups].tolist(), np.add.reduceat(frame_bytes, groups).tolist())
    values, number = ragged(layout.values[spans])
    value = batch.first_value[spans][values] + number
    buffer = bytearray().join(_parts(pieces, layout, spans, groups, headers, values, number, value))
    in_group = np.cumsum(np.diff(resource, prepend=resource[:1]) != 0)
    before = np.cumsum([len(header) for header in headers])[in_group]
    start = np.cumsum(frame_bytes) - frame_bytes + before
    _fill_fields(pieces, batch, layout, spans, start, buffer)
    _fill_events(pieces, batch, layout, spans, start + frame_bytes, buffer)
    if layout.has_holes:
        value_bytes = pieces.length[layout.value_piece[value]]
        ends = np.cumsum(value_bytes)
        first = np.cumsum(layout.values[spans]) - layout.values[spans]
        in_span = ends - (ends - value_bytes)[np.minimum(first, len(ends) - 1)][values]
        end = (start + pieces.length[layout.head[spans]])[values] + in_span
        _fill_values(pieces, batch, value, end, buffer)
    return buffer


def _headers(pieces: Pieces, resources: list[int], spans_bytes: list[int]) -> list[bytes]:
    """What stands before the spans of each resource: ResourceSpans, Resource, ScopeSpans, scope."""
    headers = []
    for number, size in zip(resources, spans_bytes, strict=True):
        resource, scope = pieces.resources[number]
        scope_spans = _SCOPE_SPANS_TAG + varint(len(scope) + size) + scope
        inner_bytes = len(resource) + len(scope_spans) + size
        headers.append(_RESOURCE_SPANS_TAG + varint(inner_bytes) + resource + scope_spans)
    return headers


def _parts(
    pieces: Pieces,
    layout: Layout,
    spans: Ints,
    groups: Ints,
    headers: list[bytes],
    values: Ints,
    number: Ints,
    value: Ints,
) -> list[bytes]:
    """Every piece of the request in order: per span head, values and tail, a header before each group."""
    count = layout.values[spans] + 2
    count[groups] += 1
    ends = np.cumsum(count)
    head_at = ends - layout.values[spans] - 2
    piece = np.zeros(ends[-1], np.int64)
    piece[head_at] = layout.head[spans]
    piece[ends - 1] = layout.tail[spans]
    piece[head_at[values] + 1 + number] = layout.value_piece[value]
    parts: list[bytes] = pieces.pool[piece].tolist()
    for place, header in zip((head_at[groups] - 1).tolist(), headers, strict=True):
        parts[place] = header
    return parts


def _stores(buffer: bytearray, dtype: str) -> NDArray[np.generic]:
    """The buffer as overlapping items of ``dtype``, one for each byte it can start at."""
    size = np.dtype(dtype).itemsize
    return np.ndarray((len(buffer) - size + 1,), dtype, buffer, strides=(1,))


def _fill_fields(pieces: Pieces, batch: SpanBatch, layout: Layout, spans: Ints, start: Ints, buffer: bytearray) -> None:
    width, body = layout.width[spans], layout.body_bytes[spans]
    two = np.flatnonzero(width == 2)
    _stores(buffer, "<u2")[start[two] + 1] = (body[two] & 0x7F | 0x80) | (body[two] >> 7 << 8)
    if len(two) < len(spans):
        octets = _stores(buffer, "u1")
        one, three = np.flatnonzero(width == 1), np.flatnonzero(width == 3)
        octets[start[one] + 1] = body[one]
        for i in range(3):
            octets[start[three] + 1 + i] = body[three] >> 7 * i & 0x7F | (0x80 if i < 2 else 0)
    words, numbers = _stores(buffer, "<u8"), _stores(buffer, "<i8")
    content = start + 1 + width
    ids = layout.ids[spans]
    # Trace id, span id and parent id stand first, each behind a tag and a length byte.
    words[content + 2], words[content + 10], words[content + 20] = ids[:, 0], ids[:, 1], ids[:, 2]
    below = np.flatnonzero(batch.parent[spans] >= 0)
    words[content[below] + 30] = ids[below, 3]
    start_at = content + pieces.start_at[batch.form[spans], (batch.parent[spans] >= 0).astype(np.int64)]
    numbers[start_at], numbers[start_at + 9] = batch.start_ns[spans], batch.end_ns[spans]


def _fill_events(pieces: Pieces, batch: SpanBatch, layout: Layout, spans: Ints, end: Ints, buffer: bytearray) -> None:
    """An exception is recorded when its span ends."""
    event_at = pieces.event_at[batch.form[spans]]
    failed = np.flatnonzero(event_at >= 0)
    if len(failed):
        tail = end[failed] - pieces.length[layout.tail[spans[failed]]]
        _stores(buffer, "<i8")[tail + event_at[failed]] = batch.end_ns[spans[failed]]


def _fill_values(pieces: Pieces, batch: SpanBatch, value: Ints, end: Ints, buffer: bytearray) -> None:
    """Digits of numbers and texts, which end where their piece ends."""
    slot, number = batch.slot[value], batch.number[value]
    meaning = pieces.program.slots.meaning[slot]
    numeric = np.flatnonzero(meaning == Meaning.NUMBER)
    octets = _stores(buffer, "u1")
    width = varint_bytes(number[numeric])
    for i in range(int(width.max(initial=0))):
        at = numeric[width > i]
        more = np.where(width[width > i] > i + 1, np.uint64(0x80), np.uint64(0))
        octets[end[at] - width[width > i] + i] = number[at] >> np.uint64(7 * i) & np.uint64(0x7F) | more
    textual = np.flatnonzero((meaning == Meaning.RAW) | (meaning == Meaning.TIME))
    for each in np.unique(slot[textual]).tolist():
        at = textual[slot[textual] == each]
        text = drawn_text(pieces.program.slots.slots[each].rule, number[at])
        _stores(buffer, f"V{text.shape[1]}")[end[at] - text.shape[1]] = (
            np.ascontiguousarray(text).view(f"V{text.shape[1]}").ravel()
        )
