"""The plan on the terminal: verdict, grid, settings, limits and doubts, in the columns there are.

Each sampling choice is one block of lines, one for each retention; what does not depend on the
retention stands once, with its range and the letter of its basis below it.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TextIO

from planner.records import Basis, Choice, Doubt, Figure, Limit, Plan, Setting
from planner.text import UNKNOWN, amount, duration, number, percent, size, usd

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 100
LEGEND = ", ".join(f"{basis[0]} {basis}" for basis in Basis)
_SCALES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (0, "B"))
_HELD = "\N{NO-BREAK SPACE}"
COLUMNS = (
    "\n\nsampling", "\n\nkeep", "\nkept\n%", "\nstored\na day", "\n\nat rest", "\nCollector\nRAM", "\nTempo\nRAM",
    "\n\ncost a month", "error\nkept in\n(95 %)",
)  # fmt: skip
STORED = 3  # the column that is left out first


class Layout(NamedTuple):
    """What the grid shows: ranges of storage and cost, and the column of bytes stored a day."""

    ranges: bool
    stored: bool


# The first that fits is taken.
LAYOUTS = tuple(Layout(ranges=ranges, stored=stored) for ranges in (True, False) for stored in (True, False))


def print_plan(plan: Plan, file: TextIO) -> None:
    """Write the plan as text, as wide as the terminal or COLUMNS says, 100 columns in pipes without it."""
    from rich.console import Console  # noqa: PLC0415  (only whoever reads a table pays for it)

    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console = Console(file=file, highlight=False, markup=False, emoji=False, width=WIDTH)
    width = console.width
    console.print(*wrapped(plan.first_line, width), style="bold", sep="\n")
    console.print(*wrapped(plan.verdict, width), sep="\n")
    console.print()
    console.print(_grid(plan, width))
    for title, lines in sections(plan):
        console.print(f"{title}", style="bold")
        for line in lines:
            console.print(*wrapped(line, width, "  "), sep="\n")


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """``text`` in lines of at most ``width``; a number and its % sign stay together."""
    held = text.replace(" %", f"{_HELD}%")
    lines = textwrap.wrap(held, width, initial_indent=indent, subsequent_indent=indent + "  " * bool(indent))
    return [line.replace(_HELD, " ") for line in lines]


def columns_of(plan: Plan, layout: Layout) -> list[tuple[str, ...]]:
    """The grid's columns, each its title and its cells."""
    columns = zip(COLUMNS, *blocks(plan, wide=layout.ranges), strict=True)
    return [column for i, column in enumerate(columns) if layout.stored or i != STORED]


def natural_width(columns: Sequence[Sequence[str]]) -> int:
    """Characters that the columns take where no cell is cut or folded, one between two of them."""
    return sum(1 + max(len(line) for cell in column for line in cell.split("\n")) for column in columns)


def _grid(plan: Plan, width: int) -> Table:
    """The widest layout that fits; where none does, cells are folded, never cut."""
    from rich.table import Table  # noqa: PLC0415

    candidates = [columns_of(plan, layout) for layout in LAYOUTS]
    columns = next((found for found in candidates if natural_width(found) <= width), candidates[-1])
    grid = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for title, *_ in columns:
        grid.add_column(title, vertical="top", overflow="fold")
    for cells in zip(*(column[1:] for column in columns), strict=True):
        grid.add_row(*cells)
        grid.add_row()
    return grid


def blocks(plan: Plan, *, wide: bool = True) -> Iterator[tuple[str, ...]]:
    """The cells of each sampling choice's block, in the order of COLUMNS; lines are split by line feeds."""
    numbered = enumerate(plan.choices)
    for _, members in groupby(numbered, key=lambda pair: pair[1].sampling):
        rows = list(members)
        first = rows[0][1].figures
        best = [plan.recommended == i for i, _ in rows]
        choices = [choice for _, choice in rows]
        at_rest = (choice.figures["at_rest_bytes"] for choice in choices)
        cost = (choice.figures["cost_usd_per_month"] for choice in choices)
        yield (
            _name(choices[0].sampling, best),
            "\n".join(duration(choice.retention_s) for choice in choices),
            _kept(first["kept_ratio"]),
            _stacked(first["stored_bytes_per_day"]),
            "\n".join(bytes_line(figure, wide=wide) for figure in at_rest),
            _stacked(first["collector_rss_bytes"]),
            _stacked(first["tempo_rss_bytes"]),
            "\n".join(usd_line(figure, wide=wide) for figure in cost),
            seen_within(first["error_wait_s"]),
        )


def _short_name(sampling: str) -> str:
    return sampling.replace(" %", "%")


def _name(sampling: str, best: Sequence[bool]) -> str:
    lines = [_short_name(sampling), *("" for _ in best[1:])]
    if True in best:
        line = best.index(True)
        lines[line] = f"{lines[line]}>" if line == 0 else "advised >"
    return "\n".join(lines)


def _kept(ratio: Figure) -> str:
    """The kept ratio with a digit more than the others: 9.998 % is not 10 %."""
    text = UNKNOWN if ratio.value is None else percent(ratio.value, 4 if ratio.value >= 0.01 else 3).removesuffix(" %")
    low, high = ratio.low or 0.0, ratio.high or 0.0
    ends = "–".join(percent(end, 2).removesuffix(" %") for end in (low, high))
    return f"{text}\n{ends}" if low < high else text


def short(value: float, digits: int = 2) -> str:
    """Few significant digits, for the ends of ranges."""
    return number(float(f"{value:.{digits}g}"))


def _digits(low: float, value: float, high: float) -> int:
    """Digits that keep the ends of a range apart from its value: a third one where the range is narrow."""
    return 2 if high - low > value / 4 else 3


def in_one_unit(figure: Figure) -> tuple[str, str, str]:
    """Value and range of a figure in bytes, in the unit that the value fills, and that unit."""
    value = figure.value or 0.0
    scale, unit = next((s, u) for s, u in _SCALES if value >= 0.9995 * s)
    low, value, high = ((end or 0.0) / (scale or 1) for end in (figure.low, value, figure.high))
    digits = _digits(low, value, high)
    shown = short(value, digits) if value < 10 else f"{float(f'{value:.3g}'):g}"
    return shown, f"{short(low, digits)}–{short(high, digits)}", unit


def _stacked(figure: Figure) -> str:
    """A figure in bytes, below it its range, below that the letter of its basis."""
    if figure.value is None:
        return UNKNOWN
    value, ends, unit = in_one_unit(figure)
    return f"{value} {unit}\n{ends}\n{figure.basis[0]}"


def bytes_line(figure: Figure, *, wide: bool) -> str:
    """A figure in bytes with its range, in one line."""
    if figure.value is None:
        return UNKNOWN
    value, ends, unit = in_one_unit(figure)
    return f"{value} ({ends}) {unit} {figure.basis[0]}" if wide else f"{value} {unit} {figure.basis[0]}"


def usd_line(figure: Figure, *, wide: bool) -> str:
    """A price with its range, in one line."""
    if figure.value is None or figure.low is None or figure.high is None:
        return UNKNOWN
    digits = _digits(figure.low, figure.value, figure.high)
    ends = f" ({short(figure.low, digits)}–{short(figure.high, digits)})" if wide else ""
    return f"{usd(figure.value)}{ends} {figure.basis[0]}"


def seen_within(wait: Figure) -> str:
    """The time within which an error is kept in 95 of 100 cases."""
    if wait.high is None:
        return UNKNOWN
    count, _, unit = duration(wait.high).partition(" ")
    return f"{short(float(count.replace(',', '')))} {unit}"


def sections(plan: Plan) -> list[tuple[str, list[str]]]:
    """What stands below the grid: titles with their finished lines."""
    reading = [
        f"Basis: {LEGEND}. Ranges low–high. RAM at the peak; a GB has 2^30 bytes.",
        "Error kept in (95 %): a 1-in-10,000 error is kept by then in 95 of 100 cases. 1 rps = 1 trace/s.",
    ]
    named = [
        ("How to read it", [*reading, *_reasons(plan.choices)]),
        ("Set", [setting_line(setting) for setting in plan.settings]),
        ("First limits", [limit_line(limit) for limit in plan.limits[:3]]),
        ("Doubts, worst first", [doubt_line(i, doubt) for i, doubt in enumerate(plan.doubts, 1)]),
        ("Not counted", ["; ".join(plan.not_counted)]),
    ]
    return [(title, lines) for title, lines in named if lines]


def _reasons(choices: Sequence[Choice]) -> list[str]:
    """Why a dash stands where it does, each reason once."""
    missing = {
        f"{UNKNOWN} ({name}): {figure.reason}"
        for choice in choices
        for name, figure in choice.figures.items()
        if figure.value is None
    }
    return sorted(missing)


def setting_line(setting: Setting) -> str:
    """One component's replicas, request and limit."""
    memory = f"{size(setting.memory_request_bytes)}, memory limit {size(setting.memory_limit_bytes)}"
    each = " each" if setting.replicas > 1 else ""
    cpu = number(setting.cpu_request_cores)
    return f"{setting.component}: {setting.replicas} x CPU request {cpu}, memory request {memory}{each}"


def limit_line(limit: Limit) -> str:
    """One limit with what is expected, what is left, and, where less than half is, the remedy."""
    expected, most = amount(limit.expected, limit.unit), amount(limit.limit, limit.unit)
    left = f"{percent(limit.margin_ratio, 2)} left" if limit.holds else "EXCEEDED"
    line = f"{limit.component} {limit.name}: {expected} of {most}, {left}"
    return line if limit.margin_ratio > 0.5 else f"{line}; {limit.remedy}"


def doubt_line(place: int, doubt: Doubt) -> str:
    """One doubt with effect and remedy."""
    remedy = doubt.remedy[:1].upper() + doubt.remedy[1:]
    return f"{place}. {doubt.what}: {doubt.effect}. {remedy}."
