"""``honua-plan``: what it prints where, its exit codes, and one line for each kind of wrong use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from planner.cli import main

SMALL = ("--traffic", "100rps", "--sampling", "10%", "--sampling", "tail", "--retention", "24h")


@pytest.fixture(name="honua_plan")
def _honua_plan(topology: Path) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        given = (
            arguments
            if "--topology" in arguments or "--run" in arguments
            else ("--topology", str(topology), *arguments)
        )
        return CliRunner().invoke(main, given)

    return run


def _one_line(result: Result) -> str:
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_table_on_stdout(honua_plan: Callable[..., Result]) -> None:
    """Without options for output the table is printed and the exit code is 0."""
    result = honua_plan(*SMALL)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("100 traces/s of tiny (")


def test_json_on_stdout_suppresses_the_table(honua_plan: Callable[..., Result]) -> None:
    """``--json`` alone means standard output, and only JSON stands there."""
    result = honua_plan(*SMALL, "--json")

    assert [choice["sampling"] for choice in json.loads(result.stdout)["choices"]] == ["head 10 %", "tail 5 %"]


def test_json_to_a_file_keeps_the_table(honua_plan: Callable[..., Result], tmp_path: Path) -> None:
    """The same plan in both, the path on stderr."""
    path = tmp_path / "plan.json"

    result = honua_plan(*SMALL, "--json", str(path))

    found = json.loads(path.read_text("utf-8"))
    assert found["first_line"] in " ".join(result.stdout.split())
    assert f"wrote {path}" in result.stderr


def test_page_on_stdout_suppresses_the_table(honua_plan: Callable[..., Result]) -> None:
    """``--out -`` is the page and nothing else."""
    result = honua_plan(*SMALL, "--out", "-")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("<!DOCTYPE html>")
    assert result.stdout.rstrip().endswith("</html>")
    assert "mean; 95 % within " in result.stdout


def test_page_and_json_cannot_share_stdout(honua_plan: Callable[..., Result]) -> None:
    """Two documents in one stream are neither."""
    assert "--out: got '-'" in _one_line(honua_plan(*SMALL, "--out", "-", "--json"))


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_table_is_as_wide_as_columns_says(honua_plan: Callable[..., Result], width: int) -> None:
    """In a pipe too; the first line of a wide table is not broken at 100."""
    result = honua_plan(*SMALL)
    wide = CliRunner(env={"COLUMNS": str(width)}).invoke(main, ("--topology", "deploy", "--traffic", "1000rps"))

    assert max(map(len, result.stdout.splitlines())) <= 100
    assert width - 20 <= max(map(len, wide.stdout.splitlines())) <= width


def test_a_constraint_that_cannot_be_met_exits_1(honua_plan: Callable[..., Result]) -> None:
    """The plan is printed all the same; what is not met goes to stderr."""
    result = honua_plan(*SMALL, "--max-usd", "0.01")

    assert result.exit_code == 1
    assert "Provision" in result.stdout
    assert "not met: --max-usd $0.01" in result.stderr


def test_a_constraint_that_is_met_exits_0(honua_plan: Callable[..., Result]) -> None:
    """At 100 traces/s tail sampling sees a rare error within 10 minutes."""
    assert honua_plan(*SMALL, "--error-within", "10m", "--max-usd", "1000").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "--traffic: got None"),
        (("--traffic", "banana"), "--traffic: got 'banana', must be traffic such as 1000rps"),
        (("--traffic", "1rps", "--peak-factor", "0"), "--peak-factor: got 0.0"),
        (("--traffic", "1rps", "--sampling", "x"), "--sampling: got 'x'"),
        (("--traffic", "1rps", "--retention", "soon"), "--retention: got 'soon'"),
        (("--traffic", "1rps", "--error-within", "5"), "--error-within: got '5'"),
        (("--traffic", "1rps", "--max-usd", "-3"), "--max-usd: got -3.0"),
        (("--traffic", "1rps", "--topology", "nowhere"), "topology: got 'nowhere'"),
        (("--run", "nowhere"), "RUN: got 'nowhere'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    honua_plan: Callable[..., Result], arguments: tuple[str, ...], expected: str
) -> None:
    """Place, value, rule; no traceback, nothing on stdout."""
    assert expected in _one_line(honua_plan(*arguments))


def test_a_broken_topology_is_one_line(honua_plan: Callable[..., Result], tmp_path: Path) -> None:
    """The message names file and line."""
    path = tmp_path / "broken.yaml"
    path.write_text("name: [", "utf-8")

    assert str(path) in _one_line(honua_plan("--traffic", "1rps", "--topology", str(path)))


def test_a_file_that_is_no_run_is_one_line(honua_plan: Callable[..., Result], tmp_path: Path) -> None:
    """Not a run file."""
    path = tmp_path / "run.sqlite"
    path.write_text("not a database, but long enough to be taken for one", "utf-8")

    assert "RUN: got" in _one_line(honua_plan("--run", str(path)))


def test_json_into_no_directory_is_one_line(honua_plan: Callable[..., Result], tmp_path: Path) -> None:
    """The path and the reason."""
    result = honua_plan(*SMALL, "--json", str(tmp_path / "no" / "plan.json"))

    assert (result.exit_code, len(result.stderr.strip().splitlines())) == (2, 1)
    assert "No such file" in result.stderr


def test_unknown_options_exit_2(honua_plan: Callable[..., Result]) -> None:
    """Click's own usage error."""
    assert honua_plan(*SMALL, "--sample", "1%").exit_code == 2


def test_a_run_brings_its_own_traffic_and_traces(
    honua_plan: Callable[..., Result], run_of: Callable[..., Path]
) -> None:
    """Rate, spans per trace and bytes per span of the first line are the run's."""
    result = honua_plan("--run", str(run_of(source="tempo")), "--json")
    plan = json.loads(result.stdout)

    assert "of tiny (run r1): 40.0 spans/trace, 400 B/span on the wire" in plan["first_line"]
    assert pytest.approx(100, rel=0.02) == plan["traffic"]["traces_per_s"]["value"]
    assert plan["circumstances"]["run"] == "r1, target collector 0.161.0"


def test_a_sink_run_uses_shipped_figures_and_says_so(
    honua_plan: Callable[..., Result], run_of: Callable[..., Path]
) -> None:
    """First doubt, and the exit code is that of a plan."""
    result = honua_plan("--run", str(run_of(source="sink", kind="sink")), "--traffic", "100rps")

    assert result.exit_code == 0
    assert "1. the run's target was the embedded sink" in result.stdout


def test_help_loads_nothing_heavy() -> None:
    """Importing the command leaves numpy, rich and the rest unloaded, so that help is immediate."""
    code = "import sys, planner.cli; print(sorted({'numpy', 'rich', 'pydantic', 'yaml', 'pyarrow'} & set(sys.modules)))"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_help_names_units_and_exit_codes(honua_plan: Callable[..., Result]) -> None:
    """1000rps = 1000 traces/s, and what the exit codes mean."""
    text = " ".join(honua_plan("--help").stdout.split())

    assert "1000rps (= 1000 traces/s)" in text
    assert "Exit code 0" in text
