"""The plan: every sampling choice with every retention, one recommended, and what may be wrong with it."""

from __future__ import annotations

from typing import NamedTuple

from planner.advise import Advice, advise
from planner.at_rest import at_rest
from planner.cost import NOT_COUNTED, Prices, compute_cost, load_prices, storage_cost, total_cost
from planner.curves import plan_curves
from planner.doubts import plan_doubts
from planner.evidence import Evidence
from planner.figures import ends_of
from planner.limits import plan_limits
from planner.path import plan_path
from planner.records import Choice, Plan
from planner.request import PlanRequest
from planner.shape import TraceShape, shape_figures
from planner.shipped import Shipped, load_shipped
from planner.sizing import Models, Sized, fit_models, size_sampling
from planner.traffic import Traffic, first_line, read_traffic, traffic_figures
from planner.words import assumptions, circumstances, verdict


def make_plan(
    request: PlanRequest,
    shape: TraceShape,
    evidence: Evidence | None = None,
    shipped: Shipped | None = None,
    prices: Prices | None = None,
) -> Plan:
    """The plan for ``request`` and traces of ``shape``.

    Args:
        request: Traffic, choices and constraints.
        shape: Of the topology's traces.
        evidence: A run of one's own; what it cannot say comes from the shipped figures.
        shipped: Shipped figures; None: those of this release.
        prices: Prices; None: those of this release.

    Raises:
        InputError: The traffic is not one of the accepted forms.
    """
    models = fit_models(shape, shipped or load_shipped(), prices or load_prices(), evidence)
    traffic = read_traffic(request.traffic, shape, request.peak_factor)
    sizes = [size_sampling(models, traffic, sampling) for sampling in request.samplings]
    grid = [(sized, retention_s) for sized in sizes for retention_s in request.retentions_s]
    choices = tuple(_choice(models, sized, retention_s) for sized, retention_s in grid)
    advice = advise(choices, request)
    return _written(models, traffic, request, Chosen(choices, advice, grid[advice.index][0], evidence))


class Chosen(NamedTuple):
    """The grid of choices and the one that is recommended."""

    choices: tuple[Choice, ...]
    advice: Advice
    sized: Sized
    evidence: Evidence | None


def _written(models: Models, traffic: Traffic, request: PlanRequest, chosen: Chosen) -> Plan:
    choices, advice, sized, evidence = chosen
    best, limits = choices[advice.index], plan_limits(models, traffic, sized)
    return Plan(
        first_line=first_line(traffic, models.shape, request.topology_place),
        verdict=verdict(best, sized, limits, advice),
        traffic=traffic_figures(traffic, models.shape),
        shape=shape_figures(models.shape) | {"stored_bytes_per_span": models.per_span},
        choices=choices,
        recommended=advice.index,
        path=plan_path(models, traffic, sized),
        limits=limits,
        settings=sized.settings,
        doubts=plan_doubts(models, traffic, sized, best, evidence),
        curves=plan_curves(models, traffic, sized),
        assumptions=assumptions(models, traffic, advice),
        not_counted=_not_counted(sized),
        circumstances=circumstances(models, traffic, request),
    )


def _choice(models: Models, sized: Sized, retention_s: float) -> Choice:
    kept_traces = ends_of(sized.figures["kept_traces_per_s"]).value
    rest = at_rest(sized.figures["stored_bytes_per_day"], kept_traces, retention_s, models.shipped)
    storage = storage_cost(rest, models.shipped, models.prices)
    compute = compute_cost(sized.machines, models.prices)
    costs = {
        "at_rest_bytes": rest.total,
        "storage_usd_per_month": storage,
        "compute_usd_per_month": compute,
        "cost_usd_per_month": total_cost(storage, compute),
    }
    return Choice(
        sampling=sized.sampling.name,
        sampling_kind=sized.sampling.kind,
        configured_ratio=sized.sampling.configured_ratio,
        retention_s=retention_s,
        figures=dict(sized.figures) | costs,
    )


def _not_counted(sized: Sized) -> tuple[str, ...]:
    more = () if sized.monolithic else ("Kafka, and the CPU of queriers and query-frontends (not published)",)
    return NOT_COUNTED + more
