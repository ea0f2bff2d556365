"""The grid of choices: what depends on sampling alone, then sampling by retention."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from planner.records import Basis, Choice, Figure, Plan
from reports import text
from reports.outside import clean, first
from reports.plan_work import Anchors, figure_cell, label_of, retention
from reports.view import Cell, Column, Row, Table

SHOWN = 60
HEAT_STEPS = 6
HEATED = {"cost_usd_per_month": "h", "error_wait_s": "e"}  # dearer is bluer, a longer wait redder
BY_SAMPLING = (
    ("kept_ratio", "After sampling"),
    ("kept_spans_per_s", "After sampling"),
    ("stored_bytes_per_day", "After sampling"),
    ("collector_rss_bytes", "Memory"),
    ("tempo_rss_bytes", "Memory"),
    ("collector_cores", "CPU"),
    ("tempo_cores", "CPU"),
    ("error_wait_s", "What is hidden"),
    ("error_rate_halfwidth_ratio", "What is hidden"),
)
BY_RETENTION = ("at_rest_bytes", "cost_usd_per_month")

Found = Mapping[tuple[str, str], Choice]


def shown_choices(plan: Plan) -> tuple[Choice, ...]:
    """The choices a page has room for, the recommended one always among them."""
    fitting = list(plan.choices[:SHOWN])
    if plan.recommended >= SHOWN:
        fitting[-1] = plan.chosen
    return tuple(fitting)


def _heat(choices: Iterable[Choice], name: str) -> dict[float, str]:
    """A tone for each value by its place between least and most, on a logarithmic scale."""
    figures = (choice.figures.get(name) for choice in choices)
    values = {f.value for f in figures if f is not None and f.value is not None and f.value > 0}
    if name not in HEATED or len(values) < 2:
        return {}
    low, width = math.log(min(values)), math.log(max(values)) - math.log(min(values))
    places = {value: (math.log(value) - low) / width for value in values}
    return {value: f"{HEATED[name]}{min(int(at * HEAT_STEPS), HEAT_STEPS - 1)}" for value, at in places.items()}


def _short_cell(figure: Figure | None, name: str, anchors: Anchors, heat: Mapping[float, str]) -> Cell:
    """A figure's cell for a narrow column: why there is no number stands below the table."""
    cell = _cell(figure, name, anchors, heat)
    return cell._replace(sub="") if figure is not None and figure.value is None else cell


def _reasons(choices: Iterable[Choice], names: Iterable[str]) -> tuple[str, ...]:
    """Why there is no number where a cell reads "-", once each."""
    found = {
        f"{label_of(name).full} of {clean(choice.sampling, 60)}: {clean(figure.reason or 'not known', 200)}"
        for choice in choices
        for name in names
        if (figure := choice.figures.get(name)) is not None and figure.value is None
    }
    shown, more = first(sorted(found), 6)
    return (*(f"{text.UNKNOWN}  {reason}" for reason in shown), *more)


def _cell(figure: Figure | None, name: str, anchors: Anchors, heat: Mapping[float, str]) -> Cell:
    cell = figure_cell(figure, name, anchors)
    warmth = heat.get(figure.value, "") if figure is not None and figure.value is not None else ""
    return cell._replace(tone=f"{warmth} {cell.tone}".strip())


def _name(sampling: str, plan: Plan) -> Cell:
    chosen = sampling == plan.chosen.sampling
    return Cell(clean(sampling, 120), sub="recommended" if chosen else "")


def by_sampling(plan: Plan, anchors: Anchors) -> Table:
    """Every sampling a row, at the recommended retention."""
    choices = shown_choices(plan)
    kept_for = retention(plan.chosen)
    picked = {choice.sampling: choice for choice in reversed(choices)}
    picked |= {choice.sampling: choice for choice in choices if retention(choice) == kept_for}
    heats = {name: _heat(picked.values(), name) for name, _ in BY_SAMPLING}
    rows = []
    for sampling in dict.fromkeys(choice.sampling for choice in choices):
        figures = picked[sampling].figures
        numbers = [_short_cell(figures.get(name), name, anchors, heats[name]) for name, _ in BY_SAMPLING]
        rows.append(Row((_name(sampling, plan), *numbers), "chosen" if sampling == plan.chosen.sampling else ""))
    heads = (Column("Sampling", "name"), *(Column(label_of(name).short, group=group) for name, group in BY_SAMPLING))
    aid = f"What each sampling keeps, needs and hides at {kept_for} of retention. Every number leads to its working."
    return Table(
        "By sampling",
        aid + _doubt_aid(choices),
        heads,
        tuple(rows),
        _reasons(picked.values(), [name for name, _ in BY_SAMPLING]),
    )


def by_retention(plan: Plan, anchors: Anchors) -> Table:
    """Storage and cost: every sampling a row, every retention a pair of columns."""
    choices = shown_choices(plan)
    found = {(choice.sampling, retention(choice)): choice for choice in reversed(choices)}
    kept_for = [retention(choice) for choice in sorted(choices, key=lambda choice: choice.retention_s)]
    retentions = tuple(dict.fromkeys(kept_for))
    heats = {name: _heat(choices, name) for name in BY_RETENTION}
    rows = []
    for sampling in dict.fromkeys(choice.sampling for choice in choices):
        numbers = [
            _choice_cell(found.get((sampling, length)), name, plan, anchors, heats)
            for length in retentions
            for name in BY_RETENTION
        ]
        rows.append(Row((_name(sampling, plan), *numbers)))
    heads = [Column(label_of(name).short, group=length) for length in retentions for name in BY_RETENTION]
    aid = (
        "Storage once retention has filled up, and the whole cost of a month; darker is dearer. "
        "The framed pair is the recommendation."
    )
    return Table(
        "By sampling and retention",
        aid,
        (Column("Sampling", "name"), *heads),
        tuple(rows),
        (*_reasons(choices, BY_RETENTION), *_more(plan)),
    )


def _choice_cell(
    choice: Choice | None, name: str, plan: Plan, anchors: Anchors, heats: Mapping[str, Mapping[float, str]]
) -> Cell:
    if choice is None:
        return Cell("")
    cell = _short_cell(choice.figures.get(name), name, anchors, heats[name])
    cell = cell._replace(unit=cell.unit.removesuffix("/month"))
    return cell._replace(tone=f"{cell.tone} picked".strip()) if choice is plan.chosen else cell


def _doubt_aid(choices: tuple[Choice, ...]) -> str:
    doubtful = any(f.basis is Basis.EXTRAPOLATED for choice in choices for f in choice.figures.values())
    return " † lies outside the range that was measured." if doubtful else ""


def _more(plan: Plan) -> tuple[str, ...]:
    rest = len(plan.choices) - SHOWN
    return (f"and {rest:,} more choices, all of them in the JSON",) if rest > 0 else ()
