"""Default limits of Tempo and the Collector against what the plan expects there, worst first.

Most are not errors to the client: Tempo drops what exceeds ``max_traces_per_user`` or
``max_bytes_per_trace`` after it has answered OK.
"""

from __future__ import annotations

from math import ceil, log10

from planner.collector_memory import held_s, tail_state
from planner.cpu import MICRO
from planner.records import Limit
from planner.shape import duration_p99_s, large_trace_spans
from planner.sizing import Models, Sized
from planner.text import number
from planner.traffic import Traffic

SILENT = "spans over it are dropped while the client is told OK"
# Limits whose expected value grows with the traffic; the others with the traces themselves or the settings.
GROWING = frozenset({
    "max_traces_per_user", "rate_limit_bytes", "max_live_traces_bytes", "monolithic bytes/s",
    "monolithic spans/s", "tail sampler core", "num_traces",
})  # fmt: skip


def rounded_up(value: float) -> str:
    """``value`` rounded up to one significant digit more than its size needs, to set a limit to."""
    step = 10 ** max(0, int(log10(max(value, 1))) - 1)
    return str(ceil(value / step) * step)


def plan_limits(models: Models, traffic: Traffic, sized: Sized) -> tuple[Limit, ...]:
    """Every limit that this choice comes near to or breaks, least margin first."""
    rows = [*_tempo_limits(models, sized), *_size_limits(models)]
    if sized.monolithic:
        rows += _ceilings(models, sized)
    if sized.sampling.kind == "tail":
        rows += _tail_limits(models, traffic, sized)
    return tuple(sorted(rows, key=lambda limit: limit.margin_ratio))


def growth_left(limit: Limit) -> float:
    """How many times the present traffic reaches the limit."""
    return limit.limit / limit.expected if limit.expected else float("inf")


def _limit(models: Models, key: str, component: str, expected: float, remedy: str, name: str = "") -> Limit:
    known = models.shipped[key]
    return Limit(
        name=name or key,
        component=component,
        limit=known.value,
        expected=float(expected),
        unit=known.unit,
        remedy=remedy,
        source=known.cited,
    )


def _setting(models: Models, key: str, component: str, expected: float, where: str, note: str) -> Limit:
    """A limit that one setting lifts; near it, the remedy says the number to set."""
    near = 2 * expected > models.shipped[key].value
    remedy = f"set {where}: {rounded_up(2 * expected)}" if near else f"the default does; {where} raises it"
    return _limit(models, key, component, expected, f"{remedy} ({note})")


def _tempo_limits(models: Models, sized: Sized) -> list[Limit]:
    load, ingestion = sized.load, "overrides.defaults.ingestion"
    stores, distributors = sized.replicas("Tempo live-store"), sized.replicas("Tempo distributor")
    live = load.live_traces / stores
    rate = load.megabytes_per_s * 1e6 / distributors
    held = live * models.shape.spans_per_trace * models.shape.trace_bytes_per_span
    return [
        _setting(models, "max_traces_per_user", "Tempo", live, f"{ingestion}.max_traces_per_user", SILENT),
        _setting(
            models, "rate_limit_bytes", "Tempo", rate, f"{ingestion}.rate_limit_bytes", "clients are refused over it"
        ),
        _setting(
            models, "max_live_traces_bytes", "Tempo", held, "live_store.max_live_traces_bytes", "senders wait over it"
        ),
    ]


def _size_limits(models: Models) -> list[Limit]:
    shape = models.shape
    request = models.shipped["batch_spans"].value * shape.wire_bytes_per_span
    trace = large_trace_spans(shape) * shape.trace_bytes_per_span
    most = number(models.shipped["max_recv_msg_bytes"].value // shape.wire_bytes_per_span)
    message = f"max_recv_msg_size_mib: 16, or sending_queue.batch.max_size of at most {most} spans"
    burst, whole = "overrides.defaults.ingestion.burst_size_bytes", "overrides.defaults.global.max_bytes_per_trace"
    return [
        _setting(models, "burst_size_bytes", "Tempo", request, burst, "or smaller batches"),
        _setting(models, "max_bytes_per_trace", "Tempo", trace, whole, f"mean + 3 sd of traces; {SILENT}"),
        _limit(models, "max_recv_msg_bytes", "OTLP gRPC receivers", request, message, "max_recv_msg_size"),
    ]


def _ceilings(models: Models, sized: Sized) -> list[Limit]:
    load = sized.load
    remedy = "run Tempo's components apart, with Kafka; this plan then gives the published component sizes"
    rate = load.megabytes_per_s * 1e6
    return [
        _limit(models, "monolithic_bytes_per_s", "Tempo", rate, remedy, "monolithic bytes/s"),
        _limit(models, "monolithic_spans_per_s", "Tempo", load.spans_per_s, remedy, "monolithic spans/s"),
    ]


def _tail_limits(models: Models, traffic: Traffic, sized: Sized) -> list[Limit]:
    peak, replicas = traffic.peak, sized.replicas("Collector")
    cores = peak.spans_per_s.value * models.collector.tail.value * MICRO / replicas
    state = tail_state(models.shape, peak.traces_per_s.value / replicas, models.shipped)
    lasting = duration_p99_s(models.shape)
    age = models.shipped["sdk_delay_s"].value + held_s(models.shipped)
    slack = "metrics_generator.metrics_ingestion_time_range_slack; older spans are left out of span metrics"
    shards = f"tail_sampling.num_shards: {ceil(2 * cores)} (from v0.159), or more replicas behind loadbalancing"
    table = f"tail_sampling.num_traces: {rounded_up(state.num_traces)}; over it the oldest are dropped undecided"
    wait = "tail_sampling.decision_wait over the 99th percentile of durations, or decisions on parts of traces"
    return [
        _limit(models, "tail_cores_per_shard", "Collector", cores, shards, "tail sampler core"),
        _limit(models, "num_traces", "Collector", state.num_traces, table),
        _limit(models, "decision_wait_s", "Collector", lasting, wait, "decision_wait"),
        _limit(models, "metrics_slack_s", "Tempo", age, slack, "metrics_ingestion_time_range_slack"),
    ]
