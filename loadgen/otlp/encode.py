"""Spans to the bytes of an OTLP request: one join of pieces, then one store per kind of field.

Facts. ``bytearray.join`` copies pieces of any length at memory speed, and a NumPy view of the
result with a stride of one byte takes an unaligned store per element in some 10 ns, whatever the
element's width: so ids and times are stored as one record each. No span is touched in Python;
only the few resources of a request are. Every request owns its bytes.
"""

from __future__ import annotations

import numpy as np

from loadgen.otlp.layout import Layout, lay_out
from loadgen.otlp.pieces import Ints, Pieces
from loadgen.synth import SpanBatch


def encode(layout: Layout, request: int) -> bytearray:
    """The bytes of one laid out request, as the official encoder would write them for the same spans."""
    first, last = layout.bounds[request], layout.bounds[request + 1]
    parts: list[bytes] = layout.pool[layout.piece[first:last]].tolist()
    for i in range(layout.header_bounds[request], layout.header_bounds[request + 1]):
        parts[layout.header_at[i] - first] = layout.headers[i]
    buffer = bytearray().join(parts)
    for store in layout.stores:
        begin, end = store.bounds[request], store.bounds[request + 1]
        if begin < end:
            width = store.items.itemsize
            # Overlapping items, one for each byte that an item can start at.
            places = np.ndarray((len(buffer) - width + 1,), store.items.dtype, buffer, strides=(1,))
            places[store.at[begin:end]] = store.items[begin:end]
    return buffer


def encode_batch(pieces: Pieces, batch: SpanBatch, spans: Ints | slice = slice(None)) -> bytearray:
    """One ExportTraceServiceRequest with the given spans of a batch, grouped by resource.

    For more than one request of a batch, call :func:`lay_out` once and :func:`encode` per request.
    """
    chosen = np.arange(batch.spans)[spans]
    return encode(lay_out(pieces, batch, np.array([0, len(chosen)]), chosen), 0) if len(chosen) else bytearray()
