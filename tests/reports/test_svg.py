"""Figures that take their colours from the page and stay the same to the byte."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from planner.records import Plan
from reports import svg
from reports.plan_charts import here, plan_charts
from reports.plan_grid import shown_choices
from reports.plan_trade import trade_chart


@pytest.fixture
def drawings(plan: Plan) -> list[str]:
    trade = trade_chart(plan, shown_choices(plan))
    assert trade is not None
    return [chart.svg for chart in (*plan_charts(plan), trade)]


def test_drawings_are_small_well_formed_and_described(drawings: list[str]) -> None:
    """Each figure is one XML element under 60 kB with title and description first."""
    for drawing in drawings:
        children = [child.tag for child in ET.fromstring(drawing)]  # noqa: S314  (our own drawing)

        assert children[:2] == ["title", "desc"]
        assert len(drawing) < 60_000


def test_every_colour_is_a_variable_of_the_page(drawings: list[str]) -> None:
    """No colour is fixed, so the figure reads in light and dark."""
    assert [found for drawing in drawings for found in re.findall(r"#[0-9a-f]{6}\b|rgb\(", drawing)] == []


def test_ids_do_not_clash_between_figures(drawings: list[str]) -> None:
    """Each figure's ids begin with its name; every reference points into the same figure."""
    ids = [found for drawing in drawings for found in re.findall(r'\bid="([^"]*)"', drawing)]

    assert len(ids) == len(set(ids))
    for drawing in drawings:
        inner = set(re.findall(r'\bid="([^"]*)"', drawing))
        used = set(re.findall(r'href="#([^"]*)"', drawing)) | set(re.findall(r"url\(#([^)]*)\)", drawing))
        assert set() == used - inner


def test_no_style_rule_leaks_into_the_page(drawings: list[str]) -> None:
    """Matplotlib's rule for every element would restyle the whole page."""
    assert [drawing for drawing in drawings if "<style" in drawing or "<metadata" in drawing] == []


def test_labels_are_drawn_in_letters_every_font_has() -> None:
    """A label in another script does not depend on the fonts of this machine."""
    assert svg.drawable("p99 ≤ 5 日本 <b>$x$") == "p99 ≤ 5 ?? <b>$x$"


def test_matplotlib_settings_are_left_as_they_were(drawings: list[str]) -> None:
    """Drawing does not restyle the figures of a program that uses this one."""
    import matplotlib as mpl  # noqa: PLC0415

    assert mpl.rcParams["svg.fonttype"] == "path"
    assert mpl.rcParams["svg.hashsalt"] is None


def test_this_plan_stands_at_its_own_rate(plan: Plan) -> None:
    """Tempo's curves are entered at the kept rate, the Collector's at the offered one."""
    places = {curve.name: here(plan, curve) for curve in plan.curves}
    kept, offered = plan.chosen.figures["kept_spans_per_s"].value, plan.traffic["spans_per_s"].value

    assert [kept, kept, offered, offered, kept] == [place.x for place in places.values() if place]
