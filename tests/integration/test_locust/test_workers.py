"""Master and workers: every worker's last word is heard, and a worker that gives none is named."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

FORKED = ["--processes", "2", "--master-bind-port", "{port}", "--master-port", "{port}"]
HERE = ["--otlp-endpoint", "http://localhost:4318"]  # the default, so that -H names the target
CASES: dict[str, dict[str, Any]] = {
    "run time": {"arguments": [*FORKED, "--run-time", "4s"], "delay_s": 0.2},
    "killed worker": {"arguments": FORKED},
    "late": {"arguments": ["--master", "--master-bind-port", "{port}", "--expect-workers", "1", *HERE, "-H", "{url}"]},
}
WORKER = ["-f", str(Path(__file__).parents[3] / "scenarios/checkout.py"), "--worker", "--master-port", "{port}", *HERE]


def test_forked_workers_share_the_rate_and_all_they_sent_is_counted(cases: Any) -> None:
    """--processes 2 --run-time: half of the rate each, every span counted, although Locust loses last reports."""
    log = cases["run time"].locust.finished(0)
    run = cases["run time"].settled()
    assert (run.code, run.meta["silent_workers"], len(run.meta["workers"])) == (0, [], 2)
    assert run.meta["stop_reason"] == "run time"
    assert run.spans.sent == pytest.approx(2000 * 2.5, rel=0.25)
    traces = [sum(len(block.starts_ns) for block in run.blocks if block.worker == worker) for worker in (0, 1)]
    assert abs(traces[0] - traces[1]) < 50
    assert {block.block >> 40 for block in run.blocks} == {0, 1}
    assert re.search(r"\d s: asked 2,000 spans/s, sent [12],\d{3}; late p99 ", log)


def test_a_killed_worker_is_named_and_what_it_may_have_sent_is_bounded(cases: Any) -> None:
    """After kill -9 of a worker the run is not valid (exit 3), and the target got no more than the ledger's bound."""
    case = cases["killed worker"]
    case.locust.until(lambda: case.target.requests > 12)
    os.kill(case.locust.children[0], signal.SIGKILL)
    time.sleep(0.5)
    case.locust.signal(signal.SIGTERM)
    case.locust.finished(3)
    with case.locust.run() as file:
        meta, counts = file.meta(), file.counts()
    (silent,) = meta["silent_workers"]
    bound = meta["silent_may_have_sent_spans"][silent]
    arrived = sum(case.target.spans.values())
    assert counts.balances
    assert counts.accepted <= arrived <= counts.accepted + counts.in_flight + bound
    text = f"not valid: no last word from worker {silent} (may have sent up to {bound:,} spans more)"
    assert f"Verdict: {text}\n" in case.locust.out


def test_a_worker_that_comes_late_waits_for_the_next_run(cases: Any) -> None:
    """It is no part of the schedule, so it neither sends nor spoils the verdict; the endpoint comes from the master."""
    case = cases["late"]
    first = case.start(WORKER)
    try:
        case.locust.until(lambda: case.target.requests > 5)
        second = case.start(WORKER)
        try:
            second.until(lambda: "this worker has no part in the run" in second.log)
            time.sleep(1.0)
            case.locust.signal(signal.SIGTERM)
            case.locust.finished(0)
            assert (first.exit_code(), second.exit_code()) == (0, 0)
        finally:
            second.close()
    finally:
        first.close()
    run = case.settled()
    assert (run.code, len(run.meta["workers"]), run.meta["silent_workers"]) == (0, 1, [])
