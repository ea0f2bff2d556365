"""The main job from end to end on the embedded stack, as the commands a user would type.

Every step is a process of its own, shown before it runs, with its output kept in a log and its
progress on the screen; whatever was started is ended, also when a step fails or the user interrupts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.error import URLError
from urllib.request import urlopen

from loadgen.errors import InputError, RemoteError
from loadgen.stack.process import free_ports

ROOT = Path(__file__).parents[2]
SAMPLER = ROOT / "compose/otelcol/head.yaml"
RATE = "60/s"
TRAFFIC = "1000rps"
READY_S, STOP_S = 15.0, 15.0
MOST_DOUBTS = 3
_COMMANDS = {"loadgen.cli": "honua-load", "planner.cli": "honua-plan", "reports.cli": "honua-report"}

Show = Callable[[str], bool]


def run_demo(folder: Path, seconds: int) -> int:
    """Load, audit, report, plan into ``folder``; the exit code is that of the first step that failed, or 0."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--out", str(folder), f"must be a folder to write to ({error.strerror})") from error
    run_id = time.strftime("demo-%Y%m%d-%H%M%S", time.gmtime())
    run, sizing, page = folder / "runs" / run_id, folder / "sizing.html", folder / "run.html"
    began_s = time.monotonic()
    with (folder / "demo.log").open("w", encoding="utf-8") as log:
        with _sink(folder) as url:
            code = _step("load", _load(folder, run_id, url, seconds), log, lambda line: "honua: " in line)
            audit = ["loadgen.cli", "audit", str(run), "--collector-config", str(SAMPLER), "--observed", url]
            code = code or _step("audit", audit, log, lambda line: line.startswith("audit of"))
        code = code or _step("report", ["reports.cli", str(run), "--out", str(page)], log)
        plan = ["planner.cli", "--traffic", TRAFFIC, "--out", str(sizing), "--json", str(folder / "sizing.json")]
        code = code or _step("plan", plan, log)
    if code:
        print(f"demo: this step ended with exit code {code}; all output is in {log.name}", file=sys.stderr)
        return code
    print("\n".join(_summary(folder, log.name)))
    print(f"\nSizing report  {sizing}\nRun report     {page}\n\nDone in {time.monotonic() - began_s:.0f} s.")
    return 0


def _load(folder: Path, run_id: str, url: str, seconds: int) -> list[str]:
    return [
        *("locust", "-f", str(ROOT / "scenarios/deploy.py"), "--headless", "--only-summary", "--rate", RATE),
        *("--run-time", f"{seconds}s", "--otlp-endpoint", url, "--run-id", run_id),
        *("--runs-dir", str(folder / "runs"), "--observe"),
        *("--collector-metrics", f"{url}/metrics", "--tempo-metrics", ""),
    ]


def _step(name: str, arguments: Sequence[str], log: IO[str], show: Show = lambda _: False) -> int:
    """Run a step; its output goes to the log, and lines worth showing to the screen as they come."""
    print(f"\n== {name}: $ {_typed(arguments)}", flush=True)
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        for line in process.stdout or ():
            log.write(line)
            if show(line):
                print(f"   {line.rstrip().rpartition('honua: ')[2]}", flush=True)
    return process.returncode


def _typed(arguments: Sequence[str]) -> str:
    """The command as a user would type it."""
    words = [_COMMANDS.get(arguments[0], arguments[0]), *arguments[1:]]
    return " ".join(word.removeprefix(f"{ROOT}/") or "''" for word in words)


def _summary(folder: Path, log: str) -> Iterator[str]:
    """What a reader has to know, from the plan's own words and the log's ledger."""
    plan: dict[str, Any] = json.loads((folder / "sizing.json").read_text("utf-8"))
    lines = Path(log).read_text("utf-8").splitlines()
    ledger = lines.index("Ledger") if "Ledger" in lines else len(lines)
    yield f"\n{'-' * 78}"
    yield from (line for line in lines[ledger : ledger + 20] if line.startswith(("Ledger", " ", "Verdict")))
    yield f"\n{plan['first_line']}\n{plan['verdict']}"
    yield "\nDoubts"
    yield from (f"  - {doubt['what']}: {doubt['effect']}" for doubt in plan["doubts"][:MOST_DOUBTS])


@contextmanager
def _sink(folder: Path) -> Iterator[str]:
    """The embedded stack on a free port, as long as the block lasts."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    arguments = ["loadgen.cli", "sink", "--port", str(port), "--collector-config", str(SAMPLER)]
    print(f"== stack: $ {_typed(arguments)}", flush=True)
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
