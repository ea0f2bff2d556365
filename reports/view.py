"""View records: what a page shows, every string finished. Templates only lay them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Column(NamedTuple):
    """A table's column; ``kind`` is ``name``, ``number``, ``text`` or ``code``."""

    title: str
    kind: str = "number"
    group: str = ""


class Cell(NamedTuple):
    """A table's cell.

    Attributes:
        text: The number or words.
        unit: What the number counts, set apart.
        sub: A second, quieter line: a range, a reason, a note.
        href: Where the number's working stands, e.g. ``#w12``.
        tone: Any of ``good``, ``bad``, ``doubt``, ``quiet``, ``picked``, ``h0`` to ``h5`` and ``e0`` to ``e5`` (heat).
        bar_ratio: 0-1 draws a bar of that share behind the number; negative draws none.
    """

    text: str
    unit: str = ""
    sub: str = ""
    href: str = ""
    tone: str = ""
    bar_ratio: float = -1.0


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row, a cell for each column; ``mark`` is ``chosen``, ``bad``, ``total`` or empty."""

    cells: tuple[Cell, ...]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its one-line reading aid; ``notes`` stand below it and say what was left out or is unknown."""

    caption: str
    aid: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure as inline SVG with its reading aid and the table of what it draws."""

    name: str
    title: str
    aid: str
    svg: str
    tables: tuple[Table, ...]
    wide: bool = False


class Fact(NamedTuple):
    """One of the few figures that stand at the head of a page."""

    label: str
    text: str
    unit: str = ""
    sub: str = ""
    href: str = ""
    tone: str = ""


class Note(NamedTuple):
    """A doubt: what, what it could change, what to do about it."""

    what: str
    effect: str
    remedy: str


class Term(NamedTuple):
    """A word of the glossary and its meaning; ``name`` is its anchor."""

    name: str
    word: str
    meaning: str


def cells(*texts: str) -> tuple[Cell, ...]:
    """Cells of nothing but text."""
    return tuple(Cell(text) for text in texts)
