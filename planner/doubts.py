"""What could change the answer: at most five doubts, worst first, each with its effect and a remedy.

Each doubt is weighed by how much of the monthly price it could move, or, where it concerns what is seen
rather than what is paid, by the share of traces it concerns.
"""

from __future__ import annotations

from typing import NamedTuple

from planner.cost import compute_cost
from planner.evidence import ADVISED_RUN_S, Evidence
from planner.figures import ends_of
from planner.records import Basis, Choice, Doubt, Figure
from planner.shape import longer_than
from planner.sizing import Models, Sized, size_sampling
from planner.text import duration, ends, number, percent, shown, usd
from planner.traffic import Traffic

MOST = 5
LEAST_WEIGHT = 0.02  # a doubt that could move less than this is noise beside the others
DECISIVE = 10.0
IDLE_CUT_S = 5.0


class Weighed(NamedTuple):
    """A doubt and its weight."""

    weight: float
    doubt: Doubt


def plan_doubts(
    models: Models, traffic: Traffic, sized: Sized, choice: Choice, evidence: Evidence | None
) -> tuple[Doubt, ...]:
    """The doubts about the recommended choice."""
    found = [
        *_run_doubts(evidence),
        *_storage_doubts(models, choice),
        *_memory_doubts(models, sized, choice),
        *_collector_doubts(models, sized, choice),
        *_peak_doubts(models, traffic, sized, choice),
        *_long_trace_doubts(models, sized),
        *_query_doubts(models, choice),
    ]
    worst = sorted((w for w in found if w.weight >= LEAST_WEIGHT), key=lambda w: -w.weight)
    return tuple(weighed.doubt for weighed in worst[:MOST])


def _cost(choice: Choice) -> float:
    return ends_of(choice.figures["cost_usd_per_month"]).value


def _run_doubts(evidence: Evidence | None) -> list[Weighed]:
    if evidence is None:
        return []
    minutes = number(ADVISED_RUN_S / 60)
    remedy = f"measure a run of at least {minutes} minutes against a real Collector and Tempo, with --observe"
    effect = "storage, memory and CPU rest on shipped figures for other traces, or on parts of this run"
    return [Weighed(DECISIVE, Doubt(what=reason, effect=effect, remedy=remedy)) for reason in evidence.unused]


def _storage_doubts(models: Models, choice: Choice) -> list[Weighed]:
    storage, per_span = ends_of(choice.figures["storage_usd_per_month"]), models.per_span
    range_text = ends(per_span)
    if not range_text:
        return []
    what = f"stored bytes per span are planned as {shown(per_span)} ({range_text}, {per_span.basis})"
    rest = choice.figures["at_rest_bytes"]
    effect = f"{ends(rest)} at rest instead of {shown(rest)}, {usd(storage.low)} to {usd(storage.high)} a month"
    remedy = "store these traces in a real Tempo once and plan with --run; values that never repeat decide"
    known = ends_of(per_span)
    # What else moves the price of storage (requests, compaction) is no doubt about bytes per span.
    moved_usd = storage.value * (known.high - known.low) / known.value
    return [Weighed(moved_usd / _cost(choice), Doubt(what=what, effect=effect, remedy=remedy))]


def _memory_doubts(models: Models, sized: Sized, choice: Choice) -> list[Weighed]:
    memory: Figure = choice.figures["tempo_rss_bytes"]
    if memory.basis not in {Basis.EXTRAPOLATED, Basis.PUBLISHED}:
        return []
    price = compute_cost([m for m in sized.machines if m.component != "Collector"], models.prices)
    spread = ends_of(price)
    beyond = models.memory.measured.outside(sized.load)
    what = (
        f"Tempo's memory is extrapolated: {', '.join(beyond)}"
        if sized.monolithic
        else "Tempo's memory is the published table's, whose ends are far apart"
    )
    effect = f"Tempo RAM {ends(memory)}; its share of the price {usd(spread.low)} to {usd(spread.high)} a month"
    remedy = f"measure Tempo at {number(sized.load.spans_per_s)} spans/s and plan with --run"
    return [Weighed((spread.high - spread.low) / _cost(choice), Doubt(what=what, effect=effect, remedy=remedy))]


def _collector_doubts(models: Models, sized: Sized, choice: Choice) -> list[Weighed]:
    memory = choice.figures["collector_rss_bytes"]
    if memory.basis is not Basis.EXTRAPOLATED:
        return []
    price = ends_of(compute_cost([m for m in sized.machines if m.component == "Collector"], models.prices))
    what = f"the Collector's memory is {memory.source.rpartition('; ')[2]}"
    effect = f"Collector RAM {ends(memory)}; its share of the price {usd(price.low)} to {usd(price.high)} a month"
    remedy = "measure the Collector at this rate and plan with --run"
    return [Weighed((price.high - price.low) / _cost(choice), Doubt(what=what, effect=effect, remedy=remedy))]


def _peak_doubts(models: Models, traffic: Traffic, sized: Sized, choice: Choice) -> list[Weighed]:
    if traffic.peak_factor > 1:
        return []
    twice = size_sampling(models, traffic.scaled(2), sized.sampling)
    now = ends_of(compute_cost(sized.machines, models.prices)).value
    then = ends_of(compute_cost(twice.machines, models.prices)).value
    what = "the stated traffic is taken as the peak (peak factor 1)"
    memory = shown(twice.figures["tempo_rss_bytes"])
    effect = f"a peak of twice the mean needs {memory} for Tempo and {usd(then - now)} a month more"
    return [Weighed((then - now) / _cost(choice), Doubt(what=what, effect=effect, remedy="state --peak-factor"))]


def _long_trace_doubts(models: Models, sized: Sized) -> list[Weighed]:
    wait = models.shipped["decision_wait_s"].value
    tail = sized.sampling.kind == "tail"
    limit = wait if tail else IDLE_CUT_S
    share = longer_than(models.shape, limit)
    if not share:
        return []
    lasting = f"{percent(share)} of traces last longer than {duration(limit)}"
    if tail:
        what = f"{lasting}, the tail sampler's decision_wait"
        effect = "they are judged by their first spans; an error or delay after the decision does not keep them"
        remedy = "a longer decision_wait (memory grows with it), or head sampling for these processes"
        return [Weighed(2 * share, Doubt(what=what, effect=effect, remedy=remedy))]
    what = f"{lasting}, after which an idle trace is cut"
    effect = "such a trace lies in several rows until compaction joins them: more bytes than planned meanwhile"
    remedy = "measure with spans delivered per service, as they end"
    return [Weighed(0.3 * share, Doubt(what=what, effect=effect, remedy=remedy))]


def _query_doubts(models: Models, choice: Choice) -> list[Weighed]:
    row = models.shipped.series["tempo_components"].where("component", "querier")
    least = row["memory_low_bytes"] * models.prices["memory_usd_per_gib_h"] * models.prices["hours_per_month"] / 2**30
    what = "no queries ran while Tempo was measured"
    effect = f"searches need memory of their own: a querier is published with 4 GB or more, {usd(least)} a month"
    remedy = "measure Tempo's memory while your dashboards and searches run"
    return [Weighed(min(1.0, least / _cost(choice)), Doubt(what=what, effect=effect, remedy=remedy))]
