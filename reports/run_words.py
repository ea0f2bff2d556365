"""What is said about a run in sentences: the same on page and terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loadgen.run.verdict import HOLDS
from reports import text
from reports.outside import clean
from reports.run_facts import RunFacts, is_over, mapping
from reports.view import Note

SINK = "Embedded sink: not a backend; its RSS and CPU say nothing about Tempo"
SHORT_S = 60.0


def sentence(facts: RunFacts) -> str:
    """The verdict with what was asked, what was delivered, and what remains unexplained."""
    verdict = clean(facts.verdict).rstrip(".")
    if not facts.finished:
        parts = [f"unfinished, so far: {verdict}", delivered(facts), unexplained(facts)]
    elif facts.exit_code == HOLDS and audit_fails(facts):
        parts = [f"not accounted for: {unexplained(facts)}", f"the load itself {verdict}", delivered(facts)]
    else:
        parts = [verdict, delivered(facts), unexplained(facts)]
    said = "; ".join(part for part in parts if part)
    return f"{said[:1].upper()}{said[1:]}."


def delivered(facts: RunFacts) -> str:
    """Asked against delivered, e.g. ``200 traces/s asked, 200 delivered over 30 s``."""
    if facts.load is None:
        return ""
    load = facts.load
    got = text.significant(load.delivered_traces_per_s)
    asked = load.asked_traces_per_s
    wanted = f"{text.show(asked, 'traces/s')} asked, {got}" if asked else f"{got} traces/s"
    return f"{wanted} delivered over {text.show(load.length_s, 's')}"


def unexplained_spans(audit: Mapping[str, Any] | None) -> int | None:
    """Spans that the last audit could not account for; None where it does not say, or there was none."""
    found = mapping(audit).get("unexplained_spans")
    return int(found) if isinstance(found, int | float) else None


def audit_fails(facts: RunFacts) -> bool:
    """Whether there was an audit and it did not hold."""
    return bool(unexplained_spans(facts.audit)) or mapping(facts.audit).get("holds") is False


def unexplained(facts: RunFacts) -> str:
    """What the last audit left open, in words."""
    if facts.audit is None:
        return "not audited"
    spans = unexplained_spans(facts.audit)
    if spans:
        return f"{spans:,} spans unexplained"
    return "the audit does not hold" if audit_fails(facts) else "audited" if spans is None else "no span unexplained"


def holds(facts: RunFacts) -> bool:
    """Whether nothing speaks against the run: its verdict, its ledger, its audit."""
    balances = facts.spans.balances and facts.traces.balances
    return facts.finished and facts.exit_code == HOLDS and balances and not audit_fails(facts)


def lateness(bound_us: int | None) -> str:
    """A lateness as its histogram knows it: at most so much, or past the end."""
    if bound_us is None:
        return text.UNKNOWN
    return "over" if is_over(bound_us) else f"≤ {text.show(bound_us / 1e6, 's')}"


def balance(facts: RunFacts) -> str:
    """The ledger's two sums, with the numbers in them."""
    c = facts.spans
    before = f"{c.sent:,} sent + {c.shed:,} shed + {c.unfinished:,} unfinished + {c.waiting:,} waiting"
    answers = f"{c.accepted:,} accepted + {c.refused:,} refused + {c.rejected:,} rejected + {c.unknown:,} unknown"
    good = facts.spans.balances and facts.traces.balances
    verdict = "it balances" if good else "IT DOES NOT BALANCE"
    return f"{c.offered:,} offered = {before}; {c.sent:,} sent = {answers} + {c.in_flight:,} in flight: {verdict}."


def doubts(facts: RunFacts) -> tuple[Note, ...]:
    """What speaks against trusting the run, worst first; at most five."""
    found = (check(facts) for check in _CHECKS)
    return tuple(note for note in found if note)[:5]


def _unbalanced(facts: RunFacts) -> Note | None:
    if facts.spans.balances and facts.traces.balances:
        return None
    return Note("The ledger does not balance", "spans were counted twice or from nowhere", "report this as a defect")


def _open_end(facts: RunFacts) -> Note | None:
    if facts.finished:
        return None
    what = "The run has no end on record: it goes on, or it was killed"
    effect = f"{facts.spans.in_flight:,} spans in flight may or may not have arrived"
    return Note(what, effect, "read it again once it has ended")


def _silent(facts: RunFacts) -> Note | None:
    silent = facts.meta.get("silent_workers")
    if not isinstance(silent, list) or not silent:
        return None
    names = clean(", ".join(map(str, silent[:5])))
    return Note(
        f"No last word from {len(silent)} workers ({names})", "what they sent at the end is not counted", "run again"
    )


def _left_open(facts: RunFacts) -> Note | None:
    if not audit_fails(facts):
        return None
    said = unexplained(facts)
    return Note(f"{said[:1].upper()}{said[1:]}", "figures drawn from this run may be wrong", "see the audit below")


def _embedded(facts: RunFacts) -> Note | None:
    return (
        Note(SINK, "planning takes nothing from them", "run against a real Tempo to learn its needs")
        if facts.sink
        else None
    )


def _unaudited(facts: RunFacts) -> Note | None:
    if facts.audit is not None:
        return None
    effect = "an OK from the Collector is not yet a stored trace: losses behind it would not show"
    return Note("The run was not audited", effect, "run honua-load audit on it")


def _gaps(facts: RunFacts) -> Note | None:
    if not facts.gaps:
        return None
    named = ", ".join(f"{clean(source, 40)} {n:,}" for source, n in list(facts.gaps.items())[:5])
    return Note(f"Looks at a target failed ({named})", "peaks between may be missing", "see whether it was overloaded")


def _brief(facts: RunFacts) -> Note | None:
    if facts.load is None or facts.load.length_s >= SHORT_S:
        return None
    what = f"Load lasted {text.show(facts.load.length_s, 's')}"
    return Note(what, "memory and compaction had no time to settle", "run for ten minutes or more to plan from it")


_CHECKS: tuple[Callable[[RunFacts], Note | None], ...] = (
    _unbalanced,
    _open_end,
    _silent,
    _left_open,
    _embedded,
    _unaudited,
    _gaps,
    _brief,
)
