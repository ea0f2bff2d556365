"""One process that is interrupted, ended, killed, or loses its run file."""

from __future__ import annotations

import signal
import sqlite3
import time
from typing import Any

import pytest

CASES: dict[str, dict[str, Any]] = {
    "Ctrl-C": {"arguments": []},
    "SIGTERM": {"arguments": []},
    "killed": {"arguments": ["--observe", "--collector-metrics", "{url}/metrics", "--tempo-metrics", ""]},
    "deleted": {"arguments": []},
    "held": {"arguments": []},
}


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_a_run_in_order(number: int, name: str, cases: Any) -> None:
    """Ctrl-C and SIGTERM stop the schedule, let what is in flight end, and leave a settled ledger and a verdict."""
    case = cases[name]
    case.locust.until(lambda: case.target.requests > 8)
    case.locust.signal_group(number)
    case.locust.finished(0)
    run = case.settled()
    assert (run.code, run.meta["stop_reason"]) == (0, name)


def test_a_killed_process_leaves_a_file_that_balances(cases: Any) -> None:
    """After kill -9 the file is readable, has no verdict, and its ledger is behind by a second or so at most."""
    case = cases["killed"]
    case.locust.until(lambda: case.target.requests > 30)
    case.locust.signal(signal.SIGKILL)
    counted = sum(case.target.spans.values())
    assert case.locust.exit_code() == -signal.SIGKILL
    deadline_s = time.monotonic() + 5
    while case.locust.left() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert case.locust.left() == [], "the observer ends with its run"
    with case.locust.run() as file:
        counts = file.counts()
        assert "verdict" not in file.meta()
        assert file.blocks()[0].spans > 0
    assert (counts.balances, counts.settled().balances) == (True, True)
    assert counted - 2000 * 2 < counts.accepted <= counted


def test_a_run_file_that_is_deleted_is_said_once_and_spoils_the_run(cases: Any) -> None:
    """Writing on into a file without a name would lose the run in silence: one line, exit 3."""
    case = cases["deleted"]
    case.locust.until(lambda: case.target.requests > 5)
    for path in case.locust.runs_dir.rglob("run.sqlite*"):
        path.unlink()
    case.locust.until(lambda: "has been deleted or replaced" in case.locust.log)
    time.sleep(1.2)  # the next write finds the same
    case.locust.signal(signal.SIGTERM)
    assert case.locust.finished(3).count("has been deleted or replaced") == 1
    assert "Verdict: not valid: the run file has been deleted or replaced" in case.locust.out


def test_a_run_file_that_somebody_holds_is_written_when_it_is_let_go(cases: Any) -> None:
    """Another process that locks the file for seconds disturbs neither the schedule nor the record."""
    case = cases["held"]
    case.locust.until(lambda: case.target.requests > 5)
    holder = sqlite3.connect(next(case.locust.runs_dir.rglob("run.sqlite")), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    before = case.target.requests
    time.sleep(2)
    during = case.target.requests - before
    holder.execute("ROLLBACK")
    holder.close()
    case.locust.signal(signal.SIGTERM)
    case.locust.finished(0)
    assert case.settled().code == 0
    assert during >= 15
