"""From a request, which mixes traces, to each trace's own pieces, as Tempo's distributor cuts them.

Source: Grafana Tempo v3.0.3, modules/distributor/distributor.go (requestsByTraceID).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from loadgen.errors import InputError

Ids = npt.NDArray[np.uint8]


class Piece(NamedTuple):
    """Spans of one trace under one resource and one scope; all three as encoded protobuf messages.

    Bytes rather than messages: a message keeps its whole request alive, bytes keep only themselves.
    """

    resource: bytes
    scope: bytes
    spans: list[bytes]

    @property
    def held_bytes(self) -> int:
        """What the piece holds: its spans and its own copy of resource and scope."""
        return len(self.resource) + len(self.scope) + sum(map(len, self.spans))


def trace_ids(batches: list[ResourceSpans]) -> Ids:
    """The trace id of every span, in order, as uint8[spans, 16].

    Raises:
        InputError: A trace id is not 16 bytes long or a span id not 8.
    """
    spans = [span for batch in batches for scope in batch.scope_spans for span in scope.spans]
    ids = [span.trace_id for span in spans]
    _check_lengths("trace_id", set(map(len, ids)), 16)
    _check_lengths("span_id", {len(span.span_id) for span in spans}, 8)
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16)


def _check_lengths(place: str, found: set[int], right: int) -> None:
    wrong = found - {right}
    if wrong:
        raise InputError(place, f"{min(wrong)} bytes", f"must be {right} bytes")


def pieces(batches: list[ResourceSpans], kept: npt.NDArray[np.bool_] | None = None) -> Iterator[tuple[bytes, Piece]]:
    """Every trace's pieces, in the order of the request.

    Args:
        batches: The request's resource spans.
        kept: For each span, in order, whether to take it; None takes all.
    """
    begin = 0
    for batch in batches:
        count = sum(len(scope.spans) for scope in batch.scope_spans)
        mask = None if kept is None else kept[begin : begin + count]
        begin += count
        if count and (mask is None or mask.any()):
            yield from _of_batch(batch, mask)


def _of_batch(batch: ResourceSpans, kept: npt.NDArray[np.bool_] | None) -> Iterator[tuple[bytes, Piece]]:
    resource = batch.resource.SerializeToString()
    found: dict[tuple[bytes, str, str], Piece] = {}
    begin = 0
    for scope_spans in batch.scope_spans:
        count = len(scope_spans.spans)
        wanted = range(count) if kept is None else np.flatnonzero(kept[begin : begin + count]).tolist()
        begin += count
        if wanted:
            _add_scope(found, resource, scope_spans, wanted)
    yield from ((trace_id, piece) for (trace_id, _, _), piece in found.items())


def _add_scope(
    found: dict[tuple[bytes, str, str], Piece],
    resource: bytes,
    scope_spans: ScopeSpans,
    wanted: range | list[int],
) -> None:
    """Scopes of one name and version are one, whatever their attributes: the first one's stay."""
    scope, spans = scope_spans.scope, scope_spans.spans
    name, version, encoded = scope.name, scope.version, scope.SerializeToString()
    for n in wanted:
        span = spans[n]
        key = (span.trace_id, name, version)
        piece = found.get(key)
        if piece is None:
            piece = found[key] = Piece(resource, encoded, [])
        piece.spans.append(span.SerializeToString())
