"""Spans to the bytes of an OTLP request: one join of pieces, then one store per kind of field.

Facts. ``bytearray.join`` copies pieces of any length at memory speed, and a NumPy view of the
result with a stride of one byte takes an unaligned store per element in some 10 ns, whatever the
element's width: so ids and times are stored as one record each. No span is touched in Python;
only the few resources of a request are. Every request owns its bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.otlp.layout import IDS, ROOT_IDS_BYTES, TIMES, Layout, lay_out, values_of
from loadgen.otlp.pieces import Ints, Pieces, varint
from loadgen.synth import SpanBatch

_RESOURCE_SPANS_TAG, _SCOPE_SPANS_TAG = b"\x0a", b"\x12"


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
    changes = resource[1:] != resource[:-1]
    groups = np.concatenate([[0], np.flatnonzero(changes) + 1])
    frame_bytes = layout.body_bytes[spans] + layout.width[spans] + 1
    headers = _headers(pieces, resource[groups].tolist(), np.add.reduceat(frame_bytes, groups).tolist())
    place, number, value = values_of(batch, layout, spans)
    buffer = bytearray().join(_parts(pieces, layout, spans, groups, headers, (place, number, value)))
    end = np.cumsum(frame_bytes)
    header_bytes = np.cumsum([len(header) for header in headers])
    end += np.repeat(header_bytes, np.diff(np.append(groups, len(spans))))
    _fill_fields(layout, spans, end, buffer)
    _fill_values(layout, value, (end - layout.body_bytes[spans])[place], buffer)
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
    values: tuple[Ints, Ints, Ints],
) -> list[bytes]:
    """Every piece of the request in order: per span head, values and tail, a header before each group."""
    place, number, value = values
    count = layout.values[spans] + 2
    count[groups] += 1
    ends = np.cumsum(count)
    head_at = ends - layout.values[spans] - 2
    piece = np.zeros(ends[-1], np.int64)
    piece[head_at] = layout.head[spans]
    piece[ends - 1] = layout.tail[spans]
    piece[head_at[place] + 1 + number] = layout.value_piece[value]
    parts: list[bytes] = pieces.pool[piece].tolist()
    for at, header in zip((head_at[groups] - 1).tolist(), headers, strict=True):
        parts[at] = header
    return parts


def _stores(buffer: bytearray, dtype: str) -> NDArray[np.generic]:
    """The buffer as overlapping items of ``dtype``, one for each byte it can start at."""
    size = np.dtype(dtype).itemsize
    return np.ndarray((len(buffer) - size + 1,), dtype, buffer, strides=(1,))


def _fill_fields(layout: Layout, spans: Ints, end: Ints, buffer: bytearray) -> None:
    """Lengths, ids and times of spans whose messages end at ``end``."""
    body = layout.body_bytes[spans]
    content = end - body
    _fill_lengths(content, body, layout.width[spans], buffer)
    is_root = layout.is_root[spans]
    below, roots = np.flatnonzero(~is_root), np.flatnonzero(is_root)
    _stores(buffer, f"V{IDS.itemsize}")[content[below]] = layout.ids.view(f"V{IDS.itemsize}")[spans[below]]
    root_ids = layout.ids[spans[roots]].view(np.uint8).reshape(-1, IDS.itemsize)[:, :ROOT_IDS_BYTES]
    _stores(buffer, f"V{ROOT_IDS_BYTES}")[content[roots]] = (
        np.ascontiguousarray(root_ids).view(f"V{ROOT_IDS_BYTES}").ravel()
    )
    times = layout.times.view(f"V{TIMES.itemsize}")[spans]
    _stores(buffer, f"V{TIMES.itemsize}")[content + layout.times_at[spans]] = times
    event_at = layout.event_at[spans]
    failed = np.flatnonzero(event_at)
    if len(failed):
        # An exception is recorded when its span ends.
        _stores(buffer, "<i8")[end[failed] - event_at[failed]] = layout.times["end_ns"][spans[failed]]


def _fill_lengths(content: Ints, body: Ints, width: Ints, buffer: bytearray) -> None:
    """The length fields, which end where the content begins."""
    two = np.flatnonzero(width == 2)
    _stores(buffer, "<u2")[content[two] - 2] = (body[two] & 0x7F | 0x80) | (body[two] >> 7 << 8)
    if len(two) == len(width):
        return
    octets = _stores(buffer, "u1")
    one, three = np.flatnonzero(width == 1), np.flatnonzero(width == 3)
    octets[content[one] - 1] = body[one]
    for i in range(3):
        octets[content[three] - 3 + i] = body[three] >> 7 * i & 0x7F | (0x80 if i < 2 else 0)


def _fill_values(layout: Layout, value: Ints, content: Ints, buffer: bytearray) -> None:
    """Digits of numbers and texts, which end where their piece ends.

    Args:
        layout: The batch's.
        value: The request's values.
        content: Where the message of each value's span begins.
        buffer: The request.
    """
    for filling in layout.fillings:
        row = filling.row[value]
        at = np.flatnonzero(row >= 0)
        end = content[at] + layout.value_end[value[at]]
        dtype = filling.text.dtype.str.lstrip("|")
        _stores(buffer, dtype)[end - filling.text.dtype.itemsize] = filling.text[row[at]]
