"""A run as its page shows it: every string finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports import run_words, text
from reports.outside import clean, first, name
from reports.run_audit import audit_tables
from reports.run_charts import time_chart
from reports.run_facts import Measured, RunFacts, Trouble, mapping
from reports.run_times import Timeline
from reports.view import Cell, Chart, Column, Fact, Note, Row, Table, Term
from reports.words import QUANTITIES, RUN_TERMS, STATES, TARGETS

ROWS = 60
PAPERS_LENGTH = 20_000
SHOWN_STATES = (
    "offered",
    "waiting",
    "shed",
    "unfinished",
    "sent",
    "in_flight",
    "accepted",
    "refused",
    "rejected",
    "unknown",
)
LOSSES = {"shed", "refused", "rejected", "unknown"}
# Kept with the run as texts of their own; too long for a table.
PAPERS = {"topology_yaml": "Topology", "collector_config": "Collector configuration"}
APART = {*PAPERS, "verdict", "format"}
FIRST = ("run_id", "command", "note", "created_utc", "finished_utc", "stop_reason", "target", "topology_name", "seed")


@dataclass(frozen=True, slots=True)
class RunPage:
    """The page of a run, from the verdict to the glossary; None and empty parts are left out."""

    title: str
    first_line: str
    verdict: str
    good: bool
    own_words: str
    facts: tuple[Fact, ...]
    doubts: tuple[Note, ...]
    ledger: Table
    course: Chart | None
    lateness: Table | None
    audit: tuple[Table, ...]
    measured: Table | None
    troubles: Table | None
    circumstances: Table
    papers: tuple[tuple[str, str], ...]
    terms: tuple[Term, ...]


def run_page(facts: RunFacts, timeline: Timeline | None) -> RunPage:
    """The view of a run."""
    return RunPage(
        title=f"Run {clean(facts.run_id, 80)}",
        first_line=first_line(facts),
        verdict=run_words.sentence(facts),
        good=run_words.holds(facts),
        own_words="" if facts.finished else "Everything below is as far as the run file goes.",
        facts=_facts(facts),
        doubts=run_words.doubts(facts),
        ledger=_ledger(facts),
        course=time_chart(timeline, facts) if timeline else None,
        lateness=_lateness(facts),
        audit=audit_tables(facts.audit, facts.audits) if facts.audit is not None else (),
        measured=_measured(facts),
        troubles=_troubles(facts.troubles, facts.trouble_kinds),
        circumstances=_circumstances(facts.meta),
        papers=_papers(facts.meta),
        terms=RUN_TERMS,
    )


def first_line(facts: RunFacts) -> str:
    """Which run, of what, against whom, when."""
    target = mapping(facts.meta.get("target"))
    kind = TARGETS["sink"] if facts.sink else TARGETS.get(str(target.get("kind")), TARGETS["unknown"])
    where = f" at {target['endpoint']}" if target.get("endpoint") else ""
    parts = (
        facts.run_id,
        facts.meta.get("topology_name"),
        f"against {kind}{where}",
        text.utc(str(facts.meta.get("created_utc", ""))),
    )
    return clean(", ".join(str(part) for part in parts if part))


def _facts(facts: RunFacts) -> tuple[Fact, ...]:
    load, lost = facts.load, facts.lost_spans + facts.spans.shed
    share = load.delivered_ratio if load else None
    late = run_words.lateness(facts.lateness_us["p99"] if facts.lateness_us else None)
    of_asked = f"of {text.show(load.asked_spans_per_s, 'spans/s')} asked" if load and load.asked_spans_per_s else ""
    return (
        Fact("Delivered of what was asked", text.percent(share), "", of_asked, "#ledger"),
        Fact("Accepted", text.count(facts.spans.accepted), "spans", f"in {facts.traces.accepted:,} traces", "#ledger"),
        Fact("Refused, lost or shed", text.count(lost), "spans", "", "#ledger", "bad" if lost else ""),
        Fact("Lateness, p99", late, "", "from the intended send", "#course" if load else ""),
        _unexplained_fact(facts),
    )


def _unexplained_fact(facts: RunFacts) -> Fact:
    spans = run_words.unexplained_spans(facts.audit)
    why = "not audited" if facts.audit is None else "the audit does not say" if spans is None else "in the last audit"
    href = "#audit" if facts.audit is not None else ""
    return Fact("Unexplained", text.count(spans), "" if spans is None else "spans", why, href, "bad" if spans else "")


def _ledger(facts: RunFacts) -> Table:
    spans, traces, requests = (counts.as_dict() for counts in (facts.spans, facts.traces, facts.requests))
    rows = []
    for state in SHOWN_STATES:
        lost = state in LOSSES and spans[state] > 0
        share = spans[state] / spans["offered"] if spans["offered"] else None
        bar = max(0.0, min(share or 0.0, 1.0))
        shown = (
            ""
            if requests[state] == 0 and state in {"offered", "waiting", "shed", "unfinished"}
            else text.count(requests[state])
        )
        numbers = (
            Cell(text.count(spans[state]), bar_ratio=bar),
            Cell(text.percent(share)),
            Cell(text.count(traces[state])),
        )
        label = Cell(state.replace("_", " "), sub=STATES[state])
        rows.append(Row((label, *numbers, Cell(shown)), "bad" if lost else "total" if state == "sent" else ""))
    heads = (Column("State", "name"), Column("spans"), Column("of offered"), Column("traces"), Column("requests"))
    return Table("Ledger", run_words.balance(facts), heads, tuple(rows))


def _lateness(facts: RunFacts) -> Table | None:
    if facts.lateness_us is None:
        return None
    cells = tuple(Cell(run_words.lateness(bound)) for bound in facts.lateness_us.values())
    aid = (
        "Actual start of a send minus its intended start, all sends of the run. Each figure is the smallest bucket "
        "bound that so many sends did not exceed; “over” lies past the last bucket."
    )
    return Table("Lateness", aid, tuple(Column(at) for at in facts.lateness_us), (Row(cells),))


def _measured(facts: RunFacts) -> Table | None:
    if not facts.measured:
        return None
    still = [of for of in facts.measured if of.peak == 0 and not of.increase]
    shown, more = first([of for of in facts.measured if of not in still], ROWS)
    where = "in the steady window" if facts.steady else "over the whole run, which had no steady window"
    aid = f"Scraped values {where}; counters as rates, with what they counted over the whole run."
    sink = (f"{run_words.SINK}.",) if facts.sink else ()
    heads = [Column(title) for title in ("median", "p95", "peak", "counted", "values")]
    columns = (Column("Source", "name"), Column("quantity", "word"), *heads)
    return Table("Measured", aid, columns, tuple(map(_measured_row, shown)), (*sink, *more, *_zeros(still)))


def _zeros(still: Sequence[Measured]) -> tuple[str, ...]:
    """One line for what never moved, which would bury the rest."""
    names = sorted({f"{clean(of.source, 60)} {quantity_name(of.quantity)}" for of in still})
    shown, more = first(names, ROWS)
    return (f"0 in that time: {', '.join((*shown, *more))}.",) if names else ()


def quantity_name(quantity: str) -> str:
    """A quantity as people call it; its unit stands at its values."""
    plain = clean(quantity.removesuffix("_bytes").removesuffix("_s").replace("_", " "), 60)
    return QUANTITIES.get(quantity, plain)


def _measured_row(of: Measured) -> Row:
    unit = "s" if of.unit == "cores" else of.unit.removesuffix("/s")
    increase = Cell(*text.quantity(of.increase, unit)) if of.increase is not None else Cell("")
    numbers = (Cell(*text.quantity(value, of.unit)) for value in (of.median, of.p95, of.peak))
    labels = (Cell(clean(of.source, 60)), Cell(quantity_name(of.quantity)))
    return Row((*labels, *numbers, increase, Cell(text.count(of.n))))


def _troubles(troubles: Sequence[Trouble], kinds: int) -> Table | None:
    if not troubles:
        return None
    rows = tuple(
        Row((Cell(clean(t.cause or "no cause on record")), Cell(clean(t.state, 40)), Cell(text.count(t.spans)),
             Cell(text.count(t.traces)), Cell(str(t.first_block))))
        for t in troubles
    )  # fmt: skip
    heads = (Column("Cause", "name"), Column("state", "word"), Column("spans"), Column("traces"), Column("first block"))
    more = (f"and {kinds - len(troubles):,} more causes, all of them in the run file",) if kinds > len(troubles) else ()
    return Table("Troubles", "What did not simply arrive, most spans first.", heads, rows, more)


def _circumstances(meta: Mapping[str, Any]) -> Table:
    ordered = [*(key for key in FIRST if key in meta), *sorted(set(meta) - set(FIRST) - APART)]
    shown, more = first([(key, meta[key]) for key in ordered if meta[key] not in ("", None)], ROWS)
    rows = tuple(Row((Cell(clean(key.replace("_", " "), 120)), Cell(_in_a_line(value)))) for key, value in shown)
    aid = "What was asked of whom, with which releases, on which machine."
    return Table("Circumstances", aid, (Column("", "name"), Column("", "code")), rows, more)


def _in_a_line(value: object) -> str:
    """A fact of any kind: ``python 3.11.7, locust 2.47.0``."""
    if isinstance(value, Mapping):
        return clean(", ".join(f"{key} {name(item)}" for key, item in list(value.items())[:ROWS]), PAPERS_LENGTH // 10)
    if isinstance(value, list):
        return clean(", ".join(name(item) for item in value[:ROWS]) + (", …" if len(value) > ROWS else ""))
    return name(value)


def _papers(meta: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (title, clean(meta[key], PAPERS_LENGTH)) for key, title in PAPERS.items() if isinstance(meta.get(key), str)
    )
