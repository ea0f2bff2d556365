"""``make bench``: what a span costs the generator, and how long the planner takes.

CPU seconds, not wall time: machines are shared. Start-up is left out of the send path by reading
the process's CPU time when the first spans have arrived and again near the end of the run.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from loadgen.measure.host import read_process
from loadgen.measure.http import parse_address
from loadgen.measure.quantities import read_quantities
from loadgen.measure.scrape import fetch_page
from loadgen.memory import keep_freed_memory
from loadgen.otlp import compile_pieces, encode, for_run, lay_out
from loadgen.stack.collector import find_collector, start_collector
from loadgen.synth import compile_topology, draw
from loadgen.topology import load_topology

ROOT = Path(__file__).parents[2]
REQUEST_SPANS = 2000
REPEATS = 7
SETTLE_S, MEASURE_S = 4.0, 15.0
Row = tuple[str, str]


def median_cpu_us(work: Callable[[], object], spans: int) -> float:
    """Median CPU of ``work`` per span [us]."""
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return float(np.median(times)) / spans * 1e6


def bench_making(name: str) -> list[Row]:
    """Synthesis and encoding alone, in this process."""
    program = compile_topology(load_topology(name))
    pieces = for_run(compile_pieces(program), 1, "bench")
    starts = np.arange(435, dtype=np.int64) * 2_300_000 + 1_800_000_000 * 10**9  # a second at 20,000 spans/s
    batch = draw(program, 1, "bench", 0, starts)
    cuts = np.arange(0, batch.spans, REQUEST_SPANS)
    requests, encoded = range(len(cuts) - 1), int(cuts[-1])
    layout = lay_out(pieces, batch, cuts)
    size_bytes = sum(len(encode(layout, i)) for i in requests) / encoded
    synth_us = median_cpu_us(lambda: draw(program, 1, "bench", 0, starts), batch.spans)
    layout_us = median_cpu_us(lambda: lay_out(pieces, batch, cuts), encoded)
    encode_us = median_cpu_us(lambda: [encode(layout, i) for i in requests], encoded)
    total_us = synth_us + layout_us + encode_us
    per_s = 1e6 / total_us
    return [
        (f"{name}: batch", f"{batch.spans:,} spans, {size_bytes:.0f} B/span, {REQUEST_SPANS:,} a request by resource"),
        (f"{name}: synthesis", f"{synth_us:.3f} us/span"),
        (f"{name}: encoding", f"{layout_us + encode_us:.3f} us/span"),
        (f"{name}: both", f"{total_us:.3f} us/span = {per_s:,.0f} spans per CPU-second"),
    ]


class Reading(NamedTuple):
    """What a run has used and delivered at one moment."""

    cpu_s: float
    rss_bytes: int
    accepted_spans: float
    time_s: float


def bench_sending(rate: int) -> list[Row]:
    """The whole send path of one Locust process into the real Collector with a nop exporter."""
    binary = find_collector()
    if binary is None:
        return [(f"send at {rate:,} spans/s", "not measured: no Collector (make collector)")]
    with (
        tempfile.TemporaryDirectory() as folder,
        start_collector(binary, ROOT / "compose/otelcol/test-nop.yaml", Path(folder)) as collector,
    ):
        command = [
            *(sys.executable, "-m", "locust", "-f", str(ROOT / "scenarios/checkout.py"), "--headless"),
            *(
                "--only-summary",
                "--rate",
                f"{rate}spans/s",
                "--run-time",
                f"{SETTLE_S + MEASURE_S + 2:.0f}s",
                "--runs-dir",
                folder,
            ),
            *("--otlp-endpoint", collector.otlp_http, "--spans-per-request", str(REQUEST_SPANS)),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            first, last = _readings(process.pid, collector.metrics_url)
            output, _ = process.communicate(timeout=60)
    return _sending_rows(rate, first, last, process.returncode, output)


def _readings(pid: int, url: str) -> tuple[Reading, Reading]:
    address = parse_address(url)

    def read() -> Reading:
        use = read_process(pid)
        accepted = read_quantities(fetch_page(address, {}), "collector")["receiver_accepted_spans"]
        return Reading(use.cpu_s, use.rss_bytes, accepted, time.monotonic())

    deadline_s = time.monotonic() + 30
    while read().accepted_spans == 0 and time.monotonic() < deadline_s:
        time.sleep(0.1)
    time.sleep(SETTLE_S)
    first = read()
    time.sleep(MEASURE_S)
    return first, read()


def _sending_rows(rate: int, first: Reading, last: Reading, code: int, output: str) -> list[Row]:
    spans = last.accepted_spans - first.accepted_spans
    delivered = spans / (last.time_s - first.time_s)
    verdict = next((line for line in output.splitlines() if line.startswith("Verdict")), "no verdict")
    name = f"send at {rate:,} spans/s"
    cost_us = (last.cpu_s - first.cpu_s) / spans * 1e6
    return [
        (f"{name}: generator CPU", f"{cost_us:.3f} us/span, whole process, start-up left out"),
        (f"{name}: delivered", f"{delivered:,.0f} spans/s over {MEASURE_S:.0f} s ({delivered / rate - 1:+.2%})"),
        (f"{name}: RSS", f"{first.rss_bytes / 2**20:.0f} MiB, then {last.rss_bytes / 2**20:.0f} MiB"),
        (f"{name}: exit code {code}", verdict.removeprefix("Verdict: ")),
    ]


def bench_commands() -> list[Row]:
    """Wall time of whole commands: the first start, and the median of the next five."""
    binaries = Path(sys.executable).parent
    commands: Sequence[Sequence[str]] = (
        ["honua-plan", "--traffic", "1000rps"],
        ["honua-plan", "--help"],
        ["honua-load", "--help"],
        ["honua-report", "--help"],
    )
    rows = []
    for command in commands:
        times = []
        for _ in range(6):
            begin = time.perf_counter()
            subprocess.run([str(binaries / command[0]), *command[1:]], check=True, capture_output=True)
            times.append(time.perf_counter() - begin)
        rows.append((" ".join(command), f"{times[0]:.2f} s first, then {np.median(times[1:]):.2f} s (median of five)"))
    return rows


def main() -> None:
    """Print the table."""
    keep_freed_memory()
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, {versions}")
    for part in (
        lambda: bench_making("checkout"),
        lambda: bench_making("deploy"),
        lambda: bench_sending(20_000),
        lambda: bench_sending(100_000),
        bench_commands,
    ):
        for name, value in part():
            print(f"{name:<40}{value}", flush=True)


if __name__ == "__main__":
    main()
