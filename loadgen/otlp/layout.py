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

from loadgen.otlp.pieces import Ints, Pieces, varint
from loadgen.otlp.stores import Store, stores_of
from loadgen.otlp.wire import Wire, bounds_of, wire_of
from loadgen.synth import SpanBatch

_RESOURCE_SPANS_TAG, _SCOPE_SPANS_TAG = b"\x0a", b"\x12"


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


def lay_out(pieces: Pieces, batch: SpanBatch, cuts: Ints, spans: Ints | None = None) -> Layout:
    """The layout of requests of a batch.

    Args:
        pieces: Of the batch's program, for the run.
        batch: The spans.
        cuts: Request i holds ``spans[cuts[i]:cuts[i + 1]]``, int64[r + 1]; none is empty.
        spans: Indexes into the batch, all of them in order if not given.
    """
    wire = wire_of(pieces, batch, cuts, spans if spans is not None else np.arange(batch.spans))
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
        bounds=[*header_at[bounds_of(wire, wire.groups)[:-1]].tolist(), len(piece)],
        headers=headers,
        header_at=header_at.tolist(),
        header_bounds=bounds_of(wire, wire.groups),
        stores=tuple(stores_of(pieces, batch, wire, end)),
    )


def _headers(pieces: Pieces, resources: list[int], spans_bytes: list[int]) -> Iterator[bytes]:
    """What stands before the spans of each resource: ResourceSpans, Resource, ScopeSpans, scope."""
    for number, size in zip(resources, spans_bytes, strict=True):
        resource, scope = pieces.resources[number]
        scope_spans = _SCOPE_SPANS_TAG + varint(len(scope) + size) + scope
        inner_bytes = len(resource) + len(scope_spans) + size
        yield _RESOURCE_SPANS_TAG + varint(inner_bytes) + resource + scope_spans


def _pieces(pieces: Pieces, wire: Wire) -> tuple[Ints, Ints]:
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
