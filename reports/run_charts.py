"""A run over time in one stacked figure: rates, what was not delivered, lateness, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reports import svg, text
from reports.run_facts import RunFacts
from reports.run_times import Floats, Timeline
from reports.view import Cell, Chart, Column, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, PANEL, MARGIN, FOOT = 640, 108, 34, 46
ROWS = 24
COLOURS = (svg.ACCENT, svg.SECOND, svg.THIRD, svg.QUIET)


class Panel(NamedTuple):
    """One of the stacked axes: its title and what draws into it."""

    title: str
    draw: Callable[[Axes], None]


def time_chart(timeline: Timeline, facts: RunFacts) -> Chart:
    """The run's course with its table; empty panels are left out and said to be empty."""
    panels = list(_panels(timeline))
    said = _said(timeline, facts, len(panels))
    drawn = _drawn(panels, timeline, _shaded(facts), said)
    return Chart("course", "Over time", said, drawn, (_table(timeline),), wide=True)


def _shaded(facts: RunFacts) -> tuple[float, float] | None:
    if facts.steady is None or facts.load is None:
        return None
    return max(facts.steady[0] - facts.load.from_s, 0.0), facts.steady[1] - facts.load.from_s


def _said(timeline: Timeline, facts: RunFacts, panels: int) -> str:
    steady = _shaded(facts)
    shaded = (
        f"Shaded: the steady window, second {steady[0]:.0f} to {steady[1]:.0f}. "
        if steady
        else "No steady window was found. "
    )
    nothing_lost = (
        "" if panels == 4 or _any(timeline.lost + timeline.rates["shed"]) else "Nothing was refused, lost or shed. "
    )
    no_memory = "" if timeline.memory else "No memory was scraped. "
    width = timeline.edges_s[1] - timeline.edges_s[0]
    steps = f"Steps of {text.show(float(width), 's')}; lateness counts from the intended send."
    return f"{shaded}{nothing_lost}{no_memory}{steps}"


def _any(values: Floats) -> bool:
    return bool(np.nansum(values) > 0)


def _panels(timeline: Timeline) -> Iterable[Panel]:
    yield Panel("spans/s", lambda axes: _draw_rates(axes, timeline))
    if _any(timeline.lost + timeline.rates["shed"]):
        yield Panel("not delivered, spans/s", lambda axes: _draw_lost(axes, timeline))
    if np.isfinite(timeline.p99_s).any():
        yield Panel("lateness, ms", lambda axes: _draw_lateness(axes, timeline))
    if timeline.memory:
        yield Panel("memory (RSS), MiB", lambda axes: _draw_memory(axes, timeline))


def _drawn(panels: list[Panel], timeline: Timeline, steady: tuple[float, float] | None, said: str) -> str:
    with svg.house_style():
        from matplotlib.figure import Figure  # noqa: PLC0415

        height = FOOT + len(panels) * (PANEL + MARGIN)
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
        for at, panel in enumerate(panels):
            bottom = (FOOT + (len(panels) - 1 - at) * (PANEL + MARGIN)) / height
            axes = figure.add_axes((0.1, bottom, 0.87, PANEL / height))
            _frame(axes, timeline, steady, last=panel is panels[-1])
            panel.draw(axes)
            axes.set_ylim(0, axes.dataLim.ymax * 1.08)
            axes.set_title(panel.title)
            axes.yaxis.set_major_formatter(lambda value, _: text.plain(round(value, 6)))
            axes.legend(
                loc="lower right", bbox_to_anchor=(1, 1.0), ncols=4, frameon=False, handlelength=1.2, columnspacing=1.2,
                borderpad=0, borderaxespad=0.35, labelcolor=svg.QUIET,
            )  # fmt: skip
        return svg.inline(figure, "course", "Over time", said)


def _frame(axes: Axes, timeline: Timeline, steady: tuple[float, float] | None, *, last: bool) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.set_xlim(0, float(timeline.edges_s[-1]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: text.plain(round(value, 6)))
    axes.tick_params(axis="x", labelbottom=last)
    if last:
        axes.set_xlabel("seconds since the load began")
    if steady:
        axes.axvspan(*steady, color=svg.VALID, linewidth=0)


class Line(NamedTuple):
    """How a stepped line looks and what it is called."""

    colour: str
    label: str
    width: float = 1.6
    dashes: tuple[float, ...] = ()


def _steps(axes: Axes, timeline: Timeline, values: Floats, line: Line) -> None:
    style = (0, line.dashes) if line.dashes else "-"
    axes.stairs(
        values,
        timeline.edges_s,
        baseline=None,
        color=line.colour,
        label=line.label,
        linewidth=line.width,
        linestyle=style,
    )


def _draw_rates(axes: Axes, timeline: Timeline) -> None:
    _steps(axes, timeline, timeline.rates["accepted"], Line(svg.ACCENT, "delivered", 1.8))
    if np.isfinite(timeline.asked).any():
        _steps(axes, timeline, timeline.asked, Line(svg.INK, "asked", 1.2, (4, 3)))


def _draw_lost(axes: Axes, timeline: Timeline) -> None:
    _steps(axes, timeline, timeline.lost, Line(svg.BAD, "refused, rejected, unknown"))
    _steps(axes, timeline, timeline.rates["shed"], Line(svg.SECOND, "shed"))


def _draw_lateness(axes: Axes, timeline: Timeline) -> None:
    for values, line in ((timeline.p99_s, Line(svg.ACCENT, "p99")), (timeline.p50_s, Line(svg.QUIET, "p50"))):
        _steps(axes, timeline, np.where(np.isfinite(values), values * 1000, np.nan), line)


def _draw_memory(axes: Axes, timeline: Timeline) -> None:
    for memory, colour in zip(timeline.memory, COLOURS, strict=False):
        label = svg.drawable(memory.source)
        axes.plot(memory.time_s, memory.rss_bytes / text.MIB, color=colour, linewidth=1.6, label=label)


def _table(timeline: Timeline) -> Table:
    heads = ("second", "asked", "delivered", "not delivered", "shed", "p99 lateness")
    picked = np.unique(np.linspace(0, len(timeline.edges_s) - 2, ROWS).round().astype(int))
    rows = tuple(_row(timeline, int(at)) for at in picked)
    thinned = len(picked) < len(timeline.edges_s) - 1
    notes = (f"{len(picked)} of {len(timeline.edges_s) - 1} steps; all of them are in the run file",) if thinned else ()
    return Table("Course", "The steps of the figure, spans/s.", tuple(map(Column, heads)), rows, notes)


def _row(timeline: Timeline, at: int) -> Row:
    rates = (timeline.asked[at], timeline.rates["accepted"][at], timeline.lost[at], timeline.rates["shed"][at])
    late = timeline.p99_s[at]
    last = "over" if np.isposinf(late) else text.show(float(late), "s")
    shown = [text.quantity(max(float(rate), 0.0) if np.isfinite(rate) else None, "").number for rate in rates]
    return Row(tuple(Cell(value) for value in (f"{timeline.edges_s[at + 1]:.0f}", *shown, last)))
