"""The observer: what it writes, and that no target stops it."""

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadgen.errors import InputError
from loadgen.measure.http import parse_address
from loadgen.measure.observe import Target, observe, run_observer, watch
from loadgen.measure.probes import HostProbe, PageProbe, Probe, ProcessProbe, Taken
from loadgen.measure.scrape import Clock
from loadgen.run import create_run, open_run
from loadgen.run.file import SampleRow

DATA = Path(__file__).parents[1] / "data"
COLLECTOR_PAGE = gzip.decompress((DATA / "metrics-collector-v0.161.0.txt.gz").read_bytes())
TEMPO_PAGE = gzip.decompress((DATA / "metrics-tempo-v3.0.3.txt.gz").read_bytes())
SINK_PAGE = b'honua_sink_info{version="0.1"} 1\nprocess_resident_memory_bytes 5\ntempo_x 1\n' + COLLECTOR_PAGE


class FakeClock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def now_s(self) -> float:
        """Now."""
        return self.time_s

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.time_s += seconds


class Pages(BaseHTTPRequestHandler):
    """Gives the server's pages one after the other, the last one for ever."""

    def do_GET(self) -> None:
        """Give the next page."""
        pages = self.server.pages  # type: ignore[attr-defined]
        page = pages.pop(0) if len(pages) > 1 else pages[0]
        self.send_response(200 if isinstance(page, bytes) else page)
        self.end_headers()
        self.wfile.write(page if isinstance(page, bytes) else b"")

    def log_message(self, *_: object) -> None:
        """Tests stay quiet."""


@contextmanager
def serving(*pages: bytes | int) -> Iterator[str]:
    """A server of these pages (bytes) and refusals (status codes)."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        server.daemon_threads = False
        server.pages = list(pages)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Slow:
    """A probe that notes when it was looked at and takes its time."""

    def __init__(self, *takes_s: float) -> None:
        self.takes_s, self.times_s = list(takes_s), list[float]()

    def take(self, clock: Clock) -> Taken:
        """Look once."""
        self.times_s.append(clock.now_s())
        clock.sleep(self.takes_s.pop(0) if self.takes_s else 0.0)
        return Taken(self.times_s[-1], "process")


def look(run: Path, for_s: float, *probes: Probe) -> None:
    """Look each second for ``for_s`` of the clock's time."""
    clock = FakeClock()
    watch(run, probes, 1.0, lambda: clock.time_s >= 1000 + for_s, clock)


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Path:
    create_run(tmp_path, "r1").close()
    return tmp_path / "r1"


def rows(run: Path, statement: str) -> list[tuple[object, ...]]:
    with open_run(run) as opened:
        return opened.query(statement)


def observed(run: Path, for_s: float, *targets: Target) -> None:
    look(run, for_s, *(PageProbe(one.system, parse_address(one.url), {}, 1.0) for one in targets))


def test_both_pages_are_written_under_our_names(run: Path) -> None:
    """Each look writes every quantity with its source, labels, unit and time, and the releases seen."""
    with serving(COLLECTOR_PAGE) as collector, serving(TEMPO_PAGE) as tempo:
        observed(run, 2, Target("collector", collector), Target("tempo", f"{tempo}/metrics"))
    with open_run(run) as opened:
        accepted = opened.samples("collector", "receiver_accepted_spans")
        received = opened.samples("tempo", "received_spans")
        version = opened.samples("collector", "version")

    assert [row.time_s for row in received] == [1000.0, 1001.0, 1002.0]
    assert SampleRow(1000.0, "tempo", "received_spans", {"tenant": "single-tenant"}, 800.0, "spans") == received[0]
    assert sum(row.value for row in accepted) == 3 * 6 * 80000
    assert accepted[0].labels == {"receiver": "otlp/a", "transport": "http"}
    assert version[0].labels == {"version": "0.161.0"}
    assert rows(run, "SELECT * FROM gaps") == []


def test_sink_is_never_taken_for_the_collector_or_tempo(run: Path) -> None:
    """The embedded stack's page counts under its own source, and its process is told once."""
    with serving(SINK_PAGE) as sink:
        observed(run, 0, Target("collector", sink), Target("tempo", sink))
    sources = rows(run, "SELECT DISTINCT source FROM samples")
    told_as = rows(run, "SELECT labels FROM samples WHERE quantity = 'rss_bytes'")

    assert sources == [("sink",)]
    assert told_as == [('{"as": "collector"}',)]


def test_trouble_leaves_gaps_and_looking_goes_on(run: Path) -> None:
    """Down, nonsense, an error, the wrong system: each is a gap with its reason, and then all is well again."""
    with serving(503, b"<html>Sign in</html>\n", b"node_load1 1\n", TEMPO_PAGE, COLLECTOR_PAGE) as url:
        observed(run, 5, Target("collector", url))
    gaps = rows(run, "SELECT time_s, source, reason FROM gaps ORDER BY time_s")
    seen = rows(run, "SELECT DISTINCT time_s FROM samples ORDER BY time_s")

    assert gaps == [
        (1000.0, "collector", "HTTP 503 Service Unavailable; expected HTTP 200"),
        (1001.0, "collector", "an answer that begins '<html>Sign in</html>'; expected a Prometheus text page"),
        (1002.0, "collector", "a page without its names; expected the collector's metrics"),
        (1003.0, "collector", "the page of the other system (tempo); expected the collector's metrics"),
    ]
    assert seen == [(1004.0,), (1005.0,)]


def test_nobody_listens_is_a_gap_each_time(run: Path) -> None:
    """A target that is down is asked again at each look."""
    with serving(b"") as url:
        pass
    observed(run, 2, Target("tempo", url))

    assert rows(run, "SELECT reason FROM gaps") == [("Connection refused; expected a metrics page",)] * 3


def test_restart_is_noted(run: Path) -> None:
    """A process that runs for less time than before has restarted: its counters began again."""
    with serving(b"otelcol_process_uptime 90\n", b"otelcol_process_uptime 91\n", b"otelcol_process_uptime 2\n") as url:
        observed(run, 3, Target("collector", url))
    with serving(b"tempo_x 1\nprocess_start_time_seconds 5\n", b"tempo_x 1\nprocess_start_time_seconds 9\n") as url:
        observed(run, 2, Target("tempo", url))

    restarted = rows(run, "SELECT time_s, source FROM gaps WHERE reason LIKE 'restarted%'")
    assert restarted == [(1002.0, "collector"), (1001.0, "tempo")]


def test_looks_keep_to_their_times_and_missed_ones_are_left_out(run: Path) -> None:
    """A look that takes long delays none but those that fell into it."""
    probe = Slow(0.4, 2.5, 1.5)
    look(run, 7, probe)

    assert [round(time_s, 6) for time_s in probe.times_s] == [1000.0, 1001.0, 1004.0, 1006.0, 1007.0]


def test_one_more_look_after_the_stop(run: Path) -> None:
    """What the stack counted up to the end is seen: a stop between two looks is one more."""
    at_once, between = Slow(), Slow()
    look(run, 0, at_once)
    look(run, 1.5, between)

    assert at_once.times_s == [1000.0]
    assert [round(time_s, 6) for time_s in between.times_s] == [1000.0, 1001.0, 1001.6]


def test_process_and_machine_are_written(run: Path) -> None:
    """This process's memory and CPU come with its pid and name, the machine's beside them."""
    look(run, 1, ProcessProbe(os.getpid()), HostProbe())
    found = rows(run, "SELECT source, quantity, unit, COUNT(*) FROM samples GROUP BY 1, 2, 3 ORDER BY 1, 2")
    pids = rows(run, "SELECT DISTINCT json_extract(labels, '$.pid') FROM samples WHERE source = 'process'")

    assert found == [
        ("host", "available_bytes", "bytes", 2),
        ("host", "cores", "cores", 2),
        ("host", "cpu_busy_s", "s", 2),
        ("host", "memory_bytes", "bytes", 2),
        ("process", "cpu_s", "s", 2),
        ("process", "rss_bytes", "bytes", 2),
    ]
    assert pids == [(str(os.getpid()),)]


def test_pid_that_became_another_process(tmp_path: Path) -> None:
    """A pid used again is a gap, not the memory of a stranger."""
    fields = ["0"] * 19
    stat = tmp_path / "7" / "stat"
    stat.parent.mkdir()
    probe, clock = ProcessProbe(7, tmp_path), FakeClock()
    taken = []
    for started in ("100", "200"):
        stat.write_text(" ".join(["7 (x) S", *fields[1:], started, "4096", "10", "0"]))
        taken.append(probe.take(clock))
    stat.unlink()
    taken.append(probe.take(clock))

    assert [len(one.rows) for one in taken] == [2, 0, 0]
    assert taken[1].gap == "7: is another process now"
    assert str(taken[2].gap).startswith("7: No such file or directory")


@pytest.mark.parametrize(
    ("targets", "interval_s", "place"),
    [
        ([Target("tempo", "tempo:3200")], 1.0, "URL"),
        ([], 0.0, "--interval"),
        ([], -1.0, "--interval"),
        ([], float("nan"), "--interval"),
    ],
)
def test_wrong_use(run: Path, targets: list[Target], interval_s: float, place: str) -> None:
    """What cannot be observed is refused before anything is written."""
    with pytest.raises(InputError) as caught:
        observe(run, targets, interval_s, lambda: True, FakeClock())

    assert place == caught.value.place


def test_no_run_and_no_target(tmp_path: Path, run: Path) -> None:
    """A run that is not there, or nothing to look at, is wrong use."""
    with pytest.raises(InputError, match="must be a run's folder"):
        observe(tmp_path / "none", [], 1.0, lambda: True, FakeClock())
    with pytest.raises(InputError, match="needs a Collector's or Tempo's URL"):
        run_observer(run, None, None)


OBSERVER = """
import sys
from pathlib import Path
from loadgen.measure.observe import run_observer
run_observer(Path(sys.argv[1]), sys.argv[2], None, [int(sys.argv[3])], 0.1)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
print(child.pid, flush=True)
time.sleep(60)
"""


def await_samples(run: Path) -> None:
    give_up_s = time.monotonic() + 20
    while not rows(run, "SELECT 1 FROM samples WHERE source = 'collector' LIMIT 1"):
        assert time.monotonic() < give_up_s
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_observer_ends_in_order_on_a_signal(run: Path, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end it with exit code 0 after one more look, and the file stays readable."""
    with serving(COLLECTOR_PAGE) as url:
        process = subprocess.Popen([sys.executable, "-c", OBSERVER, str(run), url, str(os.getpid())])
        await_samples(run)
        process.send_signal(number)
        ended = process.wait(timeout=10)
    with open_run(run) as opened:
        told = opened.meta()["observe"]

    assert ended == 0
    assert {"interval_s": 0.1, "pids": [os.getpid()], "targets": {"collector": url}} == told


def test_observer_ends_with_its_parent(run: Path) -> None:
    """An observer whose parent was killed does not stay behind."""
    arguments = [OBSERVER, str(run), "http://127.0.0.1:9", str(os.getpid())]
    with serving(COLLECTOR_PAGE) as url:
        arguments[2] = url
        parent = subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        observer = int(parent.stdout.readline())
        await_samples(run)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        give_up_s = time.monotonic() + 10
        while Path(f"/proc/{observer}/stat").exists() and time.monotonic() < give_up_s:
            if Path(f"/proc/{observer}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break  # ended; nobody here to collect it
            time.sleep(0.05)

    assert time.monotonic() < give_up_s
