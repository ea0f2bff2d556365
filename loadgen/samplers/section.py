"""A mapping inside a configuration file, read with its place, so that every complaint names it.

Only what decides about sampling is read; a value there that is a reference (``${env:NAME}``)
cannot be judged and is refused by name.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import yaml

from loadgen.errors import InputError

_REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$\{[^}]*\}")
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SCALARS = {
    "bool": (r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    "int": (r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)\Z", "-+0123456789"),
    "float": (
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))\Z|\.(?:nan|NaN|NAN)\Z",
        "-+0123456789.",
    ),
}
_T = TypeVar("_T")


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML read as the Collector reads it: YAML 1.2 scalars, and a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 - as in the base class
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} given twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _resolve_as_yaml_1_2() -> None:
    """PyYAML alone reads ``1e-9`` as a text, ``on`` as true and ``1:30`` as 90; the Collector does not."""
    _StrictLoader.yaml_implicit_resolvers = {
        first: [rule for rule in rules if rule[0].rpartition(":")[2] not in _SCALARS]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for kind, (pattern, firsts) in _SCALARS.items():
        _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(pattern), list(firsts))


_resolve_as_yaml_1_2()


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping of a configuration and where it stands, e.g. ``collector.yaml: processors.tail_sampling``."""

    place: str
    values: Mapping[str, object]

    def at(self, key: str) -> str:
        """The place of ``key``."""
        return f"{self.place} {key}" if self.place.endswith(":") else f"{self.place}.{key}"

    def only(self, *known: str) -> None:
        """Nothing, if every key is known; otherwise the first unknown one is named.

        Raises:
            InputError: An unknown key.
        """
        for key in self.values:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
                raise InputError(self.at(str(key)), self.values[key], f"is not a setting here; {hint}")

    def section(self, key: str) -> Section:
        """The mapping under ``key``; absent or empty means every default."""
        return as_section(self.at(key), self.values.get(key))

    def sections(self, key: str) -> Iterator[Section]:
        """The mappings in the list under ``key``."""
        for number, entry in enumerate(self._typed(key, list, [], "must be a list")):
            yield as_section(f"{self.at(key)}[{number}]", entry)

    def texts(self, key: str) -> list[str]:
        """The texts in the list under ``key``."""
        entries: list[object] = self._typed(key, list, [], "must be a list")
        return [_typed(f"{self.at(key)}[{i}]", entry, str, "must be a text") for i, entry in enumerate(entries)]

    def text(self, key: str, default: str) -> str:
        """The text under ``key``."""
        return self._typed(key, str, default, "must be a text")

    def whole(self, key: str, default: int) -> int:
        """The whole number under ``key``."""
        return self._typed(key, int, default, "must be a whole number")

    def number(self, key: str, default: float) -> float:
        """The number under ``key``."""
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        found = self._typed(key, float, default, "must be a number")
        if not math.isfinite(found):
            raise InputError(self.at(key), found, "must be a finite number")
        return found

    def flag(self, key: str, *, default: bool) -> bool:
        """The true or false under ``key``."""
        return self._typed(key, bool, default, "must be true or false")

    def duration_s(self, key: str, default: float) -> float:
        """The duration under ``key``, written as Go writes it (``1m30s``) [s]."""
        text = self.text(key, "")
        pieces = _DURATION.findall(text)
        if not text:
            return default
        if "".join(number + unit for number, unit in pieces) != text:
            raise InputError(self.at(key), text, "must be a duration such as 10s or 1m30s")
        return sum(float(number) * _UNIT_S[unit] for number, unit in pieces)

    def _typed(self, key: str, kind: type[_T], default: _T, rule: str) -> _T:
        value = self.values.get(key)
        return default if value is None else _typed(self.at(key), value, kind, rule)


def _typed(place: str, value: object, kind: type[_T], rule: str) -> _T:
    if isinstance(value, str) and _REFERENCE.search(value):
        raise InputError(place, value, "is a reference, which is not looked up here; write the value it stands for")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(place, value, rule)
    return value


def as_section(place: str, value: object) -> Section:
    """``value`` as a section.

    Raises:
        InputError: It is neither a mapping nor empty.
    """
    return Section(place, _typed(place, {} if value is None else value, dict, "must be a mapping"))


def read_yaml(text: str, place: str) -> Section:
    """A YAML document whose top is a mapping.

    Args:
        text: The document.
        place: Its name in complaints, e.g. ``collector.yaml``.

    Raises:
        InputError: Not YAML, a key given twice, or no mapping.
    """
    try:
        document = yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"{place}:{error.problem_mark.line + 1}" if error.problem_mark else place
        raise InputError(line, error.problem, "must be YAML") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(place, str(error).splitlines()[0], "must be YAML") from error
    return Section(f"{place}:", as_section(place, document).values)
