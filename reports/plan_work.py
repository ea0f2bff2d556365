"""Workings of a plan: where each number comes from, once each, with an anchor to link to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from planner.records import Basis, Choice, Figure, Plan
from reports import text
from reports.outside import clean, first
from reports.view import Cell
from reports.words import FIGURES, INPUTS, Label

WORKING_LENGTH = 600
ENTRIES = 300
MEANS = frozenset({"error_wait_s"})  # their range is where 5 to 95 % of cases fall, not where the mean may lie


class Working(NamedTuple):
    """One number with all that stands behind it, every string finished."""

    anchor: str
    title: str
    value: str
    range: str
    formula: str
    basis: str
    source: str


class Workings(NamedTuple):
    """The workings of one sampling choice, or of the inputs; ``chosen`` ones are shown open."""

    title: str
    chosen: bool
    entries: tuple[Working, ...]
    notes: tuple[str, ...] = ()


Anchors = Mapping[Figure, str]


def label_of(name: str) -> Label:
    """How a figure is called; one unknown here goes by its own name."""
    return FIGURES.get(name) or Label(INPUTS.get(name, name.replace("_", " ")), name.replace("_", " "))


def retention(choice: Choice) -> str:
    """A retention as people say it: 24 h, 7 d."""
    scale = text.TIMES[6] if choice.retention_s > 86400 else text.time_scale(choice.retention_s)
    return f"{text.plain(choice.retention_s / scale.size)} {scale.name}"


def unit_of(name: str, figure: Figure) -> str:
    """The unit to show: of ratios only those that are called so are shares; the others are plain numbers."""
    return "" if figure.unit == "ratio" and not name.endswith("_ratio") else figure.unit


def figure_cell(figure: Figure | None, name: str, anchors: Anchors) -> Cell:
    """A figure as a table's cell: number, unit, range below, linked to its working."""
    if figure is None:
        return Cell(text.UNKNOWN, sub="not planned", tone="quiet")
    href = f"#{anchors[figure]}" if figure in anchors else ""
    if figure.value is None:
        return Cell(text.UNKNOWN, sub=clean(figure.reason or "not known", 120), href=href, tone="quiet")
    unit, digits = unit_of(name, figure), label_of(name).digits
    shown = text.quantity(figure.value, unit, digits)
    spread = _spread(name, figure)
    sub = "" if spread in {"exact", text.UNKNOWN} else spread
    if name not in MEANS:
        sub = sub.removesuffix(f" {shown.unit}")
    return Cell(shown.number, shown.unit, sub, href, "doubt" if figure.basis is Basis.EXTRAPOLATED else "")


def _spread(name: str, figure: Figure) -> str:
    """The range; of a mean that chance spreads widely, what the two numbers are."""
    unit, digits = unit_of(name, figure), label_of(name).digits
    spread = text.span(figure.low, figure.high, unit, digits)
    if name not in MEANS or spread in {"exact", text.UNKNOWN}:
        return spread
    return f"mean; 95 % within {text.show(figure.high, unit, digits)}"


def _working(anchor: str, name: str, kept_for: str, figure: Figure) -> Working:
    unit, digits, known = unit_of(name, figure), label_of(name).digits, figure.value is not None
    return Working(
        anchor=anchor,
        title=clean(label_of(name).full, 120) + kept_for,
        value=text.show(figure.value, unit, max(digits, 4)),
        range=_spread(name, figure) if known else clean(figure.reason, 200),
        formula=clean(figure.working, WORKING_LENGTH),
        basis=figure.basis.value,
        source=clean(figure.source, WORKING_LENGTH),
    )


def _groups(plan: Plan, choices: tuple[Choice, ...]) -> Iterator[tuple[str, bool, list[tuple[str, str, Figure]]]]:
    inputs = [(name, "", figure) for name, figure in [*plan.traffic.items(), *plan.shape.items()]]
    yield "Inputs: traffic and the shape of a trace", True, inputs
    for sampling in dict.fromkeys(choice.sampling for choice in choices):
        members = [choice for choice in choices if choice.sampling == sampling]
        named = [(name, retention(c), figure) for c in members for name, figure in c.figures.items()]
        order = {name: at for at, name in enumerate(FIGURES)}
        named.sort(key=lambda found: order.get(found[0], len(order)))
        yield clean(sampling, 120), plan.chosen.sampling == sampling, named


def workings(plan: Plan, choices: tuple[Choice, ...]) -> tuple[tuple[Workings, ...], dict[Figure, str]]:
    """Workings of the inputs and of ``choices``, and each figure's anchor; equal figures share one."""
    anchors: dict[Figure, str] = {}
    groups = []
    for title, chosen, found in _groups(plan, choices):
        named, notes = first(found, ENTRIES)
        groups.append(Workings(title, chosen, tuple(_entries(named, anchors)), notes))
    return tuple(groups), anchors


def _entries(named: Sequence[tuple[str, str, Figure]], anchors: dict[Figure, str]) -> Iterator[Working]:
    kinds: dict[str, set[Figure]] = {}
    for name, _, figure in named:
        kinds.setdefault(name, set()).add(figure)
    for name, kept_for, figure in named:
        if figure not in anchors:
            anchors[figure] = f"w{len(anchors) + 1}"
            suffix = f", {kept_for}" if kept_for and len(kinds[name]) > 1 else ""
            yield _working(anchors[figure], name, suffix, figure)
