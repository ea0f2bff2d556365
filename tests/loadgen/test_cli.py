"""The honua-load command: one clear line and exit code 2 for what the user got wrong."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadgen.run import create_run


def honua_load(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadgen.cli", *words], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audit", "/no/run", "--observed", "http://127.0.0.1:1"], "RUN: got '/no/run', must be a run's folder"),
        (["observe", "/no/run", "--tempo-metrics", "http://127.0.0.1:1/metrics"], "/no/run"),
        (["observe", "/no/run"], "needs a Collector's or Tempo's URL, or a pid"),
        (["sink", "--collector-config", "/no/file"], "--collector-config: got '/no/file', must be a readable"),
        (["sink", "--port", "99999"], "99999"),
        (["sinc"], "No such command 'sinc'"),
        (["audit"], "Missing argument 'RUN'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(words: list[str], said: str) -> None:
    """The message names place and rule; there is no traceback."""
    done = honua_load(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_sink_takes_no_tail_sampler(tmp_path: Path) -> None:
    """The sink samples by trace id alone, and says so when a configuration asks for more."""
    done = honua_load("sink", "--port", "0", "--collector-config", "compose/otelcol/tail.yaml")
    assert done.returncode == 2
    assert "must have one head sampler at most for the sink" in done.stderr


def test_audit_without_an_answer_from_the_target_is_not_a_traceback(tmp_path: Path) -> None:
    """A target that is down is named, with exit code 2."""
    create_run(tmp_path, "empty", seed="1", topology_yaml="", topology_name="x").close()
    done = honua_load("audit", str(tmp_path / "empty"), "--observed", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.startswith("honua-load: ")
    assert done.stderr.count("\n") == 1


def test_schema_is_json_and_knows_the_shorthand() -> None:
    """The schema names every part of a topology; a call may be a name alone."""
    schema = json.loads(honua_load("schema").stdout)
    assert set(schema["properties"]) == {"name", "about", "resource", "variables", "services", "entries"}
    steps = schema["$defs"]["Operation"]["properties"]["calls"]["items"]["anyOf"]
    assert {"type": "string"} in steps


def test_help_answers_in_a_blink() -> None:
    """No heavy room is imported for --help: under half a second, the best of three on a shared machine."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        assert honua_load("--help").returncode == 0
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.5
