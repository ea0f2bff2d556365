"""A plan as its page shows it: every string finished, nothing computed but what is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from planner.records import Limit, Plan
from reports import text
from reports.outside import clean
from reports.plan_charts import plan_charts
from reports.plan_grid import by_retention, by_sampling, shown_choices
from reports.plan_tables import (
    circumstances,
    doubts_table,
    figures_table,
    limits_table,
    path_table,
    settings_table,
    words,
)
from reports.plan_trade import trade_chart
from reports.plan_work import Anchors, Workings, figure_cell, retention, workings
from reports.view import Chart, Fact, Note, Table, Term
from reports.words import BASES, FIGURES, PLAN_TERMS

DOUBTS_FIRST = 3
EXPECTED = (
    "kept_traces_per_s",
    "kept_spans_per_s",
    "stored_bytes_per_day",
    "at_rest_bytes",
    "collector_rss_bytes",
    "collector_cores",
    "tempo_rss_bytes",
    "tempo_cores",
)
HIDDEN = ("kept_ratio", "error_wait_s", "error_rate_halfwidth_ratio")
COSTS = ("storage_usd_per_month", "compute_usd_per_month", "cost_usd_per_month")


@dataclass(frozen=True, slots=True)
class PlanPage:
    """The page of a plan, from the verdict to the glossary; None and empty parts are left out."""

    title: str
    first_line: str
    verdict: str
    facts: tuple[Fact, ...]
    doubts: tuple[Note, ...]
    settings: Table | None
    expected: Table
    limits: Table | None
    path: Table | None
    by_sampling: Table
    by_retention: Table
    curves: tuple[Chart, ...]
    hidden: Table
    trade: Chart | None
    cost: Table
    not_counted: tuple[str, ...]
    more_doubts: Table | None
    workings: tuple[Workings, ...]
    assumptions: tuple[str, ...]
    circumstances: Table
    bases: tuple[tuple[str, str], ...]
    terms: tuple[Term, ...]


def plan_page(plan: Plan) -> PlanPage:
    """The view of ``plan``."""
    choices = shown_choices(plan)
    groups, anchors = workings(plan, choices)
    doubts = [Note(_said(d.what), _said(d.effect), _said(d.remedy)) for d in plan.doubts]
    return PlanPage(
        title=f"Sizing: {clean(plan.chosen.sampling, 60)}, {retention(plan.chosen)}",
        first_line=clean(plan.first_line),
        verdict=clean(plan.verdict),
        facts=_facts(plan, anchors),
        doubts=tuple(doubts[:DOUBTS_FIRST]),
        settings=settings_table(plan.settings),
        expected=figures_table("What to expect", _EXPECT_AID, plan.chosen.figures, EXPECTED, anchors),
        limits=limits_table(plan.limits),
        path=path_table(plan.path),
        by_sampling=by_sampling(plan, anchors),
        by_retention=by_retention(plan, anchors),
        curves=plan_charts(plan),
        hidden=figures_table("What the sampling hides", _HIDDEN_AID, plan.chosen.figures, HIDDEN, anchors),
        trade=trade_chart(plan, choices),
        cost=figures_table("Cost", _COST_AID, plan.chosen.figures, COSTS, anchors, total=COSTS[-1]),
        not_counted=words(plan.not_counted),
        more_doubts=doubts_table(doubts[DOUBTS_FIRST:]),
        workings=groups,
        assumptions=words(plan.assumptions),
        circumstances=circumstances(plan.circumstances),
        bases=tuple(BASES.items()),
        terms=PLAN_TERMS,
    )


_EXPECT_AID = "What the processes should show once retention has filled up; the range is where it should fall."
_HIDDEN_AID = "What a person who looks at the kept traces can no longer see, for the recommended choice."
_COST_AID = "A month of the recommended choice at the prices named under circumstances."


def _said(sentence: str) -> str:
    return clean(sentence).rstrip(".")


def _fact(plan: Plan, name: str, label: str, anchors: Anchors) -> Fact:
    cell = figure_cell(plan.chosen.figures.get(name), name, anchors)
    return Fact(label, cell.text, cell.unit, cell.sub, cell.href, cell.tone)


def _facts(plan: Plan, anchors: Anchors) -> tuple[Fact, ...]:
    figures = [
        _fact(plan, "cost_usd_per_month", "Cost", anchors),
        _fact(plan, "at_rest_bytes", f"Storage at rest, {retention(plan.chosen)}", anchors),
        _fact(plan, "tempo_rss_bytes", "Tempo memory", anchors),
        _fact(plan, "error_wait_s", FIGURES["error_wait_s"].short, anchors),
    ]
    if plan.limits:
        figures.insert(1, _first_limit(min(plan.limits, key=lambda limit: limit.margin_ratio)))
    return tuple(figures)


def _first_limit(limit: Limit) -> Fact:
    what = clean(f"{limit.component} {limit.name}", 80)
    if limit.holds:
        return Fact("Tightest limit", text.percent(limit.margin_ratio), "left", what, "#limits", "good")
    return Fact("Tightest limit", "broken", "", what, "#limits", "bad")
