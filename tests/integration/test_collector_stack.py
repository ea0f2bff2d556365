"""The shipped configurations and the whole way through a real Collector: accepted, sampled, exported."""

import json
import random
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from loadgen.measure.http import headers_from, parse_address
from loadgen.measure.page import Page
from loadgen.measure.quantities import identify, read_quantities, read_version
from loadgen.measure.scrape import fetch_page
from loadgen.samplers import Traces, pipeline_from_config
from loadgen.stack.collector import CollectorProcess

CONFIGS = Path(__file__).parents[2] / "compose" / "otelcol"
SHIPPED = sorted(path for path in CONFIGS.glob("*.yaml") if path.name != "builder.yaml")
SPANS_PER_TRACE = 3
StartCollector = Callable[..., CollectorProcess]

pytestmark = pytest.mark.collector


def trace_ids(number: int, seed: int) -> list[bytes]:
    draw = random.Random(seed)
    return [draw.randbytes(16) for _ in range(number)]


def request_of(ids: list[bytes], duration_us: int = 100_000, *, error: bool = False) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "stack-test"
    spans = resource.scope_spans.add().spans
    end_ns = time.time_ns()
    for trace_id in ids:
        for number in range(1, SPANS_PER_TRACE + 1):
            span = spans.add(trace_id=trace_id, span_id=trace_id[:7] + bytes([number]), name="work")
            span.start_time_unix_nano, span.end_time_unix_nano = end_ns - duration_us * 1000, end_ns
            span.status.code = 2 if error else 0
    return request.SerializeToString()


def post(collector: CollectorProcess, body: bytes, content_type: str = "application/x-protobuf") -> bytes:
    request = urllib.request.Request(  # noqa: S310 - our own loopback URL
        f"{collector.otlp_http}/v1/traces", body, {"Content-Type": content_type}
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return bytes(response.read())


def send(collector: CollectorProcess, ids: list[bytes], traces_per_request: int = 50) -> None:
    for first in range(0, len(ids), traces_per_request):
        answer = post(collector, request_of(ids[first : first + traces_per_request]))
        assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 0


def page_of(collector: CollectorProcess) -> Page:
    return fetch_page(parse_address(collector.metrics_url), headers_from({}))


def settled(collector: CollectorProcess, quantity: str, at_least: float, within_s: float = 10.0) -> dict[str, float]:
    """The Collector's quantities once ``quantity`` has come so far; asynchronous parts need a moment."""
    give_up_s = time.monotonic() + within_s
    while True:
        values = read_quantities(page_of(collector), "collector")
        if values[quantity] >= at_least or time.monotonic() > give_up_s:
            return values
        time.sleep(0.1)


def exported(path: Path) -> dict[bytes, int]:
    """Spans by trace id in a file of OTLP JSON lines."""
    found: dict[bytes, int] = {}
    for line in path.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    trace_id = bytes.fromhex(span["traceId"])
                    found[trace_id] = found.get(trace_id, 0) + 1
    return found


def predicted(config: Path, ids: list[bytes], duration_us: int = 100_000, *, error: bool = False) -> set[bytes]:
    pipeline = pipeline_from_config(config.read_text(), str(config))
    n = len(ids)
    traces = Traces(
        np.frombuffer(b"".join(ids), np.uint8).reshape(n, 16),
        np.full(n, duration_us * 1000),
        np.full(n, error),
        np.full(n, SPANS_PER_TRACE),
    )
    return {ids[index] for index in np.flatnonzero(pipeline.keep(traces))}


@pytest.mark.parametrize("config", SHIPPED, ids=lambda path: path.name)
def test_shipped_configuration_is_valid(collector_binary: Path, config: Path) -> None:
    """The real Collector loads every configuration we ship."""
    run = subprocess.run(
        [str(collector_binary), "validate", f"--config=file:{config}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("config", SHIPPED, ids=lambda path: path.name)
def test_shipped_configuration_starts_without_complaint(
    collector: StartCollector, config: Path, tmp_path: Path
) -> None:
    """Every configuration starts, shows its metrics and ends in order; nothing in it is deprecated."""
    # That no Tempo listens is gRPC's complaint, not one about the configuration.
    with collector(config, HONUA_OUT=str(tmp_path / "kept.jsonl"), HONUA_TEMPO_OTLP="127.0.0.1:1") as started:
        page = page_of(started)
        stopped = started.stop()
    lines = [line for line in started.log.read_text().splitlines() if '"grpc_log": true' not in line]
    complaints = [line for line in lines if "\twarn\t" in line or "\terror\t" in line]

    assert (identify(page), stopped) == ("collector", 0)
    assert read_version(page)
    assert complaints == []


def test_head_sampling_is_accounted_for_trace_by_trace(collector: StartCollector, tmp_path: Path) -> None:
    """Accepted = sent, in - out = sampled out, exported = what left; the file holds the predicted traces."""
    out, config, ids = tmp_path / "kept.jsonl", CONFIGS / "test-head.yaml", trace_ids(600, seed=1)
    with collector(config, HONUA_OUT=str(out)) as started:
        send(started, ids)
        values = read_quantities(page_of(started), "collector")
    kept, expected = exported(out), predicted(config, ids)

    spans = len(ids) * SPANS_PER_TRACE
    assert spans == values["receiver_accepted_spans"] == values["sampler_in_spans"] == values["sampler_decided_spans"]
    assert (spans - len(expected) * SPANS_PER_TRACE) == values["sampler_in_spans"] - values["sampler_out_spans"]
    assert values["sampler_out_spans"] == values["exporter_sent_spans"] == sum(kept.values())
    assert expected == set(kept)
    assert {SPANS_PER_TRACE} == set(kept.values())
    assert [
        values[name]
        for name in (
            "receiver_refused_spans",
            "exporter_failed_spans",
            "exporter_enqueue_failed_spans",
            "limiter_refused_spans",
        )
    ] == [0.0] * 4


def test_tail_sampling_is_accounted_for_trace_by_trace(collector: StartCollector, tmp_path: Path) -> None:
    """Errors and slow traces all leave, of the rest the predicted ones; both caches empty the memory again.

    The Collector cuts durations to whole milliseconds: 1000.999 ms is not longer than 1000.
    """
    out, config = tmp_path / "kept.jsonl", CONFIGS / "test-tail.yaml"
    plain, failed, slow, exact = (trace_ids(n, seed) for n, seed in ((400, 2), (20, 3), (20, 4), (20, 5)))
    with collector(config, HONUA_OUT=str(out)) as started:
        post(started, request_of(plain))
        post(started, request_of(failed, error=True))
        post(started, request_of(slow, 1_001_000))
        post(started, request_of(exact, 1_000_999))
        values = settled(started, "tail_decided_traces", 460)
    expected = {*predicted(config, plain), *failed, *slow, *predicted(config, exact, 1_000_999)}
    kept = exported(out)

    assert (
        values["tail_new_traces"],
        values["tail_decided_traces"],
        values["tail_dropped_too_early_traces"],
        values["tail_traces_on_memory"],
    ) == (460, 460, 0, 0)
    assert expected == set(kept)
    assert {SPANS_PER_TRACE} == set(kept.values())
    assert (values["sampler_in_spans"], values["sampler_out_spans"]) == (0, 0)


def test_counters_are_absent_until_they_count(collector: StartCollector) -> None:
    """A fresh Collector shows no span counter; all of them read 0, its process reads as it is."""
    values = read_quantities(page_of(collector(CONFIGS / "test-nop.yaml")), "collector")

    assert 0.0 == values["receiver_accepted_spans"] == values["exporter_sent_spans"]
    assert values["rss_bytes"] > 10 * 2**20
    assert values["uptime_s"] > 0


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [(b"\xff\xff", "application/x-protobuf", 400), (b"hello", "text/plain", 415)],
)
def test_nonsense_is_answered_and_not_counted(
    collector: StartCollector, body: bytes, content_type: str, code: int
) -> None:
    """A body that is no OTLP is refused by its status alone: no counter of the receiver moves."""
    started = collector(CONFIGS / "test-nop.yaml")
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(started, body, content_type)
    caught.value.close()
    values = read_quantities(page_of(started), "collector")

    assert code == caught.value.code
    assert (values["receiver_accepted_spans"], values["receiver_refused_spans"]) == (0.0, 0.0)
