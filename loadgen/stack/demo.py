"""The main job from end to end on the embedded stack, as the commands a user would type.

Every step is a process of its own, shown before it runs; whatever was started is ended, also when
a step fails or the user interrupts.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from loadgen.errors import RemoteError
from loadgen.stack.process import free_ports

ROOT = Path(__file__).parents[2]
SAMPLER = ROOT / "compose/otelcol/head.yaml"
RATE = "60/s"
TRAFFIC = "1000rps"
READY_S, STOP_S = 15.0, 15.0


def run_demo(folder: Path, seconds: int) -> int:
    """Load, audit, plan, report into ``folder``; the exit code is that of the first step that failed, or 0."""
    folder.mkdir(parents=True, exist_ok=True)
    run_id = time.strftime("demo-%Y%m%d-%H%M%S", time.gmtime())
    run = folder / "runs" / run_id
    started_s = time.monotonic()
    with _sink(folder) as url:
        load = [
            *("locust", "-f", str(ROOT / "scenarios/deploy.py"), "--headless", "--only-summary", "--rate", RATE),
            *("--run-time", f"{seconds}s", "--otlp-endpoint", url, "--run-id", run_id),
            *("--runs-dir", str(folder / "runs"), "--observe"),
            *("--collector-metrics", f"{url}/metrics", "--tempo-metrics", ""),
        ]
        audit = ["loadgen.cli", "audit", str(run), "--collector-config", str(SAMPLER), "--observed", url]
        code = _steps(
            [
                (f"load: deployments at {RATE} for {seconds} s into the embedded stack", load),
                ("audit: what arrived against the exact set that must arrive", audit),
            ]
        )
    sizing, page = folder / "sizing.html", folder / "run.html"
    code = code or _steps(
        [
            ("report: the run", ["reports.cli", str(run), "--out", str(page)]),
            (f"plan: what {TRAFFIC} take", ["planner.cli", "--traffic", TRAFFIC, "--out", str(sizing)]),
        ]
    )
    if not code:
        print(f"\nSizing report  {sizing}\nRun report     {page}\nDone in {time.monotonic() - started_s:.0f} s.")
    return code


def _steps(steps: Sequence[tuple[str, list[str]]]) -> int:
    for title, arguments in steps:
        print(f"\n== {title}\n   $ {_shown(arguments)}", flush=True)
        code = subprocess.run([sys.executable, "-m", *arguments], check=False).returncode  # noqa: S603
        if code:
            print(f"demo: this step ended with exit code {code}", file=sys.stderr)
            return code
    return 0


def _shown(arguments: Sequence[str]) -> str:
    """The command as a user would type it."""
    names = {"loadgen.cli": "honua-load", "planner.cli": "honua-plan", "reports.cli": "honua-report"}
    words = [names.get(arguments[0], arguments[0]), *arguments[1:]]
    return " ".join(word.removeprefix(f"{ROOT}/") or "''" for word in words)


@contextmanager
def _sink(folder: Path) -> Iterator[str]:
    """The embedded stack on a free port, as long as the block lasts."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    arguments = ["loadgen.cli", "sink", "--port", str(port), "--collector-config", str(SAMPLER)]
    print(f"== stack: the embedded sink at {url}\n   $ {_shown(arguments)}", flush=True)
    with (folder / "sink.log").open("wb") as log:
        command = [sys.executable, "-m", *arguments, "--data-dir", str(folder / "blocks")]
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
        try:
            _await(url, process)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            with urlopen(f"{url}/ready", timeout=1) as answer:  # noqa: S310  (our own loopback URL)
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RemoteError(url, "the embedded stack did not become ready", f"an answer on /ready within {READY_S:.0f} s")
