"""What the user got wrong is one line and exit code 2; and what importing a scenario must not do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FAR, DEFAULT = "http://collector.invalid:4318", "http://localhost:4318"
FAR_RULE = "--yes-load: got '', must be collector.invalid to send {} spans/s to a machine that is not this one"
NO_PAGES = ("--collector-metrics", "", "--tempo-metrics", "")
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
BROKEN = """\
from loadgen.user import TraceUser


class Broken(TraceUser):
    topology = "{folder}/broken.yaml"
"""
FORKED = ["--processes", "2", "--master-bind-port", "{port}", "--master-port", "{port}"]
# What is wrong -> how it is given, what the one line says.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "option": ({"arguments": ["--rat3", "1/s"]}, "unrecognized arguments: --rat3"),
    "rate": ({"arguments": ["--rate", "banana"]}, "--rate: got 'banana', must be a rate such as 200/s"),
    "variable": ({"arguments": [], "environment": {"HONUA_RATE": "fast"}}, "--rate: got 'fast', must be a rate"),
    "endpoint": ({"arguments": ["--otlp-endpoint", "localhost"]}, "--otlp-endpoint: got 'localhost', must be"),
    "config": ({"arguments": ["--collector-config", "no.yaml"]}, "--collector-config: got 'no.yaml', must be a read"),
    "forked": ({"arguments": [*FORKED, "--collector-config", "no.yaml"]}, "--collector-config: got 'no.yaml', must"),
    "far": ({"arguments": ["--otlp-endpoint", FAR, "--rate", "2000spans/s"]}, FAR_RULE.format("2,000")),
    "far by users": (
        {"arguments": ["--otlp-endpoint", DEFAULT, "-H", FAR, "--users", "500"]}, FAR_RULE.format("22,942")
    ),
    "headers": (
        {"arguments": [], "environment": {HEADERS: "sesame"}}, f"{HEADERS}: got '[not shown]', must be key=value"
    ),
    "observe": ({"arguments": ["--observe", *NO_PAGES]}, "--observe: got 'no metrics page', needs"),
    "run": (
        {"arguments": ["--run-id", "taken"], "files": {"runs/taken/run.sqlite": ""}}, "'taken', exists already; a run"
    ),
    "runs dir": ({"arguments": ["--runs-dir", "f/runs"], "files": {"f": ""}}, "runs directory: got 'f/runs', must be"),
    "topology": (
        {"arguments": ["-f", "broken.py"], "files": {"broken.py": BROKEN, "broken.yaml": "name: [\n"}}, "broken.yaml"
    ),
}  # fmt: skip
CASES = {name: {"rated": False} | wanted for name, (wanted, _) in WRONG.items()} | {
    "help": {"arguments": ["--help-load"]}
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_user_got_wrong_is_one_line_and_exit_code_2(name: str, cases: Any) -> None:
    """Each wrong use is named with place, value and rule; nothing is sent, nothing is traced back."""
    case = cases[name]
    text = case.locust.finished(2) + case.locust.out
    assert text.count(WRONG[name][1]) == 1, text
    assert "sesame" not in text
    assert "Bad response code" not in text
    assert case.target.requests == 0


def test_help_shows_the_options_with_their_variables(cases: Any) -> None:
    """``--help-load`` shows every option of ours: Locust prints its own --help before it imports a locustfile."""
    cases["help"].locust.finished(0)
    text = " ".join(cases["help"].locust.out.split())
    for option in ("otlp-endpoint", "rate", "seed", "delivery", "observe", "runs-dir", "yes-load"):
        assert f"--{option}" in text
        assert f"[env var: HONUA_{option.replace('-', '_').upper()}]" in text


@pytest.mark.parametrize("scenario", ["checkout", "deploy"])
def test_importing_a_scenario_opens_and_compiles_nothing(scenario: str) -> None:
    """Locust forks after the import: no thread, no file, no socket and no compiled topology may exist by then."""
    code = (
        "import os, sys, threading, locust, loadgen.user, loadgen.user.load\n"
        "before = sorted(os.listdir('/proc/self/fd')), threading.active_count()\n"
        f"import scenarios.{scenario}\n"
        "after = sorted(os.listdir('/proc/self/fd')), threading.active_count()\n"
        "import gc; from loadgen.synth import Program\n"
        "print(before == after, sum(isinstance(each, Program) for each in gc.get_objects()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("True 0\n", "")
