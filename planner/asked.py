"""The rate that a run asked for, which is what its traffic is planned at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loadgen.run import RunFile
from loadgen.run.verdict import asked

EDGES_S = 2.0  # the ledger's times reach past the schedule: traces drawn ahead, and the drain


class Rate(NamedTuple):
    """Traces asked per second from ``time_s`` [s since the epoch] on."""

    time_s: float
    traces_per_s: float


def asked_rate(run: RunFile) -> float | None:
    """Mean traces asked per second while the run lasted; None where it asked for none over time.

    Traces drawn ahead that were never due are no part of it. The schedule's length is what was asked
    over the rates on record; where the ledger says much more, load is missing, and then its times count.
    """
    traces = asked(run.counts("traces"))
    ((first_s, last_s),) = run.query("SELECT MIN(time_s), MAX(time_s) FROM ledger WHERE state = 'offered'")
    if traces <= 0:
        return None
    rates = [Rate(*row) for row in run.query("SELECT time_s, traces_per_s FROM rates ORDER BY time_s")]
    if not rates:
        return _counted_rate(run, first_s, last_s)
    from_s = min(first_s, rates[0].time_s)
    mean = _mean(rates, from_s, last_s)
    if mean <= 0:
        return None
    return float(traces / max(traces / mean, last_s - from_s - EDGES_S))


def _counted_rate(run: RunFile, first_s: float, last_s: float) -> float | None:
    """Where no rate is on record: what was counted over the ledger's times.

    Each row counts an interval that ends at its time, so the first one's count lies before them.
    """
    if last_s <= first_s:
        return None
    counts = "SELECT COALESCE(SUM(traces), 0) FROM ledger WHERE state = ? AND time_s > ?"
    since, never = (run.query(counts, state, first_s)[0][0] for state in ("offered", "unfinished"))
    return max(0.0, float(since - never)) / (last_s - first_s) or None


def _mean(rates: Sequence[Rate], from_s: float, to_s: float) -> float:
    """The mean of a rate that holds from each time to the next."""
    ends = [rate.time_s for rate in rates[1:]] + [to_s]
    held = (
        max(0.0, min(end, to_s) - max(rate.time_s, from_s)) * rate.traces_per_s
        for rate, end in zip(rates, ends, strict=True)
    )
    return sum(held) / (to_s - from_s) if to_s > from_s else 0.0
