"""What a process needs before it can send: the compiled topology and what its traces look like."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import loadgen
from loadgen.errors import InputError
from loadgen.memory import keep_freed_memory
from loadgen.otlp import Pieces, compile_pieces, encode_batch, for_run
from loadgen.synth import SpanBatch, compile_topology, draw
from loadgen.topology import Topology, find_topology, parse_topology

SAMPLE_TRACES = 2000
# Encoded together for the mean size of a span, as a request would be.
SAMPLE_REQUEST_SPANS, SAMPLE_REQUESTS = 2000, 5
# Tempo cuts a trace that was idle this long into another row, and its generator ignores spans that ended earlier.
LONG_TRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """A compiled topology, its text, and the means that pacing needs.

    Attributes:
        topology, text, place: What was compiled, as written, and where.
        pieces: For encoding.
        spans_per_trace: Mean.
        wire_bytes_per_span: Mean in requests of some 2,000 spans, OTLP protobuf, not compressed.
        long_traces_ratio: Share of traces longer than LONG_TRACE_S.
        fingerprint: Alike in processes that draw the same spans from the same numbers.
    """

    topology: Topology
    text: str
    place: str
    pieces: Pieces
    spans_per_trace: float
    wire_bytes_per_span: float
    long_traces_ratio: float
    fingerprint: str


def one_topology(user_classes: Iterable[type]) -> str | Path:
    """The topology of a locustfile's users; users of other kinds, which name none, are left alone.

    Raises:
        InputError: The users name more than one: a run has one topology, so that it can be drawn again.
    """
    named = {str(user.topology) for user in user_classes if hasattr(user, "topology")}
    if len(named) != 1 or "" in named:
        raise InputError("locustfile", sorted(named), "must have users of one topology")
    return named.pop()


def prepare(name: str | Path) -> Load:
    """Compile a topology and look at a sample of its traces."""
    keep_freed_memory()
    text, place = find_topology(name)
    topology = parse_topology(text, place)
    program = compile_topology(topology)
    pieces = compile_pieces(program)
    sample_traces = min(SAMPLE_TRACES, program.most_traces)
    batch = draw(program, 0, "sample", 0, np.full(sample_traces, 1_800_000_000 * 10**9))
    return Load(
        topology=topology,
        text=text,
        place=place,
        pieces=pieces,
        spans_per_trace=batch.spans / sample_traces,
        wire_bytes_per_span=_wire_bytes_per_span(pieces, batch),
        long_traces_ratio=float((batch.duration_ns() > LONG_TRACE_S * 1e9).mean()),
        fingerprint=hashlib.sha256(f"{loadgen.__version__}\n{text}".encode()).hexdigest()[:16],
    )


def _wire_bytes_per_span(pieces: Pieces, batch: SpanBatch) -> float:
    pieces = for_run(pieces, 0, "sample")
    full = np.arange(1, SAMPLE_REQUESTS + 1) * SAMPLE_REQUEST_SPANS
    last_traces = np.minimum(np.searchsorted(batch.first_span, full), len(batch.first_span) - 1)
    cuts = [0, *np.unique(batch.first_span[last_traces]).tolist()]
    size_bytes = sum(len(encode_batch(pieces, batch, slice(*cuts[i : i + 2]))) for i in range(len(cuts) - 1))
    return float(size_bytes / cuts[-1])


def epoch_clock() -> Callable[[], int]:
    """Nanoseconds since the epoch that never go back: the monotonic clock, set now by the wall clock.

    One for each run: a machine that was asleep between two runs has a monotonic clock that stood still.
    """
    offset_ns = time.time_ns() - time.monotonic_ns()
    return lambda: offset_ns + time.monotonic_ns()
