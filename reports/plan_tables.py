"""Tables of a plan: what to set, what to expect, limits, path, doubts, circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from planner.records import Figure, Hop, Limit, Setting
from reports import text
from reports.outside import clean, first
from reports.plan_work import Anchors, figure_cell, label_of
from reports.view import Cell, Column, Note, Row, Table

ROWS = 40


def words(lines: Sequence[str]) -> tuple[str, ...]:
    """Lines given from outside, at most forty."""
    shown, more = first([clean(line) for line in lines], ROWS)
    return (*shown, *more)


def settings_table(settings: Sequence[Setting]) -> Table | None:
    """What to type in, component by component; None without any."""
    if not settings:
        return None
    heads = ("Replicas", "CPU request", "Memory request", "Memory limit")
    shown, more = first(settings, ROWS)
    rows = tuple(Row(_setting(setting)) for setting in shown)
    aid = "Type these in; request and limit are for each replica."
    notes = tuple(f"{clean(setting.component, 120)}: {clean(setting.working)}" for setting in shown)
    return Table("What to set", aid, (Column("Component", "name"), *map(Column, heads)), rows, (*notes, *more))


def _setting(setting: Setting) -> tuple[Cell, ...]:
    return (
        Cell(clean(setting.component, 120)),
        Cell(text.count(setting.replicas)),
        Cell(*text.set_cores(setting.cpu_request_cores)),
        Cell(*text.set_bytes(setting.memory_request_bytes)),
        Cell(*text.set_bytes(setting.memory_limit_bytes)),
    )


def figures_table(
    caption: str, aid: str, figures: Mapping[str, Figure], names: Sequence[str], anchors: Anchors, total: str = ""
) -> Table:
    """Figures with range and basis, a row each; ``total`` names the row that sums up."""
    rows = []
    for name in names[:ROWS]:
        figure, label = figures.get(name), label_of(name)
        cell = figure_cell(figure, name, anchors)
        basis = figure.basis.value if figure else text.UNKNOWN
        tone = "doubt" if cell.tone == "doubt" else "quiet"
        known = figure is not None and figure.value is not None
        spread = Cell(cell.sub or "exact") if known else Cell("", sub=cell.sub)
        cells = (Cell(clean(label.full, 120)), cell._replace(sub="", tone=""), spread, Cell(basis, tone=tone))
        rows.append(Row(cells, "total" if name == total else ""))
    heads = (Column("", "name"), Column("expected"), Column("low – high", "range"), Column("basis", "word"))
    return Table(caption, aid, heads, tuple(rows))


def limits_table(limits: Sequence[Limit]) -> Table | None:
    """Limits, tightest first; None without any."""
    if not limits:
        return None
    shown, more = first(sorted(limits, key=lambda limit: limit.margin_ratio), ROWS)
    heads = (Column("Limit", "name"), Column("limit"), Column("expected"), Column("margin"))
    aid = "Tightest first. The margin is what is left of the limit."
    columns = (*heads, Column("holds", "word"), Column("if it does not hold", "text"))
    return Table("Limits", aid, columns, tuple(_limit(limit) for limit in shown), more)


def _limit(limit: Limit) -> Row:
    verdict = Cell("yes", tone="good") if limit.holds else Cell("no", tone="bad")
    cells = (
        Cell(clean(f"{limit.component}: {limit.name}", 160), sub=clean(limit.source)),
        Cell(*text.quantity(limit.limit, limit.unit)),
        Cell(*text.quantity(limit.expected, limit.unit), bar_ratio=max(0.0, min(limit.expected / limit.limit, 1.0))),
        Cell(text.percent(limit.margin_ratio).replace("-", "−")),
        verdict,
        Cell(clean(limit.remedy)),
    )
    return Row(cells, "" if limit.holds else "bad")


def path_table(path: Sequence[Hop]) -> Table | None:
    """Rates at every hop; None without any."""
    if not path:
        return None
    shown, more = first(path, ROWS)
    most = max(hop.spans_per_s for hop in shown)
    heads = (Column("Place", "name"), Column("traces"), Column("spans"), Column("bytes"), Column("", "text"))
    aid = "Rates at every hop for the recommended choice, all replicas together; the bar compares spans."
    return Table("Path", aid, heads, tuple(_hop(hop, most) for hop in shown), more)


def _hop(hop: Hop, most: float) -> Row:
    return Row(
        (
            Cell(clean(hop.place, 120)),
            Cell(*text.quantity(hop.traces_per_s, "traces/s")),
            Cell(*text.quantity(hop.spans_per_s, "spans/s"), bar_ratio=hop.spans_per_s / most if most > 0 else 0.0),
            Cell(*text.quantity(hop.bytes_per_s, "bytes/s")),
            Cell(clean(hop.note)),
        )
    )


def doubts_table(doubts: Sequence[Note]) -> Table | None:
    """The doubts beyond the first ones; None without any."""
    if not doubts:
        return None
    shown, more = first(doubts, ROWS)
    heads = (Column("What", "name"), Column("could change", "text"), Column("what to do", "text"))
    rows = tuple(Row((Cell(note.what), Cell(note.effect), Cell(note.remedy))) for note in shown)
    return Table("Further doubts", "Worst first.", heads, rows, more)


def circumstances(facts: Mapping[str, str]) -> Table:
    """How and when it came about, as given."""
    shown, more = first(list(facts.items()), ROWS)
    rows = tuple(Row((Cell(clean(key, 120)), Cell(clean(value)))) for key, value in shown)
    aid = "With these, the same command gives the same page."
    return Table("Circumstances", aid, (Column("", "name"), Column("", "code")), rows, more)
