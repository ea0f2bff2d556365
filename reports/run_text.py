"""A run on one screen of a terminal: the same first sentence as its page."""

from __future__ import annotations

from loadgen.run.verdict import ledger_lines
from reports import run_words, text
from reports.outside import clean
from reports.run_facts import Measured, RunFacts, Trouble
from reports.run_view import first_line, quantity_name

WIDTH = 100
TROUBLES = 3
MEASURED = ("rss_bytes", "cpu_s")


def lines_of(facts: RunFacts) -> list[str]:
    """The run's summary, at most about thirty lines."""
    return [
        run_words.sentence(facts),
        first_line(facts),
        "",
        *ledger_lines(facts.spans, facts.traces),
        *_lateness(facts),
        *_audit(facts),
        *_memory(facts),
        *_troubles(facts),
        *(f"doubt: {note.what}; {note.effect}; {note.remedy}." for note in run_words.doubts(facts)),
    ]


def _lateness(facts: RunFacts) -> list[str]:
    if facts.lateness_us is None:
        return []
    found = "  ".join(f"{at} {run_words.lateness(bound)}" for at, bound in facts.lateness_us.items())
    return [f"lateness: {found}"]


def _audit(facts: RunFacts) -> list[str]:
    return [] if facts.audit is None else [f"audit: {run_words.unexplained(facts)}"]


def _memory(facts: RunFacts) -> list[str]:
    return [_measured(of) for of in facts.measured if of.quantity in MEASURED][:6]


def _measured(of: Measured) -> str:
    median, peak = text.show(of.median, of.unit), text.show(of.peak, of.unit)
    return f"{clean(of.source, 40)} {quantity_name(of.quantity)}: median {median}, peak {peak}"


def _troubles(facts: RunFacts) -> list[str]:
    def line(trouble: Trouble) -> str:
        return f"trouble: {trouble.spans:,} spans {clean(trouble.state, 40)}: {clean(trouble.cause, WIDTH)}"

    rest = facts.trouble_kinds - TROUBLES
    more = [f"trouble: and {rest:,} more causes"] if rest > 0 else []
    return [*map(line, facts.troubles[:TROUBLES]), *more]
