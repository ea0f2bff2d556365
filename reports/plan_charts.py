"""Curves of a plan: expected value and range against a rate, measured runs, this plan's place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from planner.records import Curve, Figure, Plan, Point
from reports import svg, text
from reports.outside import clean, first
from reports.view import Cell, Chart, Column, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

CURVES = 8
TABLE_ROWS = 9
POINT_ROWS = 40
WIDTH, HEIGHT = 460, 270

# Which of the choice's figures a curve shows: first row whose word is in the curve's name and whose unit fits.
PLACES = (
    ("collector", "bytes", "collector_rss_bytes", "all"),
    ("collector", "cores", "collector_cores", "all"),
    ("tempo", "bytes", "tempo_rss_bytes", "kept"),
    ("tempo", "cores", "tempo_cores", "kept"),
    ("", "bytes/day", "stored_bytes_per_day", "mean"),
    ("", "bytes", "at_rest_bytes", "mean"),
    ("", "USD/month", "cost_usd_per_month", "mean"),
)


class Here(NamedTuple):
    """This plan's place on a curve, with its range."""

    x: float
    y: float
    low: float
    high: float


def here(plan: Plan, curve: Curve) -> Here | None:
    """Where the recommended choice lies on ``curve``; None where the curve shows none of its figures.

    A curve may stand for one process or for the median where the plan's figure is a total or a peak:
    a figure more than a tenth off the curve is not drawn on it.
    """
    for word, unit, name, reach in PLACES:
        if word in curve.name.lower() and unit == curve.y_unit:
            return _checked(curve, plan.chosen.figures.get(name), _rate(plan, curve.x_unit, reach))
    return None


def _checked(curve: Curve, figure: Figure | None, x: float | None) -> Here | None:
    if figure is None or figure.value is None or x is None or not min(curve.x) <= x <= max(curve.x):
        return None
    expected = _at(curve, x)
    if abs(figure.value - expected) > 0.1 * max(abs(figure.value), abs(expected)):
        return None
    low, high = figure.low, figure.high
    return Here(x, figure.value, figure.value if low is None else low, figure.value if high is None else high)


def _at(curve: Curve, x: float) -> float:
    """The curve's value at ``x``, which lies on it."""
    after = next(i for i, at in enumerate(curve.x) if at >= x)
    if after == 0:
        return curve.y[0]
    (x0, x1), (y0, y1) = curve.x[after - 1 : after + 1], curve.y[after - 1 : after + 1]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _rate(plan: Plan, unit: str, reach: str) -> float | None:
    """The rate a component is planned for: memory and CPU for the peak, what is stored for the mean."""
    names = {"spans/s": "spans_per_s", "traces/s": "traces_per_s", "bytes/s": "bytes_per_s"}
    if unit in {"s", "d"}:
        return plan.chosen.retention_s / (86400 if unit == "d" else 1)
    name = names.get(unit, "")
    figure = plan.traffic.get(name) if reach == "all" else plan.chosen.figures.get(f"kept_{name}")
    peak = plan.traffic.get("peak_factor")
    factor = peak.value if reach != "mean" and peak is not None and peak.value else 1.0
    return figure.value * factor if figure is not None and figure.value is not None else None


def plan_charts(plan: Plan) -> tuple[Chart, ...]:
    """Every curve drawn, with its tables; at most eight."""
    usable = [curve for curve in plan.curves if len(curve.x) > 1][:CURVES]
    return tuple(_chart(f"curve{at}", curve, here(plan, curve)) for at, curve in enumerate(usable, 1))


def _chart(name: str, curve: Curve, place: Here | None) -> Chart:
    title = clean(curve.name, 120)
    said = _said(curve, place)
    drawn = _drawn(curve, place, name, title, said)
    return Chart(name, title, said, drawn, tuple(_tables(curve)))


def _said(curve: Curve, place: Here | None) -> str:
    """What the figure shows, in words."""
    ends = f"{text.significant(curve.valid_from)} to {text.show(curve.valid_to, curve.x_unit)}"
    known = f", {len(curve.points)} points" if curve.points else ""
    runs = f"Covered from {ends}{known}."
    if place is None:
        return runs
    outside = "" if curve.valid_from <= place.x <= curve.valid_to else " This plan lies outside that range."
    value, spread = text.show(place.y, curve.y_unit), text.span(place.low, place.high, curve.y_unit)
    ranged = f" ({spread})" if spread != "exact" else ""
    return f"At this plan's {text.show(place.x, curve.x_unit)}: {value}{ranged}. {runs}{outside}"


def _drawn(curve: Curve, place: Here | None, name: str, title: str, said: str) -> str:
    with svg.house_style():
        from matplotlib.figure import Figure  # noqa: PLC0415  (loaded only when something is drawn)

        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        axes = figure.add_axes((0.11, 0.165, 0.84, 0.745))
        x_scale, y_scale = _scales(curve, place)
        _range(axes, curve, x_scale, y_scale)
        _marks(axes, curve.points, place, x_scale, y_scale)
        axes.set_title(svg.drawable(y_scale.name.replace("/month", " a month")))
        axes.set_xlabel(svg.drawable(x_scale.name))
        return svg.inline(figure, name, title, said)


def _scales(curve: Curve, place: Here | None) -> tuple[text.Scale, text.Scale]:
    tops = [*curve.high, *(point.y for point in curve.points), *([place.high] if place else [])]
    return text.scale_for(max(curve.x), curve.x_unit), text.scale_for(max(tops), curve.y_unit)


def _range(axes: Axes, curve: Curve, x_scale: text.Scale, y_scale: text.Scale) -> None:
    x = [value / x_scale.size for value in curve.x]
    low, mid, high = ([v / y_scale.size for v in line] for line in (curve.low, curve.y, curve.high))
    axes.axvspan(curve.valid_from / x_scale.size, curve.valid_to / x_scale.size, color=svg.VALID, linewidth=0)
    axes.fill_between(x, low, high, color=svg.BAND, linewidth=0)
    axes.plot(x, mid, color=svg.ACCENT, linewidth=1.8)
    axes.set_xlim(min(x), max(x))
    axes.set_ylim(0, None)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_locator())
        axis.set_major_formatter(lambda value, _: text.plain(round(value, 9)))


def _locator() -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    return MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10])


def _marks(axes: Axes, points: Sequence[Point], place: Here | None, x_scale: text.Scale, y_scale: text.Scale) -> None:
    shown = points[:200]
    at = [point.x / x_scale.size for point in shown], [point.y / y_scale.size for point in shown]
    axes.plot(*at, "o", color=svg.SECOND, markersize=4.5, markeredgewidth=0, clip_on=False, zorder=3)
    if place is None or not min(axes.get_xlim()) <= place.x / x_scale.size <= max(axes.get_xlim()):
        return
    x, y = place.x / x_scale.size, place.y / y_scale.size
    ends = [place.low / y_scale.size, place.high / y_scale.size]
    axes.plot([x, x], ends, color=svg.INK, linewidth=1.4, solid_capstyle="butt", zorder=4)
    axes.plot([x], [y], "o", color=svg.PAPER, markeredgecolor=svg.INK, markersize=8, markeredgewidth=1.8, zorder=5)


def _tables(curve: Curve) -> Iterable[Table]:
    step = max((len(curve.x) - 1) / (TABLE_ROWS - 1), 1.0)
    picked = sorted({min(round(at * step), len(curve.x) - 1) for at in range(TABLE_ROWS)})
    x_name = Column(clean(curve.x_unit, 40))
    rows = tuple(
        Row(
            (
                _number(curve.x[i], curve.x_unit),
                *(_cell(line[i], curve.y_unit) for line in (curve.y, curve.low, curve.high)),
            )
        )
        for i in picked
    )
    heads = (x_name, Column("expected"), Column("low"), Column("high"))
    yield Table("Curve", "Points of the line and of its range.", heads, rows)
    if curve.points:
        shown, more = first(curve.points, POINT_ROWS)
        runs = tuple(
            Row((Cell(clean(p.label, 80)), _number(p.x, curve.x_unit), _cell(p.y, curve.y_unit))) for p in shown
        )
        yield Table("Points", "The dots.", (Column("origin", "name"), x_name, Column("value")), runs, more)


def _number(value: float, unit: str) -> Cell:
    return Cell(text.quantity(value, unit).number)


def _cell(value: float, unit: str) -> Cell:
    return Cell(*text.quantity(value, unit))
