"""Sentences of a plan: the verdict, the assumptions, the circumstances."""

from __future__ import annotations

from collections.abc import Sequence

from planner.advise import Advice
from planner.figures import ends_of
from planner.limits import GROWING, growth_left
from planner.records import Choice, Limit, Setting
from planner.request import PlanRequest
from planner.sizing import REPLICA_CORES, Models, Sized
from planner.text import duration, ends, number, shown, size
from planner.traffic import Traffic


def verdict(choice: Choice, sized: Sized, limits: Sequence[Limit], advice: Advice) -> str:
    """What to provision and store, its price and range, why this choice, and the first limit, in one sentence."""
    cost = choice.figures["cost_usd_per_month"]
    collector, *tempo = sized.settings
    parts = f"{_provision(collector)} and {_provision(tempo[0]) if sized.monolithic else _together(tempo)}"
    stored = f"storing {shown(choice.figures['at_rest_bytes'])}"
    kept = f"{sized.sampling.described} and {duration(choice.retention_s)} retention"
    price = f"{shown(cost)} a month ({ends(cost)})"
    sentence = f"Provision {parts}, {stored}, for {kept}: {price}, {advice.why}; {first_limit(limits)}"
    return f"{sentence}; not met: {'; '.join(advice.unmet)}" if advice.unmet else sentence


def _provision(setting: Setting) -> str:
    name = f"{setting.replicas} {setting.component}{'s' if setting.replicas > 1 else ''}"
    each = " each" if setting.replicas > 1 else ""
    return f"{name} ({number(setting.cpu_request_cores)} CPU, {size(setting.memory_limit_bytes)}{each})"


def _together(settings: Sequence[Setting]) -> str:
    """Tempo's components in total; their CPU is a least one, as that of some is not published."""
    processes = sum(setting.replicas for setting in settings)
    cores = sum(setting.replicas * setting.cpu_request_cores for setting in settings)
    memory_bytes = sum(setting.replicas * setting.memory_limit_bytes for setting in settings)
    return f"Tempo as {processes} processes (at least {number(cores)} CPU, {size(memory_bytes)} together)"


def first_limit(limits: Sequence[Limit]) -> str:
    """The limit that binds first: a broken one, else the one that growing traffic reaches first."""
    broken = [limit for limit in limits if not limit.holds]
    if broken:
        worst = broken[0]
        times = number(worst.expected / worst.limit)
        return f"first limit: {worst.component} {worst.name}, exceeded {times}x unless set higher"
    growing = [limit for limit in limits if limit.name in GROWING]
    if not growing:
        return "no limit is near"
    first = min(growing, key=growth_left)
    return f"first limit as traffic grows: {first.component} {first.name}, at {number(growth_left(first))}x"


def assumptions(models: Models, traffic: Traffic, advice: Advice) -> tuple[str, ...]:
    """What the plan takes for granted, one sentence each."""
    peak = number(traffic.peak_factor)
    wait = duration(models.shipped["decision_wait_s"].value)
    queue = number(models.shipped["queue_spans"].value)
    hours = number(models.prices["hours_per_month"])
    return (
        "1 rps is 1 trace/s: each request makes one trace",
        f"the stated traffic is the mean; storage follows it; memory, CPU and limits follow {peak} x the mean",
        advice.rule,
        f"headroom {number(models.headroom)}: CPU request and memory limit over what is expected",
        "ranges multiply as if all their ends fell together, so the true range is narrower",
        f"tail sampling keeps errors, slow traces and a share of the rest, decision_wait {wait}, whole traces",
        "kept traces are as large as the others",
        f"Collector: OTLP in and out, queue of {queue} spans, at most {number(REPLICA_CORES)} cores a replica",
        "Tempo v3.0.3 monolithic with vParquet4 and metrics-generator up to its documented rate, else components",
        "the retention has filled up; traffic is steady",
        f"{models.prices.region} list prices of {models.prices.date}, {hours} hours a month, a GB has 2^30 bytes",
    )


def circumstances(models: Models, traffic: Traffic, request: PlanRequest) -> dict[str, str]:
    """Under which the plan was made, the same in every output."""
    shape = models.shape
    facts = {
        "traffic": f"{traffic.text}, peak factor {number(traffic.peak_factor)}",
        "topology": f"{shape.topology} ({request.topology_place}), shape of {shape.sample_traces:,} drawn traces",
        "shipped figures": models.shipped.date,
        "prices": f"{models.prices.date}, {models.prices.region}",
        "tempo": "v3.0.3, vParquet4",
        "collector": "samplers v0.161.0; CPU and memory measured with v0.155.0",
        "stored bytes": f"{number(ends_of(models.per_span).value)} B/span, {models.per_span.basis}",
    }
    return facts | dict(request.circumstances)
