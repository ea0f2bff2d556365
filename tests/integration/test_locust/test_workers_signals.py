"""Master and workers that are interrupted, ended or killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

FORKED = ["--processes", "2", "--master-bind-port", "{port}", "--master-port", "{port}"]
CASES: dict[str, dict[str, Any]] = {
    "SIGTERM": {"arguments": FORKED, "delay_s": 0.2},
    "Ctrl-C": {"arguments": FORKED, "delay_s": 0.2},
    "leaving worker": {"arguments": FORKED},
    "killed master": {"arguments": FORKED},
}


@pytest.mark.parametrize("name", ["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_master_and_workers_in_order(name: str, cases: Any) -> None:
    """SIGTERM to the master, Ctrl-C to all of the terminal's processes: nothing is lost, nobody is left."""
    case = cases[name]
    case.locust.until(lambda: case.target.requests > 10)
    if name == "SIGTERM":
        case.locust.signal(signal.SIGTERM)
    else:
        case.locust.signal_group(signal.SIGINT)
    case.locust.finished(0)
    run = case.settled()
    assert (run.code, run.meta["stop_reason"], run.meta["silent_workers"]) == (0, name, [])
    assert case.locust.left() == []


def test_a_worker_that_leaves_spoils_the_run_but_not_the_ledger(cases: Any) -> None:
    """A worker that is told to end says all it sent; its share was not offered from then on (exit 3)."""
    case = cases["leaving worker"]
    case.locust.until(lambda: case.target.requests > 10)
    os.kill(case.locust.children[0], signal.SIGTERM)
    case.locust.until(lambda: "1 workers ready" in case.locust.log or "quit. 0 workers ready" in case.locust.log)
    time.sleep(3.5)
    case.locust.signal(signal.SIGTERM)
    case.locust.finished(3)
    assert case.settled().text.endswith(" left before the end")


def test_workers_of_a_killed_master_stop(cases: Any) -> None:
    """A load that nobody owns any more must not go on: the workers end by themselves, the file balances."""
    case = cases["killed master"]
    case.locust.until(lambda: case.target.requests > 10)
    children = case.locust.children
    case.locust.signal(signal.SIGKILL)
    assert case.locust.exit_code() == -signal.SIGKILL
    deadline_s = time.monotonic() + 10
    while not all(map(_is_gone, children)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert [pid for pid in children if not _is_gone(pid)] == []
    with case.locust.run() as file:
        assert (file.counts().balances, "verdict" in file.meta()) == (True, False)


def _is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
