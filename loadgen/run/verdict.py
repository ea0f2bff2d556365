"""Whether a run holds: the sentence and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loadgen.run.ledger import OUTCOMES, Counts

HOLDS, BROKEN, WRONG_USE, NOT_VALID = 0, 1, 2, 3

# A generator that fell further behind than this did not offer the load that it was asked for.
SHORTEST_RATIO = 0.995


SHOWN = ("offered", "waiting", "shed", "unfinished", "sent", "in_flight", *OUTCOMES)


class Verdict(NamedTuple):
    """``exit_code``: 0 holds, 1 a stated limit is broken, 2 wrong use, 3 the measurement is not valid."""

    exit_code: int
    text: str


def asked(counts: Counts) -> int:
    """What the schedule asked for while the run lasted: offered, less what was still to end."""
    return counts.offered - counts.unfinished


def sent_ratio(counts: Counts) -> float:
    """Sent against asked, 0-1; 0 where nothing was asked."""
    return counts.sent / asked(counts) if asked(counts) else 0.0


def judge(spans: Counts, silent: Sequence[str] = ()) -> Verdict:
    """The verdict on a run's settled ledger.

    Args:
        spans: The ledger in spans, settled.
        silent: Workers that took part and gave no last word.
    """
    if (reason := _not_valid(spans, silent)) is not None:
        return Verdict(NOT_VALID, f"not valid{reason}")
    if spans.refused + spans.rejected + spans.unknown:
        parts = (f"{spans.refused:,} refused", f"{spans.rejected:,} rejected", f"{spans.unknown:,} unknown")
        return Verdict(BROKEN, f"broken: of {spans.sent:,} sent spans {', '.join(parts)}")
    if spans.shed:
        return Verdict(HOLDS, f"holds: all {spans.sent:,} sent spans were accepted, {spans.shed:,} were shed")
    return Verdict(HOLDS, f"holds: all {spans.sent:,} spans were sent on schedule and accepted")


def _not_valid(spans: Counts, silent: Sequence[str]) -> str | None:
    """Why the run measured something else than it was asked to, None where it did not."""
    if silent:
        return f": no last word from worker {', '.join(silent)}"
    if not spans.balances:
        return ": the ledger does not balance, spans were counted twice"
    if not spans.sent:
        return ": nothing was sent"
    if sent_ratio(spans) < SHORTEST_RATIO:
        behind = f"{sent_ratio(spans):.1%} of {asked(spans):,} asked spans were sent, {spans.shed:,} were shed"
        return f" for the asked rate: {behind}"
    return None


def ledger_lines(spans: Counts, traces: Counts) -> list[str]:
    """The ledger as aligned text, one state a line."""
    rows = [("", "spans", "traces")]
    by_span, by_trace = spans.as_dict(), traces.as_dict()
    rows += [(state, f"{by_span[state]:,}", f"{by_trace[state]:,}") for state in SHOWN]
    lines = [f"  {name.replace('_', ' '):<11}{a:>15}{b:>13}" for name, a, b in rows]
    return ["Ledger", *lines, f"  balances: {'yes' if spans.balances and traces.balances else 'NO'}"]
