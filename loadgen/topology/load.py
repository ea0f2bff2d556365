"""Topology files: found by path or by the name of a shipped scenario, read, validated, explained."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from loadgen.errors import InputError
from loadgen.topology.check import findings
from loadgen.topology.model import Topology

LARGEST_FILE_BYTES = 4 << 20
Lines = dict[tuple[str | int, ...], int]


def shipped_topologies() -> list[str]:
    """Names of the topologies that come with the product."""
    folder = resources.files("scenarios")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def find_topology(name: str | Path) -> tuple[str, str]:
    """The text of a topology and the place to name in messages.

    Args:
        name: A path to a YAML file, or a shipped scenario's name.

    Raises:
        InputError: Neither exists, or the file cannot be read or is over 4 MiB.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"} and str(name) in shipped_topologies():
        return (resources.files("scenarios") / f"{name}.yaml").read_text("utf-8"), f"scenarios/{name}.yaml"
    try:
        content = path.read_bytes()
    except OSError as error:
        rule = f"must be a YAML file or one of {', '.join(shipped_topologies())} ({error.strerror})"
        raise InputError("topology", str(name), rule) from error
    if len(content) > LARGEST_FILE_BYTES:
        raise InputError(str(path), f"{len(content):,} bytes", f"must be at most {LARGEST_FILE_BYTES:,}")
    try:
        return content.decode("utf-8"), str(path)
    except UnicodeDecodeError as error:
        raise InputError(str(path), f"byte {error.start}", "must be UTF-8 text") from error


def load_topology(name: str | Path) -> Topology:
    """The validated topology of a file or shipped scenario; see :func:`find_topology` for what is raised."""
    return parse_topology(*find_topology(name))


def parse_topology(text: str, place: str) -> Topology:
    """The validated topology in ``text``.

    Raises:
        InputError: Not YAML, or against a rule; the message names line, key path, value and rule of the first.
    """
    raw, lines = _read_yaml(text, place)
    try:
        topology = Topology.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(_where(place, lines, first["loc"]), _shown(first), _rule(first["msg"])) from error
    for path, value, rule in findings(topology):
        raise InputError(_where(place, lines, path), value, rule)
    return topology


def _read_yaml(text: str, place: str) -> tuple[Any, Lines]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: Lines = {}
        if node is not None:
            _note_lines(node, (), lines, depth=0)
        return yaml.safe_load(text), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{place}:{line}", error.problem, "must be YAML") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(place, type(error).__name__, "must be YAML without recursion") from error


def _note_lines(node: yaml.Node, path: tuple[str | int, ...], lines: Lines, depth: int) -> None:
    if depth > 50:
        raise RecursionError
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(key.value)
            _note_lines(value, (*path, key.value), lines, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _note_lines(value, (*path, i), lines, depth + 1)


def _where(place: str, lines: Lines, loc: Iterable[str | int]) -> str:
    """``file:line: key.path[3].key`` of the deepest part of ``loc`` that stands in the file."""
    path = tuple(loc)
    while path and path not in lines:
        path = path[:-1] if len(path) == 1 or path[:-1] in lines else (*path[:-2], path[-1])
    keys = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in loc).lstrip(".")
    line = f":{lines[path]}" if path in lines else ""
    return f"{place}{line}: {keys or 'topology'}"


def _shown(error: Any) -> object:  # noqa: ANN401  (pydantic's error record)
    value = error.get("input")
    return value if not isinstance(value, (dict, list)) else f"{type(value).__name__} of {len(value)}"


def _rule(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def topology_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of topology files, shorthand forms included."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Topology.model_json_schema(by_alias=True)}
