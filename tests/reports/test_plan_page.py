"""The page of a plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import InputError
from planner.records import Basis, Doubt, Figure, Hop, Plan
from reports import plan_html, text, write_plan_page

HOSTILE = "</script><script>alert(1)</script><img src=https://x.example/a onerror=alert(1)>\"'&\u202e"
Check = Callable[[str], Any]
UNKNOWN = Figure(
    value=None, low=None, high=None, unit="bytes", basis=Basis.COMPUTED, source="", working="", reason="no run held it"
)


def with_figure(plan: Plan, name: str, figure: Figure) -> Plan:
    """The plan with one figure of its recommended choice changed."""
    chosen = replace(plan.chosen, figures={**plan.chosen.figures, name: figure})
    choices = (*plan.choices[: plan.recommended], chosen, *plan.choices[plan.recommended + 1 :])
    return replace(plan, choices=choices)


def test_page_is_self_contained_and_its_links_resolve(plan: Plan, check: Check) -> None:
    """One well-formed file that loads nothing."""
    page = check(plan_html(plan))

    assert page.tags["svg"] == len(plan.curves) + 1
    assert "default-src 'none'" in page.html


def test_page_is_the_accepted_one(plan: Plan, gold: Callable[[str, str], None]) -> None:
    """The page changes only when someone has looked at it."""
    gold("plan.html", plan_html(plan))


def test_equal_plans_give_equal_bytes(plan: Plan) -> None:
    """The page depends on the plan alone."""
    assert plan_html(plan) == plan_html(replace(plan))


def test_page_begins_with_the_verdict(plan: Plan, check: Check) -> None:
    """The plan's first line and its one sentence stand before anything else."""
    begin = check(plan_html(plan)).text.split("Cost")[0]

    assert begin.strip() == f"{plan.first_line} {plan.verdict}"


def test_first_screen_has_price_range_limit_and_three_doubts(plan: Plan, check: Check) -> None:
    """Price with its range, the tightest limit and at most three doubts come before the limits table."""
    shown = check(plan_html(plan)).text.split("Tightest first")[0]
    cost = plan.chosen.figures["cost_usd_per_month"]

    assert text.show(cost.value, "USD/month") in shown.replace(" /", "/")
    assert text.span(cost.low, cost.high, "USD/month") in shown
    assert "broken Collector sending queue" in shown
    assert [plan.doubts[i].what in shown for i in range(4)] == [True, True, True, False]


def test_sections_follow_in_the_order_of_a_reader(plan: Plan) -> None:
    """Limits, path, choices, curves, what is hidden, cost, doubts, workings, circumstances, glossary."""
    page = plan_html(plan)
    names = [
        "limits",
        "path",
        "choices",
        "curves",
        "hidden",
        "cost",
        "sensitivity",
        "workings",
        "circumstances",
        "glossary",
    ]
    places = [page.index(f'<h2 id="{name}"') for name in names]

    assert places == sorted(places)


def test_page_and_json_carry_the_same_numbers(plan: Plan, check: Check) -> None:
    """Every figure of the recommended choice, read back from JSON, stands on the page."""
    shown = check(plan_html(plan)).text
    figures = json.loads(json.dumps(plan.as_dict()))["choices"][plan.recommended]["figures"]
    digits = {"kept_ratio": 4}
    expected = {
        name: text.quantity(figure["value"], figure["unit"], digits.get(name, 3)).number
        for name, figure in figures.items()
    }

    assert {name: number for name, number in expected.items() if number not in shown} == {}


def test_every_number_of_the_grid_leads_to_its_working(plan: Plan, check: Check) -> None:
    """As many different workings are linked as there are different figures in the grid."""
    page = check(plan_html(plan))

    for choice in plan.choices:
        assert choice.figures["at_rest_bytes"].working in page.text
    assert len({link for link in page.links if link.startswith("#w")}) > len(plan.choices)


def test_unknown_figure_reads_dash_with_its_reason(plan: Plan, check: Check) -> None:
    """What is not known is never 0."""
    shown = check(plan_html(with_figure(plan, "tempo_rss_bytes", UNKNOWN))).text

    assert "Tempo memory - no run held it" in shown
    assert "- Tempo memory of head 10 %: no run held it" in shown


def test_figure_missing_from_a_plan_is_said_to_be_missing(plan: Plan, check: Check) -> None:
    """A planner that leaves a figure out does not break the page."""
    figures = {name: figure for name, figure in plan.chosen.figures.items() if name != "tempo_cores"}
    bare = replace(plan, choices=(replace(plan.chosen, figures=figures),), recommended=0)

    assert "Tempo CPU - not planned" in check(plan_html(bare)).text


def test_extrapolated_figures_carry_a_mark(plan: Plan, check: Check) -> None:
    """What lies outside the measured range says so in its row."""
    shown = check(plan_html(plan)).text

    assert "† lies outside the range that was measured" in shown
    assert 'title="outside the range that was measured"' in plan_html(plan)


def test_outside_text_is_inert(plan: Plan, check: Check) -> None:
    """Markup in any string of a plan is shown, not obeyed."""
    hop = replace(plan.path[0], place=HOSTILE, note=HOSTILE)
    limit = replace(plan.limits[0], name=HOSTILE, remedy=HOSTILE, source=HOSTILE)
    choice = replace(plan.chosen, sampling=HOSTILE)
    curve = replace(plan.curves[0], name=HOSTILE, x_unit=HOSTILE)
    hostile = replace(
        with_figure(
            plan, "tempo_rss_bytes", replace(UNKNOWN, reason=HOSTILE, unit=HOSTILE, source=HOSTILE, working=HOSTILE)
        ),
        first_line=HOSTILE,
        verdict=HOSTILE,
        choices=(choice, *plan.choices),
        recommended=0,
        path=(hop,),
        limits=(limit,),
        settings=(replace(plan.settings[0], component=HOSTILE, working=HOSTILE),),
        doubts=(Doubt(what=HOSTILE, effect=HOSTILE, remedy=HOSTILE),) * 4,
        curves=(curve,),
        assumptions=(HOSTILE,),
        not_counted=(HOSTILE,),
        circumstances={HOSTILE: HOSTILE},
    )
    page = check(plan_html(hostile))

    assert {tag: page.tags.get(tag, 0) for tag in ("script", "img")} == {"script": 0, "img": 0}
    assert HOSTILE in page.texts[0] + "".join(page.texts)


def test_size_is_bounded_by_construction(plan: Plan, check: Check) -> None:
    """Ten thousand of everything still fit, and what was left out is counted."""
    many = 10_000
    long = "x" * 5000
    crowd = replace(
        plan,
        choices=tuple(replace(plan.chosen, sampling=f"head {i}") for i in range(many)),
        recommended=many - 1,
        path=tuple(Hop(place=long, traces_per_s=1, spans_per_s=1, bytes_per_s=1, note=long) for _ in range(many)),
        limits=tuple(replace(plan.limits[0], name=long) for _ in range(many)),
        settings=plan.settings * many,
        doubts=(Doubt(what=long, effect=long, remedy=long),) * many,
        curves=tuple(replace(curve, points=curve.points * 200) for curve in plan.curves) * 100,
        assumptions=(long,) * many,
        not_counted=(long,) * many,
        circumstances={f"{i}{long}": long for i in range(many)},
        traffic={f"service {i}": replace(plan.traffic["spans_per_s"], value=float(i)) for i in range(many)},
    )
    page = check(plan_html(crowd))

    assert "and 9,940 more choices, all of them in the JSON" in page.text
    assert "and 9,960 more" in page.text
    assert "and 9,702 more" in page.text
    assert "head 9999" in page.text


def test_empty_parts_are_left_out(plan: Plan, check: Check) -> None:
    """A plan without limits, path, curves, settings or doubts has no stubs of them."""
    small = replace(
        plan,
        limits=(),
        path=(),
        curves=(),
        settings=(),
        doubts=(),
        not_counted=(),
        choices=(plan.chosen,),
        recommended=0,
    )
    page = check(plan_html(small))

    assert [name for name in ("limits", "path", "curves", "sensitivity", "trade") if name in page.ids] == []
    assert "What to set" not in page.text
    assert "What to doubt" not in page.text


def test_odd_numbers_do_not_break_the_page(plan: Plan, check: Check) -> None:
    """Zero rates, infinite ends and a flat curve are drawn or left out, never an error."""
    odd = replace(UNKNOWN, value=0.0, low=0.0, high=float("inf"), reason="")
    curve = replace(plan.curves[0], y=(0.0,) * 41, low=(0.0,) * 41, high=(0.0,) * 41, points=())
    still = tuple(replace(hop, traces_per_s=0, spans_per_s=0, bytes_per_s=0) for hop in plan.path)

    check(plan_html(replace(with_figure(plan, "cost_usd_per_month", odd), path=still, curves=(curve,))))


def test_page_is_written_whole_into_new_folders(plan: Plan, tmp_path: Path) -> None:
    """Missing folders are made, an older page is replaced, nothing else is left behind."""
    path = tmp_path / "new" / "sizing.html"
    write_plan_page(plan, path)
    write_plan_page(plan, path)

    assert plan_html(plan) == path.read_text(encoding="utf-8")
    assert [path] == list(path.parent.iterdir())


def test_place_that_cannot_be_written_is_named(plan: Plan, tmp_path: Path) -> None:
    """A file where a folder should be: place, value and rule, and no half-written file."""
    (tmp_path / "file").write_text("kept")

    with pytest.raises(InputError, match=r"--out: got '.*', must be a place to write to"):
        write_plan_page(plan, tmp_path / "file" / "sizing.html")
    with pytest.raises(InputError, match="--out"):
        write_plan_page(plan, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
