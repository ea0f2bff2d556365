"""Locust runs as a user starts them, each against a target in this process that counts every span.

Starting Locust takes a second or two of CPU, most of a run's time is waiting: so the runs of a module
(its ``CASES``) are all started at once, and each test waits for its own.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from types import MappingProxyType
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from loadgen.run import RunFile, open_run

ROOT = Path(__file__).parents[3]
CHECKOUT = ROOT / "scenarios" / "checkout.py"
RATE = "2000spans/s"
PATIENCE_S = 30.0
METRICS = b"# TYPE otelcol_receiver_accepted_spans_total counter\notelcol_receiver_accepted_spans_total 7\n"


class Target:
    """An OTLP/HTTP receiver that decodes every request; ``delay_s`` and ``status`` make it slow or unwilling."""

    def __init__(self) -> None:
        self.delay_s, self.status = 0.0, 200
        self.spans: Counter[str] = Counter()  # by run id
        self.span_ids: Counter[bytes] = Counter()
        self.requests = 0
        self.headers: list[dict[str, str]] = []
        self._lock, self._closing = Lock(), Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.target = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop answering."""
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Count a request's spans; the status to answer with."""
        self._closing.wait(self.delay_s)
        spans = [
            (_attribute(group.resource, "loadtest.run.id"), span.span_id)
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self.requests += 1
            self.headers.append(headers)
            if self.status == 200:
                self.spans.update(run_id for run_id, _ in spans)
                self.span_ids.update(span_id for _, span_id in spans)
        return self.status


def free_ports(number: int) -> list[int]:
    """TCP ports of the loopback address that nobody listens on right now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _attribute(resource: Any, key: str) -> str:
    return next((item.value.string_value for item in resource.attributes if item.key == key), "")


class _Server(ThreadingHTTPServer):
    target: Target
    block_on_close = False
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server: Any = self.server
        status = server.target.take(body, dict(self.headers))
        with suppress(ConnectionError):
            self._answer(status, b"\x0a\x00" if status == 200 else b"")

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/metrics" else 404, METRICS if self.path == "/metrics" else b"")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Locust:
    """A running ``locust``, in a process group of its own."""

    def __init__(self, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.runs_dir = folder / "runs"
        number = len(list(folder.glob("log-*.txt")))
        self._out, self._log = folder / f"out-{number}.txt", folder / f"log-{number}.txt"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HONUA_", "OTEL_", "LOCUST_"))}
        with self._out.open("wb") as out, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "locust", *arguments],
                cwd=folder,  # where no configuration file of Locust's is
                env=kept | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )

    def close(self) -> None:
        """Kill what is left of it."""
        # The group outlives its leader where a test killed that one alone.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def pid(self) -> int:
        """Of the process that was started: the only one, or the master."""
        return self._process.pid

    @property
    def out(self) -> str:
        """What it printed."""
        return self._out.read_text("utf-8")

    @property
    def log(self) -> str:
        """What it logged."""
        return self._log.read_text("utf-8")

    @property
    def children(self) -> list[int]:
        """Processes that it started and that still run."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started alone."""
        self._process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Send a signal to all of its processes, as a terminal does."""
        os.killpg(self._process.pid, number)

    def exit_code(self, patience_s: float = PATIENCE_S) -> int:
        """How it ended."""
        return self._process.wait(patience_s)

    def finished(self, code: int) -> str:
        """Its log, once it has ended with this exit code and without a traceback."""
        assert self.exit_code() == code, self.log
        assert "Traceback" not in self.log, self.log
        return self.log

    def until(self, holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        """Return once ``holds``; fail when it does not in time, or when the process ends before."""
        deadline_s = time.monotonic() + patience_s
        while not holds():
            assert self._process.poll() is None, f"ended with {self._process.returncode}: {self.log}"
            assert time.monotonic() < deadline_s, f"waited in vain: {self.log}"
            time.sleep(0.02)

    def listening(self) -> set[tuple[str, int]]:
        """IPv4 addresses and ports that anybody listens on, seen from here."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
        ends = [row[1].split(":") for row in rows if row[3] == "0A"]
        return {(socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)) for address, port in ends}

    def left(self) -> list[str]:
        """Command lines of what it started and what still runs: its group, and whoever was told of its folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                group = (process / "stat").read_text().rpartition(")")[2].split()[2]
                if command and (int(group) == self._process.pid or str(self.folder) in command):
                    found.append(command)
        return found

    def run_ids(self) -> list[str]:
        """Of all its runs, in order."""
        return sorted(path.parent.name for path in self.runs_dir.glob("*/run.sqlite"))

    def run(self, run_id: str = "") -> RunFile:
        """A run's file; of the only run if no id is given."""
        if not run_id:
            (run_id,) = self.run_ids()
        return open_run(self.runs_dir / run_id)


class Settled:
    """What a finished run's file and printed ledger say, checked to agree with each other and the target."""

    def __init__(self, locust: Locust, target: Target, run_id: str = "") -> None:
        with locust.run(run_id) as run:
            self.meta = run.meta()
            self.spans, self.traces = run.counts(), run.counts("traces")
            self.blocks = run.blocks()
            self.trouble = run.trouble()
            self.rates = run.query("SELECT * FROM rates ORDER BY time_s")
        self.text: str = self.meta["verdict"]["text"]
        self.code: int = self.meta["verdict"]["exit_code"]
        assert (self.spans.balances, self.traces.balances) == (True, True)
        assert (self.spans.settled(), self.traces.settled()) == (self.spans, self.traces), "nothing may be left to move"
        assert f"Verdict: {self.text}" in locust.out
        assert re.search(rf"accepted +{self.spans.accepted:,} +{self.traces.accepted:,}\n", locust.out)
        assert "balances: yes" in locust.out
        assert target.spans[self.meta["run_id"]] == self.spans.accepted
        assert set(target.span_ids.values()) <= {1}, "a span was sent twice"
        assert sum(block.spans for block in self.blocks) == self.spans.offered, "every span drawn is accounted for"


class Case:
    """One run of a module's CASES: the process, its target, and ports that were free.

    Args:
        folder: For all its files.
        wanted: ``arguments`` (with places such as {url} or {port}), ``environment``, ``files`` to make before,
            ``delay_s`` of the target's answers, and whether there is a page (``web``) and a rate (``rated``).
    """

    def __init__(self, folder: Path, wanted: Mapping[str, Any]) -> None:
        self.folder = folder
        self.target = Target()
        self.target.delay_s = wanted.get("delay_s", 0.0)
        self.web, port, self.unused = free_ports(3)
        self.places = {"url": self.target.url, "web": self.web, "port": port, "unused": self.unused, "folder": folder}
        folder.mkdir()
        for name, content in wanted.get("files", {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content.replace("{folder}", str(folder)), "utf-8")
        given = ["-f", str(CHECKOUT), "--runs-dir", str(folder / "runs"), "--otlp-endpoint", self.target.url]
        given += ["--web-port", str(self.web)] if wanted.get("web") else ["--headless", "--only-summary"]
        given += ["--rate", RATE] if wanted.get("rated", True) else []
        self.locust = self.start([*given, *wanted["arguments"]], wanted.get("environment", {}))

    def start(self, arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> Locust:
        """Start Locust in this run's folder."""
        return Locust(self.folder, [argument.format(**self.places) for argument in arguments], environment)

    def settled(self, run_id: str = "") -> Settled:
        """What the finished run says, checked to agree with itself and the target."""
        return Settled(self.locust, self.target, run_id)

    def close(self) -> None:
        """End what was started."""
        self.locust.close()
        self.target.close()


@pytest.fixture(scope="module", name="cases")
def _cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """Every run of the module's CASES by name, started all at once."""
    folder = tmp_path_factory.mktemp("locust")
    with ExitStack() as running:
        cases = {}
        for name, wanted in request.module.CASES.items():
            cases[name] = Case(folder / name.replace(" ", "-"), wanted)
            running.callback(cases[name].close)
        yield cases
