"""The terminal table: the plan's own numbers, in 100 columns, each with its basis."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from planner import table
from planner.plan import make_plan
from planner.records import Basis, Choice, Figure, Plan
from planner.request import PlanRequest
from planner.sampling import Sampling
from planner.shape import TraceShape
from planner.text import amount, duration, ends, number, percent, shown, size, usd


def _printed(plan: Plan) -> str:
    out = io.StringIO()
    table.print_plan(plan, out)
    return out.getvalue()


def test_fits_100_columns(plan: Plan) -> None:
    """In a pipe no line is longer, and nothing is cut off."""
    lines = _printed(plan).splitlines()

    assert max(len(line) for line in lines) <= 100
    assert not any("…" in line for line in lines)
    assert any("(95 %)" in line for line in lines)


@pytest.mark.parametrize("width", [50, 80, 100, 200])
@pytest.mark.parametrize("traffic", ["1rps", "1000rps", "1500rps", "1000000rps"])
def test_no_cell_is_cut(
    monkeypatch: pytest.MonkeyPatch,
    shape: TraceShape,
    request_of: Callable[..., PlanRequest],
    traffic: str,
    width: int,
) -> None:
    """Ranges are left out where they do not fit; what is shown is shown whole."""
    monkeypatch.setenv("COLUMNS", str(width))
    plan = make_plan(request_of(traffic), shape)
    layouts = [table.columns_of(plan, layout) for layout in table.LAYOUTS]
    shown = next((columns for columns in layouts if table.natural_width(columns) <= width), layouts[-1])

    text = _printed(plan)

    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    if table.natural_width(shown) <= width:
        assert all(line in text for column in shown for cell in column for line in cell.split("\n"))


def test_json_and_table_say_the_same(plan: Plan) -> None:
    """Every cell made from the JSON stands in the printed table."""
    text = _printed(plan)
    choices = json.loads(json.dumps(plan.as_dict()))["choices"]
    read = [Choice(**c | {"figures": {n: _figure(f) for n, f in c["figures"].items()}}) for c in choices]

    for choice in read:
        figures = choice.figures
        assert table.bytes_line(figures["at_rest_bytes"], wide=True) in text
        assert table.usd_line(figures["cost_usd_per_month"], wide=True) in text
        assert table.seen_within(figures["error_wait_s"]) in text
        for name in ("stored_bytes_per_day", "collector_rss_bytes", "tempo_rss_bytes"):
            value, range_text, unit = table.in_one_unit(figures[name])
            assert f"{value} {unit}" in text
            assert range_text in text


def _figure(raw: dict[str, object]) -> Figure:
    return Figure(**raw | {"basis": Basis(raw["basis"])})


def test_first_line_and_verdict_stand_on_top(plan: Plan) -> None:
    """The reader sees them before any table."""
    text = " ".join(_printed(plan).split())

    assert text.startswith(f"{plan.first_line} {plan.verdict}")


def test_recommended_row_is_marked_once(plan: Plan) -> None:
    """At head 10 %, 7 d."""
    marked = [line for line in _printed(plan).splitlines() if "advised >" in line]

    assert len(marked) == 1
    assert marked[0].startswith("advised > 7 d ")


def test_legend_explains_each_letter(plan: Plan) -> None:
    """Bases begin with different letters, and the legend names them."""
    assert len(Basis) == len({basis[0] for basis in Basis})
    assert "c computed, m measured, p published, e extrapolated, a assumed" in _printed(plan)


def test_unknown_is_a_dash_with_its_reason(shape: TraceShape, request_of: Callable[..., PlanRequest]) -> None:
    """0.005 % keeps nothing: the wait is not 0 but a dash, and the reason stands below."""
    text = _printed(make_plan(request_of(samplings=(Sampling("head", 0.00005),)), shape))

    assert "- (error_wait_s): this choice keeps no trace" in text


def test_choices_with_long_names_still_fit(shape: TraceShape, request_of: Callable[..., PlanRequest]) -> None:
    """A longer first column makes room by leaving another out."""
    samplings = (Sampling("head", 0.1, "proportional"), Sampling("tail", 0.05, threshold_s=2.5))

    lines = _printed(make_plan(request_of(samplings=samplings), shape)).splitlines()

    assert max(len(line) for line in lines) <= 100


def test_doubts_and_limits_stand_below(plan: Plan) -> None:
    """Numbered, worst first."""
    text = " ".join(_printed(plan).split())

    assert f"1. {plan.doubts[0].what}" in text
    assert plan.limits[0].name in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.1 + 0.2, "0.3"),
        (1234.5, "1234"),
        (9999, "9999"),
        (12_345.6, "12,346"),
        (46.04, "46"),
        (1e-9, "0.000000001"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    """Three significant digits; whole numbers in full; never 0 unless it is."""
    assert text == number(value)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.99999, "99.999 %"),
        (0.9982, "99.8 %"),
        (1 - 1e-15, "<100 %"),
        (1e-7, "0.00001 %"),
        (0.0999756, "10 %"),
        (0.5, "50 %"),
    ],
)
def test_percentages_are_not_rounded_to_the_ends(ratio: float, text: str) -> None:
    """0 % and 100 % are said only where they are true."""
    assert text == percent(ratio)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1 KiB", size(1024)),
        ("1 GiB", size(2**30)),
        ("24 h", duration(86400)),
        ("7 d", duration(7 * 86400)),
        ("5 min", duration(300)),
        ("0.5 s", duration(0.5)),
        ("$0.01", usd(0.0123)),
        ("$3.50", usd(3.5)),
        ("$12.3", usd(12.34)),
        ("$12,346", usd(12_345.6)),
        ("22.9 MB/s", amount(22.9e6, "bytes/s")),
        ("1 GiB/day", amount(2**30, "bytes/day")),
        ("0.5", amount(0.5, "ratio")),
        ("2 cores", amount(2, "cores")),
    ],
)
def test_units(text: str, found: str) -> None:
    """Numbers in the units people read."""
    assert text == found


def test_ranges_name_their_unit_once() -> None:
    """``1–2 GiB``; nothing where the value is exact."""
    figure = Figure(
        value=1.5 * 2**30, low=2**30, high=2**31, unit="bytes", basis=Basis.MEASURED, source="a", working="a"
    )
    exact = Figure(value=1, low=1, high=1, unit="bytes", basis=Basis.COMPUTED, source="a", working="a")

    assert (shown(figure), ends(figure), ends(exact)) == ("1.5 GiB", "1–2 GiB", "")
