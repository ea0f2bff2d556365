"""The whole way: spans through a real, head-sampling Collector into a real Tempo, and both pages observed."""

import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from loadgen.measure.observe import Target, observe
from loadgen.measure.scrape import SystemClock
from loadgen.run import create_run, open_run
from loadgen.samplers import HeadSampler
from loadgen.stack.collector import CollectorProcess
from loadgen.stack.tempo import Tempo

HEAD = Path(__file__).parents[2] / "compose" / "otelcol" / "head.yaml"
SPANS_PER_TRACE = 4

pytestmark = [pytest.mark.collector, pytest.mark.tempo]


def request_of(ids: list[bytes]) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "tempo-test"
    spans = resource.scope_spans.add().spans
    end_ns = time.time_ns()
    for trace_id in ids:
        for number in range(1, SPANS_PER_TRACE + 1):
            span = spans.add(trace_id=trace_id, span_id=trace_id[:7] + bytes([number]), name="work")
            span.start_time_unix_nano, span.end_time_unix_nano = end_ns - 10**6, end_ns
    return request.SerializeToString()


def post(base: str, body: bytes) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own loopback URL
        f"{base}/v1/traces", body, {"Content-Type": "application/x-protobuf"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        assert response.status == 200


def found_in(tempo: Tempo, trace_id: bytes) -> bool:
    try:
        with urllib.request.urlopen(f"{tempo.url}/api/traces/{trace_id.hex()}", timeout=10) as response:  # noqa: S310
            return bool(response.read())
    except urllib.error.HTTPError as error:
        error.close()
        return False


def total(run: Path, source: str, quantity: str) -> float:
    """The last value of a quantity, summed over its labels."""
    with open_run(run) as opened:
        found = opened.samples(source, quantity)
    return sum(row.value for row in found if row.time_s == found[-1].time_s)


def test_kept_spans_reach_tempo_and_both_pages_say_so(
    collector: Callable[..., CollectorProcess], tempo: Tempo, tmp_path: Path
) -> None:
    """Sent by the Collector = received by Tempo = the predicted set; none is discarded, a kept one is found."""
    draw = random.Random(time.time_ns())  # a Tempo that stays must not see the same traces twice
    ids = [draw.randbytes(16) for _ in range(500)]
    run = tmp_path / "runs" / "r1"
    create_run(run.parent, run.name).close()
    through = collector(HEAD, HONUA_TEMPO_OTLP=tempo.otlp_grpc)
    targets = [Target("collector", through.metrics_url), Target("tempo", tempo.metrics_url)]
    observe(run, targets, 1.0, lambda: True, SystemClock())
    before = total(run, "tempo", "received_spans"), total(run, "tempo", "discarded_spans")
    for first in range(0, len(ids), 50):
        post(through.otlp_http, request_of(ids[first : first + 50]))
    keep = HeadSampler(10, hash_seed=22).keep(np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16))
    kept = [ids[index] for index in np.flatnonzero(keep)]
    expected = len(kept) * SPANS_PER_TRACE
    give_up_s = time.monotonic() + 20
    while total(run, "tempo", "received_spans") - before[0] < expected and time.monotonic() < give_up_s:
        observe(run, targets, 1.0, lambda: True, SystemClock())
        time.sleep(0.1)

    assert total(run, "collector", "exporter_sent_spans") == expected
    assert total(run, "tempo", "received_spans") == before[0] + expected
    assert total(run, "tempo", "discarded_spans") == before[1]
    assert total(run, "collector", "exporter_queue_size") == 0
    assert total(run, "collector", "exporter_queue_capacity") == 200000
    assert found_in(tempo, kept[0])
