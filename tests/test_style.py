"""The house style, as far as a machine can see it; linting and typing are checked by their own tools."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("loadgen", "planner", "reports", "scenarios")
TEXTS = {".css", ".in", ".jinja", ".js", ".md", ".py", ".toml", ".yaml", ".yml"}
# Folders that builds and tools make.
MADE = {"build", "_build", "dist", "node_modules", "runs", "__pycache__"}

LONGEST_MODULE, LONGEST_FUNCTION = 400, 60
NINE_IN_TEN_FUNCTIONS, MEDIAN_FUNCTION = 30, 10
# Names that say nothing of what is in the module.
VAGUE = {"common", "helper", "helpers", "misc", "tools", "util", "utils"}
CHECKS = re.compile(r"\bassert(_\w+)?\b|\bpytest\.(raises|fail)\b")


def sources() -> list[Path]:
    """Every module of the product."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def modules_of_tests() -> list[Path]:
    """Every module of its tests."""
    return sorted((ROOT / "tests").rglob("*.py"))


def texts() -> Iterator[Path]:
    """Every text of the repository that a person wrote."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part in MADE or (part.startswith(".") and part != ".ci") for part in parts)
        if not hidden and path.is_file() and (path.suffix in TEXTS or path.name in {"Makefile", "run"}):
            yield path


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its docstring left out."""
    docstring = ast.get_docstring(node, clean=False)
    return (node.end_lineno or node.lineno) - node.lineno + 1 - len((docstring or "").splitlines())


def name_of(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else ""


def test_modules_are_short() -> None:
    """A module has one job, so it stays under 400 lines."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in sources()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_functions_are_short() -> None:
    """Functions are about ten lines; nine in ten are under 30, and only tables are longer."""
    lengths = {
        f"{path.relative_to(ROOT)}:{node.name}": lines_of(node) for path in sources() for node in functions(path)
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}
    assert median(lengths.values()) <= MEDIAN_FUNCTION
    assert quantiles(lengths.values(), n=10)[-1] <= NINE_IN_TEN_FUNCTIONS


def test_module_names_say_what_is_in_them() -> None:
    """No module is a drawer for everything."""
    assert [str(path.relative_to(ROOT)) for path in sources() if path.stem in VAGUE] == []


def test_every_test_says_what_behaviour_it_holds() -> None:
    """A test's docstring states what is true of the product, for the reader of a failure."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in modules_of_tests()
        for node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_test_can_fail() -> None:
    """A test asserts something or expects an error: itself, through a function of its module, or through a fixture."""
    hollow = []
    for path in modules_of_tests():
        checking = {node.name for node in functions(path) if CHECKS.search(ast.unparse(node))}
        for node in (node for node in functions(path) if node.name.startswith("test_")):
            fixtures = {argument.arg for argument in node.args.args}
            called = {name_of(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
            if not (checking & ({node.name} | called) or fixtures & called):
                hollow.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert hollow == []


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of somebody's machine", r"(?<![\w.])/(?:home|root|Users|work)/\w"),
        ("work that was put off", r"\b(?:TODO|FIXME|XXX)\b"),
        ("a tab", r"^ *\t"),
    ],
)
def test_no_text_holds(what: str, pattern: str) -> None:
    """Texts speak of the product: nothing in them belongs to one machine, or to another day."""
    found = re.compile(pattern, re.MULTILINE)
    own = Path(__file__)
    allowed = {own} | ({ROOT / "Makefile"} if what == "a tab" else set())
    holding = [str(p.relative_to(ROOT)) for p in texts() if p not in allowed and found.search(p.read_text("utf-8"))]
    assert holding == []
