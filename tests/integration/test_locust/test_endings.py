"""How runs end by themselves, and what the verdict, the exit code and the run file say of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

SECRET = "hunter2-and-more"  # noqa: S105  (of nothing)
CONFIG = f'exporters: {{otlp: {{endpoint: "x:1", headers: {{authorization: "Bearer {SECRET}"}}}}}}\n'
SHAPED = """\
from locust import LoadTestShape
from loadgen.user import TraceUser


class Slow(TraceUser):
    topology = "checkout"
    traces_per_s = 10.0


class Fast(Slow):
    traces_per_s = 30.0
    fixed_count = 1


class Steps(LoadTestShape):
    def tick(self):
        run_time_s = self.get_run_time()
        return None if run_time_s > 5 else (2, 100) if run_time_s < 2.5 else (4, 100)
"""
FAULTY = """\
from locust import task
from loadgen.user import TraceUser


class Faulty(TraceUser):
    topology = "checkout"

    @task
    def stumble(self):
        raise ValueError("stumbled")
"""
CASES: dict[str, dict[str, Any]] = {
    "run time": {
        "arguments": [
            "--run-time", "4s", "--users", "2", "--note", "why", "--seed", "7", "--collector-config", "c.yaml",
            "--observe", "--collector-metrics", "{url}/metrics", "--tempo-metrics", "",
        ],
        "files": {"c.yaml": CONFIG},
        "environment": {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{SECRET},x-tenant=a"},
    },
    "down": {"arguments": ["--run-time", "3s", "--otlp-endpoint", "http://127.0.0.1:{unused}"]},
    "slow": {"arguments": ["--users", "1", "--run-time", "4s", "--max-backlog", "1"], "delay_s": 0.5},
    "cut": {
        "arguments": ["--users", "4", "--run-time", "2s", "--stop-timeout", "0", "--max-backlog", "60"], "delay_s": 2.0
    },
    "nobody": {"arguments": ["--users", "0", "--run-time", "1s"]},
    "shape": {"arguments": ["-f", "shaped.py"], "files": {"shaped.py": SHAPED}, "rated": False},
    "one user": {"arguments": ["--users", "1", "--run-time", "3s"], "rated": False},
    "faulty": {"arguments": ["-f", "faulty.py", "--run-time", "2s"], "files": {"faulty.py": FAULTY}},
}  # fmt: skip
META = {
    "run_id", "created_utc", "command", "seed", "topology_name", "topology_yaml", "options", "target", "versions",
    "collector_config", "note", "host", "shape", "finished_utc", "stop_reason", "verdict", "workers", "silent_workers",
    "delivery", "grouping", "spans_per_request", "observe",
}  # fmt: skip


def _bytes_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "c.yaml")


def test_a_run_of_some_seconds_holds_and_its_file_tells_all(cases: Any) -> None:
    """Exit 0; first line, live line, table row; observed while it ran; the rate kept; nothing of it left running."""
    case = cases["run time"]
    log = case.locust.finished(0)
    run = case.settled()
    assert (run.code, run.spans.accepted) == (0, run.spans.sent)
    assert run.spans.sent == pytest.approx(2000 * 3.7, rel=0.25)
    assert META - run.meta.keys() == set()
    assert (run.meta["seed"], run.meta["note"], run.meta["stop_reason"]) == ("7", "why", "run time")
    assert run.meta["shape"]["wire_bytes_per_span"] == pytest.approx(346, rel=0.05)
    assert [(row[2], row[3]) for row in run.rates] == [(2000.0, "2000spans/s")]
    assert f"sending 43.59 traces/s (2,000 spans/s) of checkout to {case.target.url}/v1/traces for 4 s" in log
    assert re.search(r"\d s: asked 2,000 spans/s, sent [12],\d{3}; late p99 [\d.]+ ms; accepted [\d,]+", log)
    assert re.search(r"OTLP +/v1/traces +\d+ +0\(0.00%\)", log)
    with case.locust.run() as file:
        assert file.samples("collector", "receiver_accepted_spans")[-1].value == 7.0
    assert case.locust.left() == []


def test_secrets_reach_the_target_and_nothing_else(cases: Any) -> None:
    """Headers are in no file and no log, nor is what the Collector's configuration hides."""
    case = cases["run time"]
    case.locust.finished(0)
    assert {headers["authorization"] for headers in case.target.headers} == {f"Bearer {SECRET}"}
    assert SECRET.encode() not in _bytes_under(case.folder)


def test_a_target_that_is_down_is_counted(cases: Any) -> None:
    """Nobody listens: every span is refused, the run is broken (exit 1), no traceback, one line in Locust's errors."""
    log = cases["down"].locust.finished(1)
    run = cases["down"].settled()
    assert run.spans.refused == run.spans.sent > 0
    assert run.text.startswith("broken: of ")
    assert {row.state for row in run.trouble} == {"refused", "unfinished"}
    causes = re.findall(r"\d+ +OTLP /v1/traces: (.*\S)", log)
    assert causes == ["ExportError('no connection: ConnectionRefusedError')"]


def test_a_slow_target_and_one_user_cannot_have_the_asked_rate(cases: Any) -> None:
    """What could not leave in time is shed and counted; the run is not valid for the rate (exit 3)."""
    cases["slow"].locust.finished(3)
    run = cases["slow"].settled()
    assert run.text.startswith("not valid for the asked rate: ")
    assert run.spans.shed > run.spans.sent > 0
    assert {row.cause for row in run.trouble if row.state == "shed"} == {"backlog full", "run stopped"}


def test_users_killed_in_the_midst_of_a_request_leave_unknown_spans(cases: Any) -> None:
    """Without patience (--stop-timeout 0) a request in flight is cut: it may have arrived, so it is unknown."""
    cases["cut"].locust.finished(3)
    with cases["cut"].locust.run() as file:
        counts, trouble = file.counts(), file.trouble()
    assert counts.unknown == counts.sent > 0
    assert ("unknown", "stopped while in flight") in {(row.state, row.cause) for row in trouble}
    assert (counts.balances, counts.waiting, counts.in_flight) == (True, 0, 0)


def test_nothing_sent_is_no_measurement(cases: Any) -> None:
    """A run without users sends nothing: exit 3, whatever Locust thinks of it."""
    cases["nobody"].locust.finished(3)
    assert cases["nobody"].settled().text == "not valid: nothing was sent"


def test_a_load_shape_changes_the_load(cases: Any) -> None:
    """Two users of 30/s and 10/s, then two more of 10/s: 40/s, then 60/s, each change recorded."""
    log = cases["shape"].locust.finished(0)
    run = cases["shape"].settled()
    asked = [(row[1], row[3]) for row in run.rates]
    assert asked[-2:] == [(40.0, "by users"), (60.0, "by users")]
    second_s = run.rates[-1][0]
    starts_s = [start_ns / 1e9 for block in run.blocks for start_ns in block.starts_ns.tolist()]
    # What is drawn for the old rate, up to a second ahead, is kept.
    before = sum(second_s - 1.2 < start_s <= second_s - 0.2 for start_s in starts_s)
    after = sum(second_s + 1.2 < start_s <= second_s + 2.2 for start_s in starts_s)
    assert (before, after) == (pytest.approx(40, abs=2), pytest.approx(60, abs=3))
    assert "sending by users, up to " in log


def test_one_user_alone_works(cases: Any) -> None:
    """``locust --users 1`` sends one trace a second."""
    cases["one user"].locust.finished(0)
    run = cases["one user"].settled()
    assert (run.code, [(row[1], row[3]) for row in run.rates]) == (0, [(1.0, "by users")])
    assert run.traces.sent in (2, 3)


def test_exceptions_of_users_spoil_the_run(cases: Any) -> None:
    """A user that fails sends less than it should: whatever the ledger says, the run is not valid (exit 3)."""
    case = cases["faulty"]
    assert case.locust.exit_code() == 3, case.locust.log
    assert "users raised exceptions (1 kinds), the first: stumbled" in case.settled().text
