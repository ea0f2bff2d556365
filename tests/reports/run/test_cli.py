"""honua-report as a command."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loadgen.run.file import open_run
from reports import run_html, run_lines
from reports.cli import main


def call(*words: object) -> Result:
    """The command's result."""
    return CliRunner().invoke(main, [str(word) for word in words])


def test_summary_goes_to_the_terminal(run_path: Path) -> None:
    """Without options the run is told on one screen."""
    with open_run(run_path) as run:
        expected = run_lines(run)
    result = call(run_path)

    assert (0, expected) == (result.exit_code, result.stdout.splitlines())
    assert len(expected) < 40


def test_page_goes_to_a_file(run_path: Path, tmp_path: Path) -> None:
    """--out writes the page and leaves the summary where it was."""
    result = call(run_path, "--out", tmp_path / "run.html")

    with open_run(run_path) as run:
        assert run_html(run) == (tmp_path / "run.html").read_text(encoding="utf-8")
    assert (result.exit_code, result.stdout[:6]) == (0, "Broken")
    assert f"written: {tmp_path / 'run.html'}\n" == result.stderr


def test_standard_output_holds_the_page_alone(run_path: Path) -> None:
    """--out - can be piped: nothing but the page."""
    result = call(run_path, "--out", "-")

    assert (result.stdout[:15], result.stdout.strip()[-7:]) == ("<!DOCTYPE html>", "</html>")
    assert result.stderr == ""


@pytest.mark.parametrize("words", [["--json"], ["--json", "-"]])
def test_json_goes_to_standard_output(run_path: Path, words: list[str]) -> None:
    """--json without a path is JSON and nothing else."""
    told = json.loads(call(run_path, *words).stdout)

    assert told["ledger"]["spans"]["offered"] == 552_000
    assert told["schema_version"] == 1


def test_json_goes_to_a_file(run_path: Path, tmp_path: Path) -> None:
    """--json PATH writes there."""
    result = call(run_path, "--json", tmp_path / "run.json")

    assert json.loads((tmp_path / "run.json").read_text())["run_id"] == "20260921-checkout"
    assert result.stdout.startswith("Broken")


def test_wrong_run_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    """No traceback: place, value, rule."""
    (tmp_path / "run.sqlite").write_text("nonsense")
    for path in (tmp_path / "none", tmp_path):
        result = call(path)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
        assert result.stderr.startswith("honua-report: RUN: got ")


def test_unwritable_place_is_one_line_and_exit_code_2(run_path: Path) -> None:
    """A page that cannot be written is wrong use."""
    result = call(run_path, "--out", run_path / "run.sqlite" / "x.html")

    assert result.exit_code == 2
    assert result.stderr.startswith("honua-report: --out: got ")


def test_help_answers_at_once() -> None:
    """Help loads none of the heavy libraries."""
    script = (
        "import sys; from reports.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    )
    begun = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert [name for name in ("matplotlib", "numpy", "pandas", "jinja2", "locust") if f"'{name}'" in told] == []
    assert time.perf_counter() - begun < 3  # 0.5 s on an idle machine; the modules above are what would break it


def test_tables_go_to_a_folder(run_path: Path, tmp_path: Path) -> None:
    """--csv writes one file a table, with as many rows as the run has, and leaves the summary where it was."""
    result = call(run_path, "--csv", tmp_path / "tables")

    with open_run(run_path) as run:
        ((rows,),) = run.query("SELECT COUNT(*) FROM ledger")
    assert len((tmp_path / "tables" / "ledger.csv").read_text().splitlines()) == rows + 1
    assert (result.exit_code, result.stdout[:6]) == (0, "Broken")
