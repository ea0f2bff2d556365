"""This product's names for what the Collector and Tempo count, whatever each release calls it.

Sources: live pages of OpenTelemetry Collector v0.155 and v0.161.0 and of Tempo v3.0.3, published pages of
earlier Collectors, Tempo v2.10.8 source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

System = Literal["collector", "tempo"]
Kind = Literal["counter", "gauge"]

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity: its unit, its kind and where a page shows it.

    Args:
        name: This product's name.
        unit: Unit of the value.
        kind: ``counter`` (only grows until its process restarts) or ``gauge``.
        metrics: Accepted metric names; the first one on the page counts, so none is counted twice.
        by: Labels the value is split by.
        where: Labels a sample must have to count; ``x`` also admits ``x/name``, as component ids are
            written, and a sample without the label counts too.
        absent: The value where the page has no such sample; None: unknown, so no reading.
    """

    name: str
    unit: str
    kind: Kind
    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    where: Pairs = ()
    absent: float | None = 0.0


_NOUNS = {
    "spans": ("spans", "items"),
    "traces": ("traces",),
    "sizer": ("batches", "requests", "items"),
    "requests": ("requests",),
}


def _spellings(base: str, unit: str) -> Iterator[str]:
    """Names one Collector metric goes by: its Prometheus readers differ in unit and type suffixes.

    ``X`` is the default up to v0.118 and from v0.152; explicit readers of the releases between say
    ``X_total``, ``X_seconds_total``, ``X_bytes``; ``X__spans__total`` is the unit ``{spans}`` escaped.
    """
    middles = {"s": ["_seconds", "_seconds_seconds"], "bytes": ["_bytes"]}
    for middle in ["", *middles.get(unit, [f"__{noun}_" for noun in _NOUNS.get(unit, ())])]:
        yield from (f"otelcol_{base}{middle}", f"otelcol_{base}{middle}_total")


def _otelcol(unit: str, *bases: str) -> tuple[str, ...]:
    return tuple(name for base in bases for name in _spellings(base, unit))


def _count(name: str, unit: str, *bases: str, by: tuple[str, ...] = (), where: Pairs = ()) -> Quantity:
    return Quantity(name, unit, "counter", _otelcol(unit, *bases), by, where)


def _tail(name: str, unit: str, base: str, *by: str) -> Quantity:
    return _count(name, unit, f"processor_tail_sampling_{base}", by=by)


def _queue(name: str, unit: str, base: str, absent: float | None = 0.0) -> Quantity:
    names = _otelcol(unit, f"exporter_{base}")
    return Quantity(name, unit, "gauge", names, ("exporter",), (("data_type", "traces"),), absent)


_RECEIVER = ("receiver", "transport")
_HEAD = (("processor", "probabilistic_sampler"), ("otel_signal", "traces"))

COLLECTOR: tuple[Quantity, ...] = (
    _count("receiver_accepted_spans", "spans", "receiver_accepted_spans", by=_RECEIVER),
    _count("receiver_refused_spans", "spans", "receiver_refused_spans", by=_RECEIVER),
    _count("receiver_failed_spans", "spans", "receiver_failed_spans", by=_RECEIVER),
    # The second name is that of releases before v0.155.
    _count(
        "limiter_refused_spans",
        "spans",
        "processor_memory_limiter_refused_spans",
        "processor_refused_spans",
        where=(("processor", "memory_limiter"),),
    ),
    _count("sampler_in_spans", "spans", "processor_incoming_items", by=("processor",), where=_HEAD),
    _count("sampler_out_spans", "spans", "processor_outgoing_items", by=("processor",), where=_HEAD),
    # The Collector calls these traces; they are spans.
    _count(
        "sampler_decided_spans",
        "spans",
        "processor_probabilistic_sampler_count_traces_sampled",
        by=("policy", "sampled"),
    ),
    _tail("tail_new_traces", "traces", "new_trace_id_received"),
    _tail("tail_decided_traces", "traces", "global_count_traces_sampled", "sampled", "decision"),
    _tail("tail_dropped_too_early_traces", "traces", "sampling_trace_dropped_too_early"),
    _tail("tail_dropped_too_large_traces", "traces", "traces_dropped_too_large"),
    _tail("tail_late_spans", "spans", "early_releases_from_cache_decision", "sampled"),
    Quantity(
        "tail_traces_on_memory",
        "traces",
        "gauge",
        _otelcol("traces", "processor_tail_sampling_sampling_traces_on_memory"),
    ),
    _count("exporter_sent_spans", "spans", "exporter_sent_spans", by=("exporter",)),
    _count("exporter_failed_spans", "spans", "exporter_send_failed_spans", by=("exporter", "error_permanent")),
    _count("exporter_enqueue_failed_spans", "spans", "exporter_enqueue_failed_spans", by=("exporter",)),
    # The queue counts in what its sizer counts: requests (the default), items or bytes.
    _queue("exporter_queue_size", "sizer", "queue_size"),
    _queue("exporter_queue_capacity", "sizer", "queue_capacity", absent=None),
    _queue("exporter_in_flight_requests", "requests", "in_flight_requests"),
    Quantity("cpu_s", "s", "counter", _otelcol("s", "process_cpu_seconds"), absent=None),
    Quantity("rss_bytes", "bytes", "gauge", _otelcol("bytes", "process_memory_rss"), absent=None),
    Quantity("heap_bytes", "bytes", "gauge", _otelcol("bytes", "process_runtime_heap_alloc_bytes"), absent=None),
    Quantity("uptime_s", "s", "counter", _otelcol("s", "process_uptime"), absent=None),
)


def _tempo(name: str, unit: str, *metrics: str, by: tuple[str, ...] = (), where: Pairs = ()) -> Quantity:
    return Quantity(name, unit, "counter", metrics, by, where)


def _backend(name: str, unit: str, metric: str, status: str) -> Quantity:
    return Quantity(name, unit, "gauge", (metric,), ("tenant",), (("status", status),))


def _process(name: str, unit: str, metric: str, kind: Kind = "gauge") -> Quantity:
    return Quantity(name, unit, kind, (metric,), absent=None)


_TENANT = ("tenant",)

TEMPO: tuple[Quantity, ...] = (
    # After the rate limit, before the live store's limits; a retry counts again.
    _tempo("received_spans", "spans", "tempo_distributor_spans_received_total", by=_TENANT),
    _tempo("received_bytes", "bytes", "tempo_distributor_bytes_received_total", by=_TENANT),
    _tempo("ingress_bytes", "bytes", "tempo_distributor_ingress_bytes_total", by=_TENANT),
    _tempo("refused_spans", "spans", "tempo_receiver_refused_spans", by=("receiver", "transport")),
    # In v3.0.3 live_traces_exceeded counts a trace's spans once per resource: an upper bound.
    _tempo("discarded_spans", "spans", "tempo_discarded_spans_total", by=("reason", "tenant")),
    Quantity(
        "live_traces",
        "traces",
        "gauge",
        ("tempo_live_store_live_traces", "tempo_ingester_live_traces"),
        _TENANT,
    ),
    Quantity(
        "live_trace_bytes",
        "bytes",
        "gauge",
        ("tempo_live_store_live_trace_bytes", "tempo_ingester_live_trace_bytes"),
        _TENANT,
    ),
    # One per cut: a trace split by an idle gap counts twice.
    _tempo(
        "cut_traces",
        "traces",
        "tempo_live_store_traces_created_total",
        "tempo_ingester_traces_created_total",
        by=_TENANT,
    ),
    _tempo(
        "blocks_completed",
        "blocks",
        "tempo_live_store_blocks_completed_total",
        "tempo_ingester_blocks_flushed_total",
    ),
    _tempo(
        "flushed_bytes",
        "bytes",
        "tempo_live_store_local_flush_size_bytes_sum",
        "tempo_ingester_flush_size_bytes_sum",
    ),
    _tempo("push_backpressure_s", "s", "tempo_live_store_back_pressure_seconds_total", by=("reason",)),
    _backend("backend_live_bytes", "bytes", "tempodb_backend_bytes_total", "live"),
    _backend("backend_compacted_bytes", "bytes", "tempodb_backend_bytes_total", "compacted"),
    _backend("backend_objects", "traces", "tempodb_backend_objects_total", "live"),
    Quantity("backend_blocks", "blocks", "gauge", ("tempodb_blocklist_length",), _TENANT),
    Quantity("generator_series", "series", "gauge", ("tempo_metrics_generator_registry_active_series",), _TENANT),
    _process("rss_bytes", "bytes", "process_resident_memory_bytes"),
    _process("heap_inuse_bytes", "bytes", "go_memstats_heap_inuse_bytes"),
    _process("heap_alloc_bytes", "bytes", "go_memstats_heap_alloc_bytes"),
    _process("next_gc_bytes", "bytes", "go_memstats_next_gc_bytes"),
    _process("cpu_s", "s", "process_cpu_seconds_total", "counter"),
    _process("start_s", "s", "process_start_time_seconds"),
)

QUANTITIES: Mapping[System, tuple[Quantity, ...]] = {"collector": COLLECTOR, "tempo": TEMPO}
