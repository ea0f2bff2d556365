"""What the terminal says while the load runs: asked and sent, how late, what became of it."""

from __future__ import annotations

from collections import Counter, deque

from loadgen.run.lateness import BOUNDS_US, OVER_US, quantile_us
from loadgen.run.ledger import COUNTED
from loadgen.user.tally import Tally

# Rates are over about this long: long enough for two reports of every sender.
WINDOW_S = 2.5
ALWAYS = ("accepted", "refused", "shed")


class Live:
    """Figures of the last seconds and totals.

    Args:
        begun_s: When the run began [s, monotonic].

    Attributes:
        asked_per_s: The asked rate [spans/s].
    """

    def __init__(self, begun_s: float) -> None:
        self.asked_per_s = 0.0
        self._begun_s = begun_s
        self._totals = dict.fromkeys(COUNTED, 0)
        self._sent: dict[str, deque[tuple[float, int]]] = {}
        self._late: Counter[int] = Counter()

    def hear(self, sender: str, now_s: float, tally: Tally) -> None:
        """Take what a sender counted up to ``now_s`` [s, monotonic]."""
        for state, increments in tally.counts.items():
            self._totals[state] += increments[0]
        reports = self._sent.setdefault(sender, deque([(self._begun_s, 0)]))
        reports.append((now_s, tally.counts["sent"][0] if "sent" in tally.counts else 0))
        while len(reports) > 2 and reports[1][0] < now_s - WINDOW_S:
            reports.popleft()
        self._late.update(tally.lateness)

    def sent_per_s(self) -> float:
        """Spans/s of all senders, each over its own last reports: they do not report at the same time."""
        return sum(
            sum(spans for _, spans in list(reports)[1:]) / max(reports[-1][0] - reports[0][0], 0.001)
            for reports in self._sent.values()
        )

    def line(self, now_s: float) -> str:
        """One line; the lateness is of what was sent since the line before."""
        late_us = quantile_us(self._late, 0.99)
        self._late.clear()
        states = [*ALWAYS, *(state for state in ("rejected", "unknown") if self._totals[state])]
        return (
            f"{now_s - self._begun_s:.0f} s: asked {self.asked_per_s:,.0f} spans/s, sent {self.sent_per_s():,.0f}; "
            f"late p99 {_shown(late_us)}; {', '.join(f'{state} {self._totals[state]:,}' for state in states)}"
        )


def _shown(late_us: int | None) -> str:
    if late_us is None:
        return "-"
    return f"over {BOUNDS_US[-2] / 1e6:.0f} s" if late_us >= OVER_US else f"{late_us / 1000:.3g} ms"
