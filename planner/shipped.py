"""The shipped figures: measured, published and assumed numbers, each with its source, read from dated files.

A file holds ``figures`` (single numbers with their range), ``series`` (rows of one measurement) and
``topologies`` (what was measured for a topology of that name; such an entry wins over the general model).

An entry of ``topologies`` holds figures by name. ``stored_bytes_per_span`` is planned with while the
topology still has, within 10 %, the ``spans_per_trace`` and ``wire_bytes_per_span`` given beside it.
Further runs of Tempo join the series ``tempo_load``, further block profiles the series ``stored``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from loadgen.errors import InputError
from planner.figures import Range
from planner.records import Basis

FORMAT = 1
MEASURED = "measured-2026-11-23.json"
Array = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Known:
    """One shipped number with its range, where it comes from and under which conditions it holds."""

    name: str
    amount: Range
    unit: str
    basis: Basis
    source: str
    conditions: str

    @property
    def value(self) -> float:
        """The central value."""
        return self.amount.value

    @property
    def cited(self) -> str:
        """Source and conditions as one text."""
        return f"{self.source}; {self.conditions}" if self.conditions else self.source


@dataclass(frozen=True, slots=True)
class Series:
    """Rows of one measurement, all with the same columns."""

    source: str
    conditions: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def cited(self) -> str:
        """Source and conditions as one text."""
        return f"{self.source}; {self.conditions}"

    def column(self, name: str) -> Array:
        """One column as numbers [len(rows)]."""
        return np.array([row[name] for row in self.rows], dtype=np.float64)

    def where(self, column: str, value: object) -> Mapping[str, Any]:
        """The first row that has ``value`` there; KeyError where none has."""
        for row in self.rows:
            if row[column] == value:
                return row
        raise KeyError(f"{column}={value}")


@dataclass(frozen=True, slots=True)
class Shipped:
    """All shipped figures of one date."""

    date: str
    figures: Mapping[str, Known]
    series: Mapping[str, Series]
    topologies: Mapping[str, Mapping[str, Known]]

    def __getitem__(self, name: str) -> Known:
        return self.figures[name]

    def measured_for(self, topology: str, name: str) -> Known | None:
        """What was measured for a topology of that name; None where nothing was."""
        return self.topologies.get(topology, {}).get(name)


def known_of(name: str, raw: Mapping[str, Any]) -> Known:
    """One entry of a file."""
    amount = Range(float(raw["value"]), float(raw["low"]), float(raw["high"]))
    if not amount.low <= amount.value <= amount.high:
        raise InputError(f"shipped figure {name}", tuple(amount), "must be low <= value <= high")
    return Known(name, amount, raw["unit"], Basis(raw["basis"]), raw["source"], raw.get("conditions", ""))


def read_entries(raw: Mapping[str, Any]) -> dict[str, Known]:
    """Every named figure in ``raw``."""
    return {name: known_of(name, entry) for name, entry in raw.items()}


def parse_shipped(text: str, place: str) -> Shipped:
    """The figures in ``text``.

    Raises:
        InputError: Another format than this release reads, or ends that do not enclose their value.
    """
    raw = json.loads(text)
    if raw["format"] != FORMAT:
        raise InputError(f"{place}: format", raw["format"], f"must be {FORMAT}")
    series = {n: Series(s["source"], s["conditions"], tuple(s["rows"])) for n, s in raw["series"].items()}
    topologies = {name: read_entries(entries) for name, entries in raw["topologies"].items()}
    return Shipped(raw["date"], read_entries(raw["figures"]), series, topologies)


def read_data(name: str) -> str:
    """The text of a file in ``planner/data``."""
    return (resources.files("planner") / "data" / name).read_text("utf-8")


@cache
def load_shipped() -> Shipped:
    """The figures that come with this release."""
    return parse_shipped(read_data(MEASURED), MEASURED)
