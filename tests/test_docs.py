"""The documentation names every command, and nothing in the repository names what must not be named."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {"honua-load": "loadgen.cli", "honua-plan": "planner.cli", "honua-report": "reports.cli"}


def help_of(module: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *words, "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def test_entry_points_are_the_documented_commands() -> None:
    """The three commands of the project's metadata are those that the README lists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {name: f"{module}:main" for name, module in COMMANDS.items()}
    readme = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"| `{name} " not in readme] == []


def test_every_subcommand_is_documented_and_has_help() -> None:
    """Each subcommand of honua-load has a sentence of help and a row in the README's table."""
    listed = re.findall(r"^  (\w+)  ", help_of("loadgen.cli").partition("Commands:")[2], re.MULTILINE)
    readme = (ROOT / "README.md").read_text()
    assert set(listed) == {"audit", "demo", "observe", "schema", "sink"}
    assert [name for name in listed if f"| `honua-load {name}" not in readme] == []
    assert [name for name in listed if len(help_of("loadgen.cli", name)) < 150] == []


@pytest.mark.parametrize("target", ["demo", "test", "bench", "collector", "setup", "lock"])
def test_make_targets_of_the_readme_exist(target: str) -> None:
    """`make help` lists the target with a word on what it does."""
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert re.search(rf"^  make {target} +\w", done.stdout, re.MULTILINE)


def test_requirements_are_locked_and_name_no_index() -> None:
    """Every requirement is pinned and hashed; no line says where to download from."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[A-Za-z0-9]", line)]
    hashes = sum(line.lstrip().startswith("--hash=sha256:") for line in lines)
    assert [line for line in pinned if "==" not in line] == []
    assert hashes >= len(pinned) > 50
    assert [line for line in lines if "://" in line or "--index" in line or "--find-links" in line] == []


def test_run_time_dependencies_are_locked() -> None:
    """What the project's metadata asks for stands in requirements.in, and so in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=]", each)[0].lower() for each in project["dependencies"]}
    asked = {line.lower() for line in (ROOT / "requirements.in").read_text().split() if line and line[0] != "#"}
    assert names - asked == set()


def test_links_of_the_documents_resolve() -> None:
    """Relative links and pictures of the top-level documents point to files of the repository."""
    broken = [
        (document.name, target)
        for document in ROOT.glob("*.md")
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())
        if not (ROOT / target).exists()
    ]
    assert broken == []
