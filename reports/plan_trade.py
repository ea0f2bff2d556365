"""What a month costs against how long a rare error stays unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from planner.records import Choice, Plan
from reports import svg, text
from reports.outside import clean
from reports.plan_work import retention
from reports.view import Cell, Chart, Column, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 640, 300
# Round numbers of seconds, minutes, hours, days.
WAITS_S = (
    *(count * 10.0**power for power in range(-6, 1) for count in (1, 2, 5)),
    *(10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0, 18000.0, 43200.0),
    *(count * 86400.0 * 10**power for power in range(4) for count in (1, 2, 5)),
)
TITLE = "Cost against what is seen"


class Dot(NamedTuple):
    """One choice: what it costs [USD/month], how long a 1-in-10,000 error stays unseen [s], how long it is kept."""

    cost_usd: float
    wait_s: float
    kept_for: str


Trades = Mapping[str, Sequence[Dot]]  # by sampling, cheapest first


def trade_chart(plan: Plan, choices: Sequence[Choice]) -> Chart | None:
    """The choices as a figure, with its table; None with fewer than two samplings."""
    trades = _trades(choices)
    if len(trades) < 2:
        return None
    said = (
        "Each line is one sampling, from its shortest to its longest retention; further down is seen sooner, "
        "further left is cheaper. The ring is the recommendation."
    )
    return Chart("trade", TITLE, said, _drawn(trades, _dot(plan.chosen), said), (_table(trades),), wide=True)


def _dot(choice: Choice) -> Dot | None:
    cost, wait = (choice.figures.get(name) for name in ("cost_usd_per_month", "error_wait_s"))
    if cost is None or wait is None or not cost.value or not wait.value or min(cost.value, wait.value) <= 0:
        return None
    return Dot(cost.value, wait.value, retention(choice))


def _trades(choices: Sequence[Choice]) -> Trades:
    found: dict[str, list[Dot]] = {}
    for choice in choices:
        if dot := _dot(choice):
            found.setdefault(choice.sampling, []).append(dot)
    return {sampling: sorted(dots) for sampling, dots in found.items()}


def _drawn(trades: Trades, chosen: Dot | None, said: str) -> str:
    with svg.house_style():
        from matplotlib.figure import Figure  # noqa: PLC0415  (loaded only when something is drawn)

        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        axes = figure.add_axes((0.1, 0.15, 0.87, 0.74))
        axes.set_xscale("log")
        axes.set_yscale("log")
        for at, sampling in enumerate(trades):
            _line(axes, trades, sampling, at)
        if chosen:
            place = [chosen.cost_usd], [chosen.wait_s]
            axes.plot(*place, "o", color=svg.PAPER, markeredgecolor=svg.INK, markersize=9, markeredgewidth=2)
        _ticks(axes)
        return svg.inline(figure, "trade", TITLE, said)


def _line(axes: Axes, trades: Trades, sampling: str, at: int) -> None:
    dots = trades[sampling]
    first = dots[0]
    near = [other for other in list(trades)[:at] if 0.7 < trades[other][0].wait_s / first.wait_s < 1.4]
    offset = (0, -18) if len(near) % 2 else (0, 8)  # two samplings that see equally soon share a height
    costs, waits = [dot.cost_usd for dot in dots], [dot.wait_s for dot in dots]
    axes.plot(costs, waits, "o-", color=svg.ACCENT, linewidth=1.4, markersize=5, clip_on=False)
    axes.annotate(svg.drawable(sampling), (first.cost_usd, first.wait_s), offset, textcoords="offset points")


def _ticks(axes: Axes) -> None:
    from matplotlib.ticker import FixedLocator, LogLocator  # noqa: PLC0415

    axes.margins(0.08, 0.16)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(FixedLocator([wait for wait in WAITS_S if low <= wait <= high]))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.xaxis.set_major_formatter(lambda value, _: text.dollars(value).removesuffix(".00"))
    axes.yaxis.set_major_formatter(lambda value, _: _wait(value))
    axes.set_title("mean wait until a 1-in-10,000 error is kept")
    axes.set_xlabel("cost a month")


def _wait(seconds: float) -> str:
    scale = next(scale for scale in reversed(text.TIMES) if seconds >= scale.size * 0.999)
    return f"{text.plain(round(seconds / scale.size, 6))} {scale.name}"


def _table(trades: Trades) -> Table:
    rows = tuple(_row(sampling, dot) for sampling, dots in trades.items() for dot in dots)
    heads = (Column("Sampling", "name"), Column("retention"), Column("cost"), Column("mean wait"))
    return Table(TITLE, "The dots of the figure.", heads, rows)


def _row(sampling: str, dot: Dot) -> Row:
    cost, wait = text.quantity(dot.cost_usd, "USD/month"), text.quantity(dot.wait_s, "s")
    return Row((Cell(clean(sampling, 120)), Cell(dot.kept_for), Cell(*cost), Cell(*wait)))
