"""The verdict: one sentence with everything for the reader who reads no further."""

from __future__ import annotations

from collections.abc import Callable

from planner.plan import make_plan
from planner.records import Plan
from planner.request import PlanRequest
from planner.shape import TraceShape


def test_verdict_says_what_to_provision_price_range_and_first_limit(plan: Plan) -> None:
    """One sentence for the reader who reads no further."""
    chosen = plan.chosen.figures["cost_usd_per_month"]

    assert plan.verdict.startswith("Provision 1 Collector (")
    assert "1 Tempo (" in plan.verdict
    assert f"${chosen.value:.1f} a month (" in plan.verdict
    assert "first limit as traffic grows: Tempo max_traces_per_user, at 9.65x" in plan.verdict
    assert "storing 391 GiB, for head sampling at 10 % and 7 d retention: $" in plan.verdict
    assert "the cheapest sampling that keeps a 1-in-10,000 error within 5 min (here 4.99 min" in plan.verdict
    assert "\n" not in plan.verdict


def test_verdict_names_every_tempo_process_of_a_distributed_plan(
    shape: TraceShape, request_of: Callable[..., PlanRequest]
) -> None:
    """As many as the settings list, with what they ask for together."""
    plan = make_plan(request_of("1000000rps"), shape)
    tempo = [setting for setting in plan.settings if setting.component.startswith("Tempo")]
    cores = sum(setting.replicas * setting.cpu_request_cores for setting in tempo)

    processes = sum(setting.replicas for setting in tempo)

    assert len(tempo) > 1
    assert f" and Tempo as {processes} processes (at least {cores:.3g} CPU, " in plan.verdict
    assert " together), storing " in plan.verdict


def test_verdict_says_why_where_no_choice_is_affordable(
    shape: TraceShape, request_of: Callable[..., PlanRequest]
) -> None:
    """The cheapest, which is not what the rule asks for."""
    plan = make_plan(request_of(max_usd_per_month=0.01), shape)

    assert "the cheapest, as none is within --max-usd" in plan.verdict
    assert "not met: --max-usd $0.01" in plan.verdict


def test_verdict_says_why_where_no_choice_sees_errors_in_time(
    shape: TraceShape, request_of: Callable[..., PlanRequest]
) -> None:
    """The one that keeps them soonest, and how soon that is."""
    plan = make_plan(request_of("1 traces/min"), shape)

    assert "the choice that keeps an error soonest: a 1-in-10,000 error within " in plan.verdict
