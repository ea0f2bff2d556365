"""What a process needs before it can send: the compiled topology and what its traces look like."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadgen.errors import InputError
from loadgen.otlp import Pieces, compile_pieces
from loadgen.synth import compile_topology, draw
from loadgen.topology import Topology, find_topology, parse_topology

SAMPLE_TRACES = 2000
# Tempo cuts a trace that was idle this long into another row, and its generator ignores spans that ended earlier.
LONG_TRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """A compiled topology, its text, and the means that pacing needs."""

    topology: Topology
    text: str
    place: str
    pieces: Pieces
    spans_per_trace: float
    long_traces_ratio: float


def one_topology(user_classes: Iterable[type]) -> str | Path:
    """The topology of a locustfile's users.

    Raises:
        InputError: The users name more than one: a run has one topology, so that it can be drawn again.
    """
    named = {str(getattr(user, "topology", "")) for user in user_classes}
    if len(named) != 1 or "" in named:
        raise InputError("locustfile", sorted(named), "must have users of one topology")
    return named.pop()


def prepare(name: str | Path) -> Load:
    """Compile a topology and look at a sample of its traces."""
    text, place = find_topology(name)
    topology = parse_topology(text, place)
    program = compile_topology(topology)
    batch = draw(program, 0, "sample", 0, np.full(SAMPLE_TRACES, 1_800_000_000 * 10**9))
    return Load(
        topology=topology,
        text=text,
        place=place,
        pieces=compile_pieces(program),
        spans_per_trace=batch.spans / SAMPLE_TRACES,
        long_traces_ratio=float((batch.duration_ns() > LONG_TRACE_S * 1e9).mean()),
    )


def monotonic_epoch_ns() -> int:
    """Nanoseconds since the epoch that never go back: the monotonic clock, set once by the wall clock."""
    return _OFFSET_NS + time.monotonic_ns()


_OFFSET_NS = time.time_ns() - time.monotonic_ns()
