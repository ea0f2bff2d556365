"""What one process has counted since it last said so: the increments that travel and are written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from loadgen.run.file import BlockRow, LedgerRow, RunWriter, TroubleRow, pack_starts, unpack_starts
from loadgen.run.lateness import bucket_us

Four = list[int]  # spans, traces, requests, bytes


def _zeros() -> Four:
    return [0, 0, 0, 0]


@dataclass(slots=True)
class Tally:
    """Increments of the ledger, of lateness, of drawn blocks and of trouble."""

    counts: defaultdict[str, Four] = field(default_factory=lambda: defaultdict(_zeros))
    lateness: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    blocks: list[BlockRow] = field(default_factory=list)
    trouble: list[TroubleRow] = field(default_factory=list)

    def count(self, state: str, spans: int, traces: int, requests: int = 0, size_bytes: int = 0) -> None:
        """Add to a ledger state."""
        row = self.counts[state]
        for i, increment in enumerate((spans, traces, requests, size_bytes)):
            row[i] += increment

    def late(self, lateness_us: float) -> None:
        """Add one send's lateness."""
        self.lateness[bucket_us(max(lateness_us, 0.0))] += 1

    def plain(self) -> dict[str, Any]:
        """The tally as values that survive msgpack."""
        return {
            "counts": dict(self.counts),
            "lateness": [[bound, n] for bound, n in self.lateness.items()],
            "blocks": [[r.worker, r.block, r.spans, pack_starts(r.starts_ns)] for r in self.blocks],
            "trouble": [list(row) for row in self.trouble],
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Tally:
        """The inverse of :meth:`plain`."""
        tally = cls()
        tally.counts.update(plain["counts"])
        tally.lateness.update(dict(plain["lateness"]))
        tally.blocks = [BlockRow(w, b, s, unpack_starts(starts)) for w, b, s, starts in plain["blocks"]]
        tally.trouble = [TroubleRow(*row) for row in plain["trouble"]]
        return tally

    def write(self, writer: RunWriter, time_s: float, worker: int) -> None:
        """Append the tally to a run file as what ``worker`` counted up to ``time_s``.

        Each of the four is one transaction. Where one fails, those before it are not written again by another try.
        """
        writer.blocks(self.blocks)
        self.blocks = []
        writer.trouble(self.trouble)
        self.trouble = []
        writer.ledger(LedgerRow(time_s, worker, state, *row) for state, row in self.counts.items())
        self.counts.clear()
        writer.lateness((time_s, worker, bound, n) for bound, n in self.lateness.items())
        self.lateness.clear()
