import gzip
from pathlib import Path

import pytest

from loadgen.measure.names import COLLECTOR, QUANTITIES, TEMPO, System
from loadgen.measure.page import Page, parse_page
from loadgen.measure.quantities import identify, quantity, read, read_quantities, read_version

DATA = Path(__file__).parents[1] / "data"

# Read from the captured page with grep and added up by hand: six pipelines of 80,000 spans, five head
# samplers and one tail sampler.
SAMPLED = {"a": 8016, "b": 772, "c": 8256, "d": 20252, "e": 26860}
COLLECTOR_VALUES = {
    "receiver_accepted_spans": 6 * 80000,
    "receiver_refused_spans": 0,
    "receiver_failed_spans": 0,
    "limiter_refused_spans": 0,
    "sampler_in_spans": 5 * 80000,
    "sampler_out_spans": sum(SAMPLED.values()),
    "sampler_decided_spans": 204352 + 35648 + 131492 + 28508,
    "tail_new_traces": 20000,
    "tail_decided_traces": 18007 + 1993,
    "tail_dropped_too_early_traces": 0,
    "tail_dropped_too_large_traces": 0,
    "tail_late_spans": 0,
    "tail_traces_on_memory": 0,
    "exporter_sent_spans": sum(SAMPLED.values()) + 7972,
    "exporter_failed_spans": 0,
    "exporter_enqueue_failed_spans": 0,
    "exporter_queue_size": 0,
    "exporter_in_flight_requests": 0,
    "cpu_s": 0.9,
    "rss_bytes": 94093312,
    "heap_bytes": 43700424,
    "uptime_s": 9.741131124,
}
TEMPO_VALUES = {
    "received_spans": 800,
    "received_bytes": 91820,
    "ingress_bytes": 91820,
    "refused_spans": 0,
    "discarded_spans": 0,
    "live_traces": 0,
    "live_trace_bytes": 0,
    "cut_traces": 200,
    "blocks_completed": 1,
    "flushed_bytes": 93765,
    "push_backpressure_s": 0,
    "backend_live_bytes": 93765,
    "backend_compacted_bytes": 0,
    "backend_objects": 200,
    "backend_blocks": 1,
    "generator_series": 95,
    "rss_bytes": 132026368,
    "heap_inuse_bytes": 260874240,
    "heap_alloc_bytes": 257529224,
    "next_gc_bytes": 401173602,
    "cpu_s": 0.76,
    "start_s": 1795353414.86,
}
UNKNOWN = {
    "collector": {"exporter_queue_capacity", "cpu_s", "rss_bytes", "heap_bytes", "uptime_s"},
    "tempo": {"cpu_s", "rss_bytes", "heap_inuse_bytes", "heap_alloc_bytes", "next_gc_bytes", "start_s"},
}


def page_of(text: str) -> Page:
    return parse_page(text, "page")


def captured(name: str) -> Page:
    return page_of(gzip.decompress((DATA / f"metrics-{name}.txt.gz").read_bytes()).decode())


def test_real_collector_page() -> None:
    """Every quantity of the page of a Collector v0.161.0 is what stands there."""
    assert read_quantities(captured("collector-v0.161.0"), "collector") == COLLECTOR_VALUES


def test_real_tempo_page() -> None:
    """Every quantity of the page of a Tempo v3.0.3 is what stands there."""
    assert read_quantities(captured("tempo-v3.0.3"), "tempo") == TEMPO_VALUES


def test_pages_name_their_system() -> None:
    """A page shows whose it is and of which release; a Tempo built without a stamp names none."""
    collector, tempo = captured("collector-v0.161.0"), captured("tempo-v3.0.3")

    assert (identify(collector), read_version(collector)) == ("collector", "0.161.0")
    assert (identify(tempo), read_version(tempo)) == ("tempo", None)


def test_readings_are_split_by_their_labels() -> None:
    """What an operator must tell apart stays apart: processors, decisions."""
    readings = read(captured("collector-v0.161.0"), "collector")
    out = {r.labels["processor"]: r.value for r in readings if r.quantity.name == "sampler_out_spans"}
    decided = {r.labels["sampled"]: r.value for r in readings if r.quantity.name == "tail_decided_traces"}

    assert out == {f"probabilistic_sampler/{x}": n for x, n in SAMPLED.items()}
    assert decided == {"true": 1993, "false": 18007}


@pytest.mark.parametrize("system", ["collector", "tempo"])
def test_absent_counters_are_zero_and_absent_gauges_of_a_process_unknown(system: System) -> None:
    """On a page that shows nothing yet each count is 0; memory and CPU are not 0, but not there."""
    values = read_quantities(page_of("up 1\n"), system)
    unknown = {q.name for q in QUANTITIES[system]} - set(values)

    assert {0.0} == set(values.values())
    assert UNKNOWN[system] == unknown


@pytest.mark.parametrize(
    ("metric", "name", "value"),
    [
        ('receiver_accepted_spans{receiver="otlp"} 7', "receiver_accepted_spans", 7),
        ('receiver_accepted_spans_total{receiver="otlp"} 7', "receiver_accepted_spans", 7),
        ('receiver_accepted_spans__spans__total{receiver="otlp"} 7', "receiver_accepted_spans", 7),
        ("process_cpu_seconds 1.5", "cpu_s", 1.5),
        ("process_cpu_seconds_total 1.5", "cpu_s", 1.5),
        ("process_cpu_seconds_seconds_total 1.5", "cpu_s", 1.5),
        ("process_uptime_seconds_total 9", "uptime_s", 9),
        ("process_memory_rss_bytes 1e8", "rss_bytes", 1e8),
        ('exporter_queue_size__batches_{exporter="otlp"} 3', "exporter_queue_size", 3),
        ('exporter_queue_size{exporter="o",data_type="metrics"} 5', "exporter_queue_size", 0),
        ('processor_refused_spans{processor="memory_limiter"} 5', "limiter_refused_spans", 5),
        ('processor_refused_spans{processor="memory_limiter/2"} 5', "limiter_refused_spans", 5),
        ('processor_memory_limiter_refused_spans{processor="memory_limiter"} 5', "limiter_refused_spans", 5),
        ('processor_refused_spans{processor="batch"} 5', "limiter_refused_spans", 0),
        ('processor_incoming_items{processor="memory_limiter"} 5', "sampler_in_spans", 0),
        ('processor_incoming_items{processor="probabilistic_sampler",otel_signal="logs"} 5',
         "sampler_in_spans", 0),
        ('processor_incoming_items_total{processor="probabilistic_sampler"} 5', "sampler_in_spans", 5),
    ],
)  # fmt: skip
def test_collector_names_by_release(metric: str, name: str, value: float) -> None:
    """The Collector's names of all releases mean the same quantity; other components' do not count."""
    assert value == read_quantities(page_of(f"otelcol_{metric}\n"), "collector")[name]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('tempo_ingester_live_traces{tenant="single-tenant"} 3', "live_traces"),
        ('tempo_live_store_live_traces{tenant="single-tenant"} 3', "live_traces"),
        ('tempo_ingester_live_trace_bytes{tenant="a"} 3', "live_trace_bytes"),
        ("tempo_ingester_blocks_flushed_total 3", "blocks_completed"),
        ("tempo_ingester_flush_size_bytes_sum 3", "flushed_bytes"),
        ('tempo_discarded_spans_total{reason="trace_too_large",tenant="a"} 3', "discarded_spans"),
        ('tempo_live_store_back_pressure_seconds_total{reason="waiting_for_wal"} 3', "push_backpressure_s"),
        ('tempodb_backend_bytes_total{status="compacted",tenant="a"} 3', "backend_compacted_bytes"),
    ],
)
def test_tempo_names_by_release(line: str, name: str) -> None:
    """Tempo 2.10's ingester and 3.x's live store fill the same quantities."""
    assert read_quantities(page_of(line + "\n"), "tempo")[name] == 3.0


def test_two_spellings_on_one_page_count_once() -> None:
    """A page that writes a counter under both spellings, as a relay may, does not double it."""
    page = page_of("otelcol_receiver_accepted_spans 7\notelcol_receiver_accepted_spans_total 7\n")

    assert read_quantities(page, "collector")["receiver_accepted_spans"] == 7.0


@pytest.mark.parametrize(
    ("text", "system", "version"),
    [
        ('otelcol_receiver_accepted_spans{service_version="0.98.0"} 1\n', "collector", "0.98.0"),
        ('tempo_build_info{version="2.10.8"} 1\n', "tempo", "2.10.8"),
        ('honua_sink_info{version="0.1"} 1\notelcol_x 1\ntempo_build_info{version="x"} 1\n', "sink", "0.1"),
        ("node_load1 1\n", None, None),
    ],
)
def test_identity(text: str, system: str | None, version: str | None) -> None:
    """The sink is never taken for the Collector or Tempo whose names it uses."""
    assert (system, version) == (identify(page_of(text)), read_version(page_of(text)))


@pytest.mark.parametrize("table", [COLLECTOR, TEMPO])
def test_names_are_unique_and_end_in_their_unit(table: tuple) -> None:  # type: ignore[type-arg]
    """Each quantity is there once, and a name that ends in bytes, spans, traces or s says its unit."""
    names = [q.name for q in table]
    wrong = [q.name for q in table for end in ("bytes", "spans", "traces") if q.name.endswith(end) and q.unit != end]

    assert sorted(set(names)) == sorted(names)
    assert wrong == []


def test_quantity_by_name() -> None:
    """A quantity is found by its name; its unit and kind stand with it."""
    assert (
        quantity("tempo", "received_spans").unit,
        quantity("tempo", "received_spans").kind,
    ) == ("spans", "counter")
