"""The sink's metrics page: its figures under the names the Collector and Tempo give to theirs.

Source of the names: OpenTelemetry Collector v0.155.0 (its own metrics page) and Grafana Tempo v3.0.3
(its metrics page). Names without a figure behind them are left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from loadgen import __version__
from loadgen.blocks import TENANT
from loadgen.sink.pipeline import Tally
from loadgen.sink.store import StoreState


class Process(NamedTuple):
    """What the operating system says of this process."""

    rss_bytes: int
    cpu_s: float
    uptime_s: float


class Metric(NamedTuple):
    """One line of the page."""

    name: str
    kind: str
    labels: str
    value: float
    help: str


_OTLP = 'receiver="otlp",transport="http"'
_SAMPLER = 'processor="probabilistic_sampler",otel_signal="traces"'
_TENANT = f'tenant="{TENANT}"'
_LIVE = f'{_TENANT},status="live"'


def metrics(tally: Tally, store: StoreState, process: Process) -> Iterator[Metric]:
    """Every metric of the page; a counter that is still 0 is absent, as on the real pages."""
    counters = (
        ("otelcol_receiver_accepted_spans", _OTLP, tally.accepted, "Spans taken."),
        ("otelcol_receiver_refused_spans", _OTLP, tally.refused, "Spans refused."),
        ("otelcol_processor_incoming_items", _SAMPLER, tally.accepted, "Spans before sampling."),
        ("otelcol_processor_outgoing_items", _SAMPLER, tally.kept, "Spans after sampling."),
        ("otelcol_exporter_sent_spans", 'exporter="store"', tally.kept, "Spans handed to the store."),
        ("tempo_distributor_spans_received_total", _TENANT, tally.kept, "Spans handed to the store."),
        ("tempo_distributor_bytes_received_total", _TENANT, tally.kept_wire_bytes, "Their encoded bytes."),
        (
            "tempo_live_store_bytes_received_total",
            f'{_TENANT},data_type="trace"',
            tally.kept_trace_bytes,
            "Their encoded bytes, each trace with its own resources.",
        ),
        ("tempo_live_store_traces_created_total", _TENANT, store.traces_cut, "Traces cut."),
        ("tempo_live_store_blocks_completed_total", "", store.blocks_written, "Storage blocks written."),
        ("tempo_live_store_failed_completions_total", "", store.failed_writes, "Attempts that failed."),
    )
    for name, labels, value, text in counters:
        if value:
            yield Metric(name, "counter", labels, value, text)
    yield from _gauges(store, process)


def _gauges(store: StoreState, process: Process) -> Iterator[Metric]:
    yield Metric("tempo_live_store_live_traces", "gauge", _TENANT, store.live_traces, "Live traces.")
    yield Metric("tempo_live_store_live_trace_bytes", "gauge", _TENANT, store.live_bytes, "Their encoded bytes.")
    yield Metric("tempodb_backend_bytes_total", "gauge", _LIVE, store.block_bytes, "Bytes of data files.")
    yield Metric("tempodb_backend_objects_total", "gauge", _LIVE, store.block_rows, "Rows in them.")
    yield Metric("tempodb_blocklist_length", "gauge", _TENANT, store.blocks, "Storage blocks.")
    yield Metric("otelcol_process_memory_rss", "gauge", "", process.rss_bytes, "Resident bytes.")
    yield Metric("process_resident_memory_bytes", "gauge", "", process.rss_bytes, "Resident bytes.")
    yield Metric("otelcol_process_cpu_seconds", "counter", "", process.cpu_s, "CPU seconds.")
    yield Metric("process_cpu_seconds_total", "counter", "", process.cpu_s, "CPU seconds.")
    yield Metric("otelcol_process_uptime", "counter", "", process.uptime_s, "Seconds since the start.")
    yield Metric("honua_sink_info", "gauge", f'version="{__version__}"', 1, "Neither Collector nor Tempo.")


def render(lines: Iterator[Metric]) -> str:
    """The page as Prometheus text."""
    return "".join(
        f"# HELP {line.name} {line.help}\n# TYPE {line.name} {line.kind}\n{line.name}{{{line.labels}}} {line.value!r}\n"
        for line in lines
    )


def this_process(started_s: float) -> Process:
    """The figures of this process, which began at ``started_s`` on the monotonic clock (Linux)."""
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Process(
        rss_bytes=resident_pages * os.sysconf("SC_PAGE_SIZE"),
        cpu_s=time.process_time(),
        uptime_s=time.monotonic() - started_s,
    )
