"""Traces in memory: live until nothing more comes, then gathered until there is a block's worth.

Nothing here takes a lock or reads a clock; the owner does both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from loadgen.blocks import Piece

CutTrace = tuple[bytes, list[Piece]]


@dataclass(slots=True)
class LiveTrace:
    """A trace to which spans may still come."""

    created_s: float
    last_s: float
    held_bytes: int = 0
    pieces: list[Piece] = field(default_factory=list)


class LiveTraces:
    """Live traces by trace id, and what they hold."""

    def __init__(self) -> None:
        self._traces: dict[bytes, LiveTrace] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._traces)

    def add(self, pieces: Iterable[tuple[bytes, Piece]], now_s: float) -> int:
        """Takes the pieces and returns how many bytes they hold."""
        before = self.held_bytes
        for trace_id, piece in pieces:
            trace = self._traces.setdefault(trace_id, LiveTrace(now_s, now_s))
            trace.last_s = now_s
            trace.held_bytes += piece.held_bytes
            self.held_bytes += piece.held_bytes
            trace.pieces.append(piece)
        return self.held_bytes - before

    def cut(self, last_before_s: float, created_before_s: float) -> list[CutTrace]:
        """Removes and returns the traces without a span since, or begun before, the given times."""
        due = [
            trace_id
            for trace_id, trace in self._traces.items()
            if trace.last_s <= last_before_s or trace.created_s <= created_before_s
        ]
        return [(trace_id, self._remove(trace_id)) for trace_id in due]

    def cut_all(self) -> list[CutTrace]:
        """Removes and returns every trace."""
        return [(trace_id, self._remove(trace_id)) for trace_id in list(self._traces)]

    def pieces_of(self, trace_id: bytes) -> list[Piece]:
        """What is held of one trace, nothing if it is not here."""
        trace = self._traces.get(trace_id)
        return list(trace.pieces) if trace else []

    def _remove(self, trace_id: bytes) -> list[Piece]:
        trace = self._traces.pop(trace_id)
        self.held_bytes -= trace.held_bytes
        return trace.pieces


@dataclass(slots=True)
class Head:
    """Cut traces on their way into the next block; ``opened_s`` is when the first came."""

    traces: list[CutTrace] = field(default_factory=list)
    held_bytes: int = 0
    opened_s: float = 0.0

    def add(self, traces: list[CutTrace], now_s: float) -> None:
        """Takes more traces."""
        if traces and not self.traces:
            self.opened_s = now_s
        self.traces.extend(traces)
        self.held_bytes += sum(piece.held_bytes for _, pieces in traces for piece in pieces)

    def pieces_of(self, trace_id: bytes) -> list[Piece]:
        """What is held of one trace, nothing if it is not here."""
        return [piece for found, pieces in self.traces if found == trace_id for piece in pieces]
