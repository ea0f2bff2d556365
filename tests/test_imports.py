"""Imports point one way: the arrows that the design allows, and no other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("loadgen", "planner", "reports", "scenarios")

# What anybody may import: the release's number, the errors, and text shared by the command lines.
COMMON = {"loadgen", "loadgen.errors", "loadgen.units"}
# Importer -> what it may import besides itself, COMMON and the outside world. Rooms of loadgen, whole other packages.
ALLOWED: dict[str, set[str]] = {
    "loadgen": set(),
    "loadgen.errors": set(),
    "loadgen.units": set(),
    "loadgen.memory": set(),
    "loadgen.console": set(),
    "loadgen.topology": set(),
    "loadgen.synth": {"loadgen.topology"},
    "loadgen.otlp": {"loadgen.synth", "loadgen.topology"},
    "loadgen.shape": {"loadgen.otlp", "loadgen.synth", "loadgen.topology"},
    "loadgen.pace": set(),
    "loadgen.deliver": {"loadgen.pace", "loadgen.synth"},
    "loadgen.transport": set(),
    "loadgen.run": set(),
    "loadgen.samplers": set(),
    "loadgen.blocks": {"loadgen.synth"},
    "loadgen.measure": {
        "loadgen.blocks", "loadgen.deliver", "loadgen.run", "loadgen.samplers", "loadgen.synth", "loadgen.topology",
    },
    "loadgen.sink": {"loadgen.blocks", "loadgen.run", "loadgen.samplers"},
    "loadgen.stack": {"loadgen.measure", "loadgen.transport"},
    "loadgen.trace_import": {"loadgen.topology"},
    "loadgen.user": {
        "loadgen.deliver", "loadgen.memory", "loadgen.otlp", "loadgen.pace", "loadgen.run", "loadgen.samplers",
        "loadgen.synth", "loadgen.topology", "loadgen.transport",
    },
    "planner": {"loadgen.*"},
    "reports": {"planner", "loadgen.*"},
    "scenarios": {"loadgen.user"},
}  # fmt: skip
# Only the host of the load may know that it is one.
LOCUST = {"locust", "gevent", "geventhttpclient"}
LOCUST_ROOM = "loadgen.user"


class Arrow(NamedTuple):
    """One import: by which module, at which line, of what."""

    module: str
    line: int
    imported: str


def arrows() -> Iterator[Arrow]:
    """Every import statement of the product, those inside functions included."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield from (Arrow(module, line, name) for line, name in imports_of(path))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by full name"
            # ``from loadgen import synth`` imports a room, ``from loadgen import __version__`` does not.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((node.lineno, name) for name in names)


def room_of(name: str) -> str:
    """The room or package that a module, or a name in one, belongs to."""
    first, *rest = name.split(".")
    if first != "loadgen" or not rest or not is_module(f"loadgen.{rest[0]}"):
        return first
    return f"loadgen.{rest[0]}"


def is_module(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def is_allowed(importer: str, imported: str) -> bool:
    allowed = ALLOWED.get(importer, set()) | COMMON
    return importer == imported or imported in allowed or (imported.startswith("loadgen") and "loadgen.*" in allowed)


def is_cli(module: str) -> bool:
    return module.split(".")[1:2] == ["cli"]


def test_imports_follow_the_allowed_arrows() -> None:
    """No module outside the command lines imports a room that the design does not let it import."""
    own = (arrow for arrow in arrows() if arrow.imported.split(".")[0] in PACKAGES and not is_cli(arrow.module))
    wrong = [arrow for arrow in own if not is_allowed(room_of(arrow.module), room_of(arrow.imported))]
    assert wrong == []


def test_allowed_arrows_are_without_a_cycle() -> None:
    """The table itself points one way: every room can be put after all that it may import."""
    below = {room: {name for name in names if name in ALLOWED} for room, names in ALLOWED.items()}
    while ready := {room for room, names in below.items() if not names}:
        below = {room: names - ready for room, names in below.items() if room not in ready}
    assert {room: names for room, names in below.items() if names} == {}


def test_every_room_has_its_place_in_the_table() -> None:
    """A new room of loadgen names what it may import before it imports anything."""
    rooms = {f"loadgen.{path.stem}" for path in (ROOT / "loadgen").iterdir() if not path.stem.startswith("_")}
    assert set() == {room for room in rooms if room != "loadgen.cli" and is_module(room)} - set(ALLOWED)


def test_nobody_imports_a_command_line() -> None:
    """Command modules are the edge: they import, and nothing imports them."""
    assert [arrow for arrow in arrows() if is_cli(arrow.imported) and not is_cli(arrow.module)] == []


def test_only_the_user_room_imports_locust() -> None:
    """Locust and gevent are named in loadgen.user and nowhere else."""
    hosted = {room_of(arrow.module) for arrow in arrows() if arrow.imported.split(".")[0] in LOCUST}
    assert {LOCUST_ROOM} == hosted


def loaded_by(*modules: str) -> set[str]:
    """Top-level names in sys.modules of a fresh process that imported ``modules``."""
    program = f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["loadgen.shape", "loadgen.cli", "planner.cli", "reports.cli"])
def test_entry_points_leave_locust_unloaded(module: str) -> None:
    """What is imported to plan, report or print help does not bring Locust's monkey patches with it."""
    assert set() == loaded_by(module) & LOCUST


def test_everything_but_the_user_room_leaves_locust_unloaded() -> None:
    """No import of an import brings Locust in, either."""
    modules = sorted({arrow.module for arrow in arrows()} | {"loadgen"})
    others = [name for name in modules if room_of(name) not in {LOCUST_ROOM, "scenarios"} and "__main__" not in name]
    assert set() == loaded_by(*others) & LOCUST


@pytest.mark.parametrize("module", ["loadgen.cli", "planner.cli", "reports.cli"])
def test_command_lines_load_nothing_heavy(module: str) -> None:
    """``--help`` answers in a blink because nothing that only a command needs is imported before it runs."""
    heavy = {"matplotlib", "numpy", "opentelemetry", "pandas", "pyarrow", "pydantic", "scipy", "yaml"}
    assert set() == loaded_by(module) & heavy
