"""The embedded stack: what goes in is counted, sampled exactly, stored, and found again."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from loadgen.blocks import Piece, pieces, read_blocks
from loadgen.errors import InputError
from loadgen.sink import Sink, SinkSettings, run_sink, serve_sink
from loadgen.sink.live import Head, LiveTraces
from loadgen.sink.store import Store

API = Path(__file__).parent.parent / "data" / "tempo-api"
OK = (200, b"\n\x00")  # a partial success that is there, and empty


class FirstByte:
    """Keeps the traces whose first byte is below a bound."""

    def __init__(self, below: int) -> None:
        self.below = below

    def keep(self, ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """As the protocol says; also that ids come as promised."""
        assert (ids.dtype, ids.shape[1:]) == (np.uint8, (16,))
        kept: npt.NDArray[np.bool_] = ids[:, 0] < self.below
        return kept


class Load(NamedTuple):
    """Encoded requests, and the spans of every trace in them by hexadecimal trace id."""

    bodies: list[bytes]
    spans: Counter[str]


def make_load(requests: int = 4, *, seed: int = 1, run_id: str = "run-1", traces: int = 10) -> Load:
    """Requests of ``traces`` traces each, of 1 to 9 spans over two services; every trace in one request."""
    rng = np.random.default_rng(seed)
    bodies, spans = [], Counter[str]()
    for _ in range(requests):
        request = ExportTraceServiceRequest()
        ids = [rng.bytes(16) for _ in range(traces)]
        for service in ("front", "back"):
            batch = request.resource_spans.add()
            for key, value in (("service.name", service), ("loadtest.run.id", run_id)):
                batch.resource.attributes.add(key=key).value.string_value = value
            scope = batch.scope_spans.add()
            for trace_id in ids:
                for _ in range(int(rng.integers(service == "front", 5))):
                    span = scope.spans.add(trace_id=trace_id, span_id=rng.bytes(8), name="work", kind=2)
                    span.start_time_unix_nano = 1_800_000_000_000_000_000
                    span.end_time_unix_nano = span.start_time_unix_nano + int(rng.integers(1, 10**9))
                    spans[trace_id.hex()] += 1
        bodies.append(request.SerializeToString())
    return Load(bodies, spans)


def call(sink: Sink, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    with closing(http.client.HTTPConnection(sink.url.removeprefix("http://"), timeout=20)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()


def post(sink: Sink, body: bytes, **headers: str) -> tuple[int, bytes]:
    """One export request."""
    return call(sink, "POST", "/v1/traces", body, **{"Content_Type": "application/x-protobuf"} | headers)


def get_json(sink: Sink, path: str) -> object:
    """The JSON a path answers with."""
    status, body = call(sink, "GET", path)
    assert status == 200
    return json.loads(body)


def samples(sink: Sink) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The metrics page by name and labels, as the official parser reads it, but names as they stand there."""
    page = call(sink, "GET", "/metrics")[1].decode()
    families = text_string_to_metric_families(page)
    return {
        (
            sample.name if f"\n{sample.name}{{" in page else sample.name.removesuffix("_total"),
            tuple(sorted(sample.labels.items())),
        ): sample.value
        for family in families
        for sample in family.samples
    }


def value(sink: Sink, name: str) -> float:
    """The one sample of that name, 0 if there is none."""
    found = [number for (metric, _), number in samples(sink).items() if metric == name]
    assert len(found) <= 1
    return found[0] if found else 0.0


@pytest.fixture(name="sink")
def _sink(tmp_path: Path) -> Iterator[Sink]:
    with serve_sink(SinkSettings(port=0, data_dir=tmp_path, sampling=FirstByte(64))) as sink:
        yield sink


def test_eight_senders_every_span_counted(sink: Sink, tmp_path: Path) -> None:
    """Of 80 requests from 8 connections at once every span is counted, and exactly the kept traces are stored."""
    load = make_load(80)

    def send(first: int) -> list[tuple[int, bytes]]:
        address = sink.url.removeprefix("http://")
        answers = []
        with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
            for n in range(first, 80, 8):
                body = gzip.compress(load.bodies[n]) if n % 2 else load.bodies[n]
                encoding = {"Content-Encoding": "gzip"} if n % 2 else {}
                headers = {"Content-Type": "application/x-protobuf"} | encoding
                connection.request("POST", "/v1/traces", body, headers)
                answer = connection.getresponse()
                answers.append((answer.status, answer.read()))
        return answers

    with ThreadPoolExecutor(8) as pool:
        answers = [answer for part in pool.map(send, range(8)) for answer in part]

    kept = {trace_id: spans for trace_id, spans in load.spans.items() if int(trace_id[:2], 16) < 64}
    listing = get_json(sink, "/honua/runs/run-1/traces")
    assert answers == [OK] * 80
    assert (sink.tally.accepted, sink.tally.kept) == (sum(load.spans.values()), sum(kept.values()))
    assert listing == {"traces": [[i, n, n] for i, n in sorted(kept.items())], "complete": True}
    contents = read_blocks(tmp_path)
    stored = dict(zip([i.tobytes().hex() for i in contents.ids], contents.spans.tolist(), strict=True))
    assert (stored, set(contents.run_ids)) == (kept, {"run-1"})


def test_retried_request_shows_as_spans_beyond_the_unique(sink: Sink) -> None:
    """A request taken twice doubles the spans of its kept traces, not their different span ids."""
    load = make_load(1)

    answers = [post(sink, body) for body in load.bodies * 2]

    kept = sorted((i, n) for i, n in load.spans.items() if int(i[:2], 16) < 64)
    assert answers == [OK, OK]
    assert get_json(sink, "/honua/runs/run-1/traces") == {
        "traces": [[i, 2 * n, n] for i, n in kept],
        "complete": True,
    }


def test_runs_are_kept_apart(tmp_path: Path) -> None:
    """Traces, spans and bytes are told apart by run; an unknown run has none."""
    with serve_sink(SinkSettings(port=0, data_dir=tmp_path)) as sink:
        one, two = make_load(2, seed=1, run_id="a/b c"), make_load(3, seed=2, run_id="two")
        for body in (*one.bodies, *two.bodies):
            post(sink, body)

        storage = [get_json(sink, f"/honua/runs/{run}/storage") for run in ("a%2Fb%20c", "two", "three")]
        listing = get_json(sink, "/honua/runs/a%2Fb%20c/traces")

    data_bytes = sum(file.stat().st_size for file in tmp_path.rglob("data.parquet"))
    every = sum(one.spans.values()) + sum(two.spans.values())
    assert storage == [
        {
            "spans": (spans := sum(load.spans.values())),
            "traces": len(load.spans),
            "data_bytes": data_bytes * spans // every,
            "blocks": int(spans > 0),
        }
        for load in (one, two, Load([], Counter()))
    ]
    assert listing == {"traces": [[i, n, n] for i, n in sorted(one.spans.items())], "complete": True}


def test_fragments_in_two_blocks_are_one_trace(tmp_path: Path) -> None:
    """A trace whose spans fall into two blocks is listed and looked up as one."""
    load = make_load(1, traces=1)
    late = make_load(1, seed=9, traces=1)
    (trace_id,), (other,) = load.spans, late.spans
    with serve_sink(SinkSettings(port=0, data_dir=tmp_path)) as sink:
        post(sink, load.bodies[0])
        status, _ = call(sink, "POST", "/honua/flush")
        post(sink, late.bodies[0].replace(bytes.fromhex(other), bytes.fromhex(trace_id)))
        live = get_json(sink, f"/api/traces/{trace_id}")
        listing = get_json(sink, "/honua/runs/run-1/traces")
        stored = get_json(sink, f"/api/traces/{trace_id}")
        blocks = sink.state.blocks

    spans = load.spans[trace_id] + late.spans[other]
    assert (status, blocks) == (200, 2)
    assert listing == {"traces": [[trace_id, spans, spans]], "complete": True}
    assert live == stored
    assert spans == sum(len(ss["spans"]) for rs in stored["batches"] for ss in rs["scopeSpans"])  # type: ignore[index]


@pytest.mark.parametrize("flushed", [False, True])
def test_trace_by_id_is_what_tempo_answers(sink: Sink, flushed: bool) -> None:
    """Both trace APIs answer as Tempo did for the same spans, from memory and from a block."""
    v1, v2, missing = (json.loads((API / f"trace-{name}.json").read_text()) for name in ("v1", "v2", "v2-missing"))
    post(sink, ParseDict({"resourceSpans": v1["batches"]}, ExportTraceServiceRequest()).SerializeToString())
    trace_id = "38b4e652e44da7f2370d9e260e271365"
    if flushed:
        sink.flush()

    found = [get_json(sink, f"/api/{version}traces/{trace_id}") for version in ("", "v2/")]

    assert found == [v1, {"trace": v2["trace"], "metrics": {}}]
    assert get_json(sink, f"/api/v2/traces/{'1' * 32}") == missing
    assert call(sink, "GET", f"/api/traces/{'1' * 32}") == (404, b"")


@pytest.mark.parametrize(
    ("trace_id", "status"), [("zz", 400), ("1" * 33, 400), ("77", 404), ("%2e%2e", 400), ("", 404)]
)
def test_odd_trace_ids(sink: Sink, trace_id: str, status: int) -> None:
    """What is no hexadecimal number of at most 128 bits is refused, a short one is taken."""
    assert call(sink, "GET", f"/api/traces/{trace_id}")[0] == status


def test_readiness(sink: Sink) -> None:
    """Both ready pages answer, and the own one says what this is."""
    assert call(sink, "GET", "/ready") == (200, b"ready")
    assert get_json(sink, "/honua/ready") == {"kind": "honua-sink", "version": "0.1.0"}


def test_metrics_page(sink: Sink) -> None:
    """The page parses, carries the real names with the real labels, and says that it is not theirs."""
    load = make_load()
    empty = samples(sink)
    for body in load.bodies:
        post(sink, body)
    post(sink, b"\xff")
    before = samples(sink)
    sink.flush()
    after = samples(sink)

    spans = sum(load.spans.values())
    kept = sum(n for i, n in load.spans.items() if int(i[:2], 16) < 64)
    traces = sum(int(i[:2], 16) < 64 for i in load.spans)
    receiver = (("receiver", "otlp"), ("transport", "http"))
    sampler = (("otel_signal", "traces"), ("processor", "probabilistic_sampler"))
    tenant = (("tenant", "single-tenant"),)
    live = (("status", "live"), *tenant)
    assert ("otelcol_receiver_accepted_spans", receiver) not in empty
    assert before["otelcol_receiver_accepted_spans", receiver] == spans
    assert before["otelcol_processor_incoming_items", sampler] == spans
    assert before["otelcol_processor_outgoing_items", sampler] == kept
    assert before["tempo_distributor_spans_received_total", tenant] == kept
    assert before["tempo_live_store_live_traces", tenant] == traces
    assert before["tempodb_backend_bytes_total", live] == 0
    assert after["tempo_live_store_live_traces", tenant] == 0
    assert after["tempodb_backend_objects_total", live] == traces
    assert after["tempodb_backend_bytes_total", live] == sink.state.block_bytes > 0
    assert after["honua_sink_info", (("version", "0.1.0"),)] == 1
    assert after["otelcol_process_memory_rss", ()] > 1e6


def test_received_bytes_are_those_of_the_kept_spans(tmp_path: Path) -> None:
    """Where everything is kept, the bytes received are those of the requests, within framing."""
    load = make_load()
    with serve_sink(SinkSettings(port=0, data_dir=tmp_path)) as sink:
        for body in load.bodies:
            post(sink, body)
        received = value(sink, "tempo_distributor_bytes_received_total")
        trace_bytes = value(sink, "tempo_live_store_bytes_received_total")

    assert received == pytest.approx(sum(map(len, load.bodies)), rel=0.02)
    assert received < trace_bytes


def test_memory_limit_refuses_and_recovers(tmp_path: Path) -> None:
    """Beyond the limit requests are refused with 503 and counted; once memory is free they are taken again."""
    load = make_load(3)
    limit_bytes = int(1.9 * len(load.bodies[0]))
    with serve_sink(SinkSettings(port=0, data_dir=tmp_path, memory_limit_bytes=limit_bytes)) as sink:
        first = post(sink, load.bodies[0])
        second = post(sink, load.bodies[1])
        refused = value(sink, "otelcol_receiver_refused_spans")
        sink.flush()
        third = post(sink, load.bodies[1])
        state = sink.state

    spans = sum(len(ss.spans) for rs in _decoded(load.bodies[1]).resource_spans for ss in rs.scope_spans)
    assert (first, third) == (OK, OK)
    assert second == (503, b"\x08\x0e\x12%data refused due to high memory usage")
    assert (refused, state.blocks) == (spans, 1)


def _decoded(body: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(body)


def test_idle_traces_become_blocks_by_themselves(tmp_path: Path) -> None:
    """Without a flush, traces are cut once idle and stored once the block is old enough."""
    load = make_load(2)
    settings = SinkSettings(port=0, data_dir=tmp_path, trace_idle_s=0.2, block_seconds=0.1)
    with serve_sink(settings) as sink:
        for body in load.bodies:
            post(sink, body)
        end_s = time.monotonic() + 20
        while sink.state.block_rows < len(load.spans) and time.monotonic() < end_s:
            time.sleep(0.05)
        state = sink.state

    assert (state.live_traces, state.held_bytes, state.block_rows) == (0, 0, len(load.spans))


def test_close_writes_what_is_left(tmp_path: Path) -> None:
    """Closing stores what is live; a second close does nothing."""
    load = make_load(2)
    sink = serve_sink(SinkSettings(port=0, data_dir=tmp_path))
    for body in load.bodies:
        post(sink, body)

    sink.close()
    sink.close()

    assert int(read_blocks(tmp_path).spans.sum()) == sum(load.spans.values())


def test_next_sink_serves_the_blocks_of_the_last(tmp_path: Path) -> None:
    """A sink on a folder that holds blocks finds their traces and counts their bytes."""
    load = make_load(1)
    with serve_sink(SinkSettings(port=0, data_dir=tmp_path)) as first:
        post(first, load.bodies[0])

    with serve_sink(SinkSettings(port=0, data_dir=tmp_path)) as sink:
        listing = get_json(sink, "/honua/runs/run-1/traces")
        state = sink.state
        written = value(sink, "tempo_live_store_blocks_completed_total")

    assert listing == {"traces": [[i, n, n] for i, n in sorted(load.spans.items())], "complete": True}
    assert (state.blocks, written) == (1, 0)
    assert state.block_bytes == sum(file.stat().st_size for file in tmp_path.rglob("data.parquet"))


def test_data_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    """A data folder that is a file is an error that names it."""
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match="file"):
        serve_sink(SinkSettings(port=0, data_dir=tmp_path / "file"))


def test_temporary_folder_goes_with_the_sink() -> None:
    """Without a data folder the blocks are in a temporary one, which closing removes."""
    with serve_sink(SinkSettings(port=0)) as sink:
        post(sink, make_load(1).bodies[0])
        sink.flush()
        there = list(sink.folder.rglob("meta.json"))

    assert (len(there), sink.folder.exists()) == (1, False)


def test_failed_write_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that cannot be written is reported and counted, and its traces are in the next one."""
    load = make_load(2)
    with serve_sink(SinkSettings(port=0, data_dir=tmp_path)) as sink:
        post(sink, load.bodies[0])
        with monkeypatch.context() as broken:
            broken.setattr("loadgen.sink.store.write_block", _full_disk)
            status, text = call(sink, "POST", "/honua/flush")
        post(sink, load.bodies[1])
        failed = value(sink, "tempo_live_store_failed_completions_total")
        again, _ = call(sink, "POST", "/honua/flush")

    assert (status, again, failed) == (500, 200, 1)
    assert b"No space left" in text
    assert int(read_blocks(tmp_path).spans.sum()) == sum(load.spans.values())


def _full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_live_traces_are_cut_by_silence_and_by_age() -> None:
    """A trace is cut after silence, or at its age limit though spans keep coming."""
    bodies = make_load(1, traces=1).bodies
    (trace_id, piece), *_ = _pieces(bodies[0])
    live = LiveTraces()
    live.add([(trace_id, piece)], 0.0)
    live.add([(trace_id, piece)], 9.0)

    quiet = live.cut(last_before_s=8.0, created_before_s=-1.0)
    old = live.cut(last_before_s=8.0, created_before_s=0.0)

    assert (quiet, [trace for trace, _ in old]) == ([], [trace_id])
    assert (len(live), live.held_bytes) == (0, 0)


def test_block_is_due_by_age_and_by_size(tmp_path: Path) -> None:
    """Gathered traces become a block at the block's age, or earlier at its size."""
    now = [100.0]
    kept = _pieces(make_load(1).bodies[0])
    held = sum(piece.held_bytes for _, piece in kept)
    for block_bytes, blocks_before_age in ((held + 1, 0), (held, 1)):
        settings = SinkSettings(port=0, block_bytes=block_bytes)
        store = Store(settings, tmp_path / str(block_bytes), lambda: now[0])
        store.add(kept)
        counts = []
        for step_s in (4.9, 0.2, 29.0, 1.1):
            now[0] += step_s
            store.tick()
            counts.append(store.state().blocks)
        assert counts == [0, blocks_before_age, blocks_before_age, 1]


def _pieces(body: bytes) -> list[tuple[bytes, Piece]]:
    return list(pieces(list(_decoded(body).resource_spans)))


def test_head_finds_and_counts() -> None:
    """Gathered traces can be found, also when cut twice, and weigh what their pieces hold."""
    (trace_id, piece), *_ = _pieces(make_load(1, traces=1).bodies[0])
    head = Head()

    head.add([(trace_id, [piece])], 5.0)
    head.add([(trace_id, [piece])], 6.0)

    assert (head.opened_s, head.held_bytes) == (5.0, 2 * piece.held_bytes)
    assert (head.pieces_of(trace_id), head.pieces_of(bytes(16))) == ([piece, piece], [])


def test_port_in_use_is_named(sink: Sink) -> None:
    """A second sink on the same port is an error that names host and port, and leaves nothing running."""
    port = int(sink.url.rsplit(":", 1)[1])
    threads = threading.active_count()

    with pytest.raises(InputError, match=f"127.0.0.1:{port}"):
        serve_sink(SinkSettings(port=port))
    assert threading.active_count() == threads


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_foreground_sink(tmp_path: Path, number: signal.Signals) -> None:
    """On SIGTERM or SIGINT what is live is stored and the process exits with 0."""
    program = (
        "import sys; from pathlib import Path; from loadgen.sink import SinkSettings, run_sink;"
        "run_sink(SinkSettings(port=0, data_dir=Path(sys.argv[1])), lambda url: print(url, flush=True))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    load = make_load(1)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().removeprefix("http://")
        with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
            headers = {"Content-Type": "application/x-protobuf"}
            connection.request("POST", "/v1/traces", load.bodies[0], headers)
            status = connection.getresponse().status
            process.send_signal(number)  # with the connection still open
            code = process.wait(20)

    assert (status, code) == (200, 0)
    assert int(read_blocks(tmp_path).spans.sum()) == sum(load.spans.values())


def test_foreground_sink_gives_signals_back() -> None:
    """After a foreground sink has ended, the handlers it found are in place again."""
    before = signal.getsignal(signal.SIGTERM)

    run_sink(SinkSettings(port=0), lambda _: os.kill(os.getpid(), signal.SIGTERM))

    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("wrong", [{"port": 70000}, {"block_seconds": 0}, {"memory_limit_bytes": -1}])
def test_wrong_settings_are_named(wrong: dict[str, int]) -> None:
    """A setting out of range is refused by name."""
    with pytest.raises(InputError, match=next(iter(wrong))):
        SinkSettings(**wrong)  # type: ignore[arg-type]
