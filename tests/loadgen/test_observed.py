"""What arrived, read from files, blocks, the sink and Tempo; wrong answers are named."""

from __future__ import annotations

import base64
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import InputError, RemoteError
from loadgen.measure.observed import Question, parse_observed, read_blocks, read_otlp_json_lines, read_sink, read_tempo
from loadgen.measure.observed_http import get
from loadgen.measure.observed_ids import SEEN, group_spans, match

DATA = Path(__file__).parents[1] / "data"
TRACE = "38b4e652e44da7f2370d9e260e271365"
RUN = "run-1"


def ids_of(*hexes: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(hexes)), np.uint8).reshape(-1, 16)


def request(run_id: str, *spans: tuple[str, str]) -> dict[str, Any]:
    attributes = [
        {"key": "a", "value": {"intValue": "1"}},
        {"key": "loadtest.run.id", "value": {"stringValue": run_id}},
    ]
    scope = {"spans": [{"traceId": trace, "spanId": span} for trace, span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [scope]}]}


A, B = "0a" * 16, "0b" * 16
ONE, TWO = "01" * 8, "02" * 8


# --- ids ---

FEW_IDS = st.lists(st.sampled_from([bytes([a, *[0] * 14, b]) for a in range(3) for b in range(3)]), max_size=12)


@given(FEW_IDS, FEW_IDS)
def test_matching_equals_looking_each_up(known: list[bytes], looked_for: list[bytes]) -> None:
    """An id's place among the known ones is found exactly, -1 where it is not there."""
    known, looked_for = list(dict.fromkeys(known)), list(dict.fromkeys(looked_for))
    places = match(*(ids_of(*(i.hex() for i in ids)) for ids in (known, looked_for)))

    assert [known.index(i) if i in known else -1 for i in looked_for] == places.tolist()


@given(st.lists(st.tuples(st.sampled_from([A, B, "00" * 16]), st.sampled_from([ONE, TWO, "00" * 8])), max_size=12))
def test_grouping_counts_spans_and_different_ones(spans: list[tuple[str, str]]) -> None:
    """Spans and different span ids of each trace, traces sorted by id."""
    grouped = group_spans(np.frombuffer(bytes.fromhex("".join(t + s for t, s in spans)), SEEN))
    traces = sorted({trace for trace, _ in spans})

    assert traces == [i.tobytes().hex() for i in grouped.ids]
    assert [sum(t == trace for t, _ in spans) for trace in traces] == grouped.spans.tolist()
    assert [len({s for t, s in spans if t == trace}) for trace in traces] == grouped.unique_spans.tolist()


# --- files ---


def test_file_exporter_output() -> None:
    """Three traces as the Collector v0.161.0 wrote them."""
    observed = read_otlp_json_lines(DATA / "observed-file-exporter-v0.161.0.jsonl.gz", "observed-fixture")

    names = ["063386883c81818aeba0875f88a83661", "1adc41b0bc20572361f665c4b69d559f", "bba282ab772141817f4783d83e18cce4"]
    assert names == [i.tobytes().hex() for i in observed.ids]
    assert (observed.spans.tolist(), observed.unique_spans.tolist()) == ([48, 48, 44], [48, 48, 44])
    assert (observed.kind, observed.complete) == ("file", True)


@pytest.mark.parametrize("packed", [True, False])
def test_only_the_runs_own_resources_count(tmp_path: Path, *, packed: bool) -> None:
    """Other runs' spans, resources without attributes and empty lines are left out; repetitions are not."""
    lines = [request(RUN, (B, ONE), (A, ONE)), request("other", (A, TWO)), request(RUN, (A, ONE), (A, TWO))]
    text = "\n\n".join(json.dumps(line) for line in [*lines, {"resourceSpans": [{"scopeSpans": []}]}, {}])
    path = tmp_path / "kept.json"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    observed = read_otlp_json_lines(path, RUN)

    assert [i.tobytes().hex() for i in observed.ids] == [A, B]
    assert (observed.spans.tolist(), observed.unique_spans.tolist()) == ([3, 1], [2, 1])


GOOD = json.dumps(request(RUN, (A, ONE)))


@pytest.mark.parametrize(
    "line",
    [
        GOOD[:50],
        "[]",
        "not json",
        json.dumps(request(RUN, (A[:-2], ONE))),
        json.dumps(request(RUN, (A[:-2], ONE + "00"))),
        json.dumps(request(RUN, ("x" * 32, ONE))),
        '{"resourceSpans": [{"resource": {"attributes": [{}]}}]}',
        '{"resourceSpans": 5}',
        "\xff",
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, line: str) -> None:
    """A line that is no request gives its number."""
    path = tmp_path / "kept.jsonl"
    path.write_text(f"{GOOD}\n{line}\n", "latin-1")

    with pytest.raises(InputError, match=r"kept\.jsonl:2: got .*, must be an ExportTraceServiceRequest"):
        read_otlp_json_lines(path, RUN)


def test_a_cut_gzip_file_is_named(tmp_path: Path) -> None:
    """A file that ends in the middle is not taken for whole."""
    path = tmp_path / "kept.gz"
    path.write_bytes(gzip.compress(GOOD.encode() * 100)[:-10])

    with pytest.raises(InputError, match=r"kept\.gz: got .*, must be a whole gzip file"):
        read_otlp_json_lines(path, RUN)


def test_blocks_of_one_run() -> None:
    """Blocks that Tempo v3.0.3 wrote are read; traces of no run, or of another, do not count."""
    own, other = (read_blocks(DATA / "blocks", run_id) for run_id in ("run-edges", RUN))

    assert (len(own.ids), int(own.spans.sum())) == (10, 49)
    assert len(other.ids) == 0


# --- HTTP ---


Answer = tuple[int, bytes]
Serve = Callable[[Callable[[str], Answer]], str]


@pytest.fixture(name="serve")
def _serve() -> Iterator[Serve]:
    """Starts servers on the loopback that answer a path with (status, body); returns their base URLs."""
    servers = []

    def start(answer: Callable[[str], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, body = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status == 302:
                    self.send_header("Location", body.decode())
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        asked: list[tuple[str, dict[str, str]]] = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.asked = asked  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    start.servers = servers  # type: ignore[attr-defined]
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def asked_of(serve: Serve) -> list[tuple[str, dict[str, str]]]:
    return serve.servers[-1].asked  # type: ignore[attr-defined]


def test_sink_listing(serve: Serve) -> None:
    """The sink's listing is taken as it is, sorted; the run id is quoted."""
    listing = {"traces": [[B, 3, 2], [A, 5, 5]], "complete": True}
    url = serve(lambda _: (200, json.dumps(listing).encode()))
    observed = read_sink(url, "run/1 x")

    assert [i.tobytes().hex() for i in observed.ids] == [A, B]
    assert (observed.spans.tolist(), observed.unique_spans.tolist()) == ([5, 3], [5, 2])
    assert asked_of(serve)[0][0] == "/honua/runs/run%2F1%20x/traces"


def test_empty_sink_listing(serve: Serve) -> None:
    """A run the sink has nothing of is an empty listing."""
    observed = read_sink(serve(lambda _: (200, b'{"traces": [], "complete": true}')), RUN)

    assert observed.ids.shape == (0, 16)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"broken\nvery", "HTTP 500 broken; expected HTTP 200"),
        (200, b"<html>", "'<html>'; expected JSON"),
        (200, b"[]", "'[]'; expected a JSON object"),
        (200, b"{}", "KeyError 'traces'; expected"),
        (200, b'{"traces": [["0a", 1, 1]], "complete": true}', "ValueError"),
        (200, b'{"traces": [["zz", 1, 1]], "complete": true}', "ValueError"),
        (200, b'{"traces": [[1, 1]], "complete": true}', "ValueError"),
        (200, b'{"traces": [], "complete": false}', "an incomplete listing"),
        (302, b"http://127.0.0.1:1/", "HTTP 302"),
    ],
)
def test_wrong_sink_answers(serve: Serve, status: int, body: bytes, message: str) -> None:
    """Whatever else comes back is an error that shows it; a redirect is not followed."""
    url = serve(lambda _: (status, body))

    with pytest.raises(RemoteError) as caught:
        read_sink(url, RUN)
    assert f"{url}/honua/runs/run-1/traces: " in str(caught.value)
    assert message in str(caught.value)


def test_unreachable() -> None:
    """Nobody listening is an error in one line."""
    with pytest.raises(RemoteError, match="Connection refused"):
        read_sink("http://127.0.0.1:1", RUN)


def tempo(path: str) -> Answer:
    page = urlsplit(path).path
    if page == "/ready":
        return 200, b"ready"
    if page == "/api/metrics/query":
        return 200, (DATA / "observed-tempo-v3.0.3-metrics-query.json").read_bytes()
    if page == f"/api/v2/traces/{TRACE}":
        text = (DATA / "observed-tempo-v3.0.3-trace-v2.json").read_text()
        return 200, text.replace('"loadtest.run"', '"loadtest.run.id"').encode()
    if page.startswith("/api/v2/traces/0a"):
        return 200, (DATA / "observed-tempo-v3.0.3-trace-v2-missing.json").read_bytes()
    return 404, b""


def test_tempo_count_and_sample(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tempo v3.0.3's own answers: the count by query, found traces by id; missing ones by 200 and by 404."""
    monkeypatch.setenv("HONUA_TEMPO_TENANT", "team-a")
    monkeypatch.setenv("HONUA_TEMPO_TOKEN", "s3cret")
    sample = ids_of(TRACE, A, B)
    observed = read_tempo(serve(tempo), Question("fixture-1", sample, 100, 200))

    assert [i.tobytes().hex() for i in observed.ids] == [TRACE]
    assert (observed.spans.tolist(), observed.unique_spans.tolist(), observed.total_spans) == ([4], [4], 800)
    assert (False, sample.tolist()) == (observed.complete, observed.asked.tolist())
    path, headers = next((path, headers) for path, headers in asked_of(serve) if "metrics" in path)
    query = {
        "q": ['{ resource."loadtest.run.id" = "fixture-1" } | count_over_time()'],
        "start": ["100"],
        "end": ["200"],
    }
    assert query == parse_qs(urlsplit(path).query)
    assert (headers["x-scope-orgid"], headers["authorization"]) == ("team-a", "Bearer s3cret")


def test_tempo_counts_only_the_run(serve: Serve) -> None:
    """A trace found by id whose resources belong to another run does not count; quotes in a run id are escaped."""
    observed = read_tempo(serve(tempo), Question('x"y\\z', ids_of(TRACE), 100, 200))

    assert len(observed.ids) == 0
    query = parse_qs(urlsplit(next(path for path, _ in asked_of(serve) if "metrics" in path)).query)["q"][0]
    assert '= "x\\"y\\\\z" }' in query


def trace_with(trace_id: bytes) -> bytes:
    spans = [{"traceId": base64.b64encode(trace_id).decode(), "spanId": base64.b64encode(bytes(8)).decode()}]
    resource = {"attributes": [{"key": "loadtest.run.id", "value": {"stringValue": RUN}}]}
    return json.dumps({"trace": {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}}).encode()


@pytest.mark.parametrize(
    ("count", "trace", "message"),
    [
        ((200, b'{"series": [], "metrics": {}}'), (500, b"no querier"), "HTTP 500 no querier"),
        ((200, b"{}"), (200, b"{}"), "a trace with ids in base64"),
        ((200, b"{}"), (200, trace_with(bytes(15))), "a trace with ids in base64"),
        ((200, b'{"series": [5]}'), (404, b""), "the result of a TraceQL metrics query"),
        ((200, b'{"series": [], "status": "PARTIAL", "message": "too many"}'), (404, b""), "partial count (too many)"),
        ((400, b"invalid TraceQL query: parse error"), (404, b""), "HTTP 400 invalid TraceQL query: parse error"),
    ],
)
def test_wrong_tempo_answers(serve: Serve, count: Answer, trace: Answer, message: str) -> None:
    """Errors and nonsense from Tempo are shown, whichever request they answer."""
    url = serve(lambda path: count if "metrics" in path else trace)

    with pytest.raises(RemoteError) as caught:
        read_tempo(url, Question(RUN, ids_of(A), 1, 2))
    assert message in str(caught.value)


def test_an_answer_that_trickles_in_is_given_up() -> None:
    """The time allowed is for the whole answer, not for each byte of it."""

    def trickle(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer, suppress(OSError):
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(200):
                peer.sendall(b" ")
                sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Thread(target=trickle, args=(listener,))
        server.start()
        with pytest.raises(RemoteError, match=r"no full answer in 0\.3 s"):
            get(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=0.3)
        server.join()


# --- the option ---


def test_a_url_is_told_apart_by_what_answers(serve: Serve) -> None:
    """The sink says that it is one; otherwise a ready Tempo is asked; otherwise the option is wrong."""
    sink = {"/honua/ready": b"ok", f"/honua/runs/{RUN}/traces": json.dumps({"traces": [], "complete": True}).encode()}
    question = Question("fixture-1", ids_of(TRACE), 1, 2)

    url = serve(lambda path: (200, sink[path]) if path in sink else (404, b""))
    assert parse_observed(f"{url}/")(Question(RUN)).kind == "sink"
    assert parse_observed(serve(tempo))(question).kind == "tempo"
    with pytest.raises(InputError, match="neither an embedded sink"):
        parse_observed(serve(lambda _: (404, b"")))(question)


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    """Blocks by their meta.json at any of three depths, files by their ending."""
    assert parse_observed(str(DATA / "blocks"))(Question(RUN)).kind == "blocks"
    assert parse_observed(str(DATA / "blocks" / "vParquet4-shop"))(Question(RUN)).kind == "blocks"
    (tmp_path / "kept.jsonl").write_text(GOOD)
    assert parse_observed(str(tmp_path / "kept.jsonl"))(Question(RUN)).kind == "file"


@pytest.mark.parametrize("text", ["", "nowhere.json", "http://", "ftp://x", "http://u:p@x:3200", "http://x:y", "."])
def test_wrong_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What is neither URL, folder of blocks nor file is refused, and a password in it is not repeated."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match="--observed: got") as caught:
        parse_observed(text)
    assert "u:p" not in str(caught.value)


def test_a_token_no_header_can_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token with a line break is refused without being shown."""
    monkeypatch.setenv("HONUA_TEMPO_TOKEN", "s3cret\nX: y")

    with pytest.raises(InputError, match=r"HONUA_TEMPO_TOKEN: got '\*\*\*'"):
        read_sink("http://127.0.0.1:1", RUN)
