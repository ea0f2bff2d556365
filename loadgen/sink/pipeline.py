"""One request body in, one answer out: memory limit, decoder, sampler and store, in the Collector's order.

Codes and texts are those the Collector's OTLP receiver gave (Tempo v3.0.3, which embeds it, asked
over HTTP).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # none are published
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from loadgen.blocks import Piece, pieces, trace_ids
from loadgen.errors import InputError
from loadgen.sink.settings import Sampler, SinkSettings
from loadgen.sink.store import Store

INVALID_ARGUMENT, UNAVAILABLE = 3, 14  # gRPC codes inside error bodies
SPAN_FRAME_BYTES = 3  # tag and length that frame a span of 128 to 16,383 bytes


class Answer(NamedTuple):
    """A status and an encoded protobuf message."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Tally:
    """What has come through, in spans unless the name says bytes; only ever grows."""

    requests: int = 0
    accepted: int = 0
    refused: int = 0
    kept: int = 0
    kept_wire_bytes: int = 0
    kept_trace_bytes: int = 0


class Pipeline:
    """Takes request bodies, from any thread."""

    def __init__(self, settings: SinkSettings, store: Store) -> None:
        self._sampling, self._limit_bytes, self._store = settings.sampling, settings.memory_limit_bytes, store
        self._lock = threading.Lock()
        self._tally = Tally()
        self._working_bytes = 0

    @property
    def tally(self) -> Tally:
        """The figures of this moment."""
        return self._tally

    def take(self, body: bytes) -> Answer:
        """Takes one inflated request body."""
        with self._lock:
            self._working_bytes += len(body)
        try:
            return self._take(body)
        finally:
            with self._lock:
                self._working_bytes -= len(body)

    def _take(self, body: bytes) -> Answer:
        try:
            batches = list(ExportTraceServiceRequest.FromString(body).resource_spans)
            ids = trace_ids(batches)
        except (DecodeError, InputError) as error:
            return failure(400, f"unmarshal: {error}")
        # Refused only once decoded, as the Collector does, so that the refused spans are counted.
        if self._working_bytes + self._store.held_bytes > self._limit_bytes:
            self._count(refused=len(ids))
            return failure(503, "data refused due to high memory usage")
        kept = list(pieces(batches, kept_spans(ids, self._sampling)))
        self._count(
            accepted=len(ids),
            kept=sum(len(piece.spans) for _, piece in kept),
            kept_wire_bytes=wire_bytes([piece for _, piece in kept]),
            kept_trace_bytes=self._store.add(kept),
        )
        return success()

    def _count(self, **more: int) -> None:
        with self._lock:
            grown = {name: getattr(self._tally, name) + value for name, value in more.items()}
            self._tally = replace(self._tally, requests=self._tally.requests + 1, **grown)


def kept_spans(ids: npt.NDArray[np.uint8], sampling: Sampler | None) -> npt.NDArray[np.bool_] | None:
    """Whether each span's trace is kept, None if all are; ids are uint8[spans, 16].

    The sampler sees one id for each run of equal ones: neighbours are mostly of one trace.
    """
    if sampling is None or not len(ids):
        return None
    first = np.ones(len(ids), bool)
    first[1:] = (ids[1:] != ids[:-1]).any(axis=1)
    starts = np.flatnonzero(first)
    return np.repeat(sampling.keep(ids[starts]), np.diff(starts, append=len(ids)))


def wire_bytes(kept: list[Piece]) -> int:
    """What the kept spans take in one request of their own, each resource and scope once."""
    shared = {(piece.resource, piece.scope) for piece in kept}
    spans = sum(len(span) + SPAN_FRAME_BYTES for piece in kept for span in piece.spans)
    return spans + sum(len(resource) + len(scope) for resource, scope in shared)


def success(rejected_spans: int = 0) -> Answer:
    """The answer to a request that was taken: a partial success that is there but, mostly, empty."""
    response = ExportTraceServiceResponse()
    response.partial_success.SetInParent()
    if rejected_spans:
        response.partial_success.rejected_spans = rejected_spans
        response.partial_success.error_message = "rejected on request"
    return Answer(200, response.SerializeToString())


def failure(status: int, message: str) -> Answer:
    """The answer to a request that was not taken."""
    code = UNAVAILABLE if status in {429, 502, 503, 504} else INVALID_ARGUMENT
    return Answer(status, Status(code=code, message=message).SerializeToString())
