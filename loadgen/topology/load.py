"""Topology files: found by path or by the name of a shipped scenario, read, validated, explained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from loadgen.errors import InputError
from loadgen.topology.check import findings
from loadgen.topology.model import Topology

# Read at some 0.2 MB/s: PyYAML's compiled parser is ten times faster, and crashes on deep nesting.
LARGEST_FILE_BYTES = 1 << 20
# An alias stands for all it names, so a short file may say more than memory holds.
MOST_NODES = 200_000
DEEPEST_NODE = 50
LONGEST_SHOWN = 80
Loc = tuple[str | int, ...]
Lines = dict[Loc, int]
# What pydantic's key paths have beyond the file's: short forms that were written out, and names of types.
_TYPES = {"[key]", "bool", "int", "float", "str", "list[str]"}
_SHORTHAND = frozenset({"parallel", 0, "call", "constant", "fixed"} | _TYPES)


def shipped_topologies() -> list[str]:
    """Names of the topologies that come with the product."""
    folder = resources.files("scenarios")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def find_topology(name: str | Path) -> tuple[str, str]:
    """The text of a topology and the place to name in messages.

    Args:
        name: A path to a YAML file, or a shipped scenario's name.

    Raises:
        InputError: Neither exists, or the file cannot be read or is over 1 MiB.
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
        raise InputError(_where(place, lines, first["loc"]), *_value_and_rule(first)) from error
    for path, value, rule in findings(topology):
        raise InputError(_where(place, lines, path), _brief(value), rule)
    return topology


def _read_yaml(text: str, place: str) -> tuple[Any, Lines]:
    lines: Lines = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _note_lines(node, (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{place}{line}", _brief(error.problem), "must be YAML") from error
    except RecursionError as error:
        raise InputError(place, "nesting without end", f"must be YAML at most {DEEPEST_NODE} levels deep") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError, TypeError) as error:
        # PyYAML's constructors meet a wrong value under an explicit tag in as many ways.
        said = str(error).splitlines() or [type(error).__name__]
        raise InputError(place, _brief(said[0]), "must be YAML") from error


def _note_lines(node: yaml.Node, path: Loc, lines: Lines) -> None:
    """The line of each key path; what YAML would take silently (a key twice) or without end is an error."""
    lines[path] = node.start_mark.line + 1
    if len(path) > DEEPEST_NODE:
        raise _wrong(node, f"over {DEEPEST_NODE} levels of nesting")
    if len(lines) > MOST_NODES:
        raise _wrong(node, f"over {MOST_NODES:,} values, aliases followed")
    for key, value in _members(node):
        if (*path, key) in lines:
            raise _wrong(value, f"key {key!r} twice")
        _note_lines(value, (*path, key), lines)


def _wrong(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _members(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(key, "a key that is no text")
            yield key.value, value


def _where(place: str, lines: Lines, loc: Iterable[str | int]) -> str:
    """``file:line: key.path[3].key`` of ``loc``, the line being that of its deepest part that stands in the file."""
    path: Loc = ()
    shown: list[str | int] = []
    for key in loc:
        if (*path, key) in lines:
            path = (*path, key)
            shown.append(key)
        elif key not in _SHORTHAND:
            shown.append(key)
    keys = "".join(f"[{key}]" if isinstance(key, int) else f".{_printable(key)}" for key in shown).lstrip(".")
    line = f":{lines[path]}" if path in lines else ""
    return f"{place}{line}: {keys or 'topology'}"


def _printable(key: str) -> str:
    """A key on one line, whatever is in it."""
    shown = key if key.isprintable() else key.encode("unicode_escape").decode("ascii")
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."


def _brief(value: object) -> object:
    """A value short enough for a message."""
    if isinstance(value, (dict, list)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    text = str(value)
    return value if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _value_and_rule(error: Mapping[str, Any]) -> tuple[object, str]:
    """What was found and what would be right, of one of pydantic's errors."""
    if error["type"] == "missing":
        return "nothing", "must be given"
    if error["type"] == "extra_forbidden":
        return _brief(error["input"]), "is not a key that is known here"
    rule = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return _brief(error["input"]), re.sub(r"a valid dictionary( or instance of \w+)?", "a mapping", rule)


def topology_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of topology files, shorthand forms included."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Topology.model_json_schema(by_alias=True)}
