"""Value slots: how each varying attribute of each kind of span draws its value.

A drawn value is one number (uint64), whose meaning is the slot's:

    POOL     index into the slot's encoded values
    NUMBER   the integer itself
    RAW      64 random bits, from which hex and uuid digits are made
    TIME     nanoseconds since the epoch, shown as RFC 3339 text
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from loadgen.synth.pools import alias_table, pool_values, pool_weights
from loadgen.synth.streams import Words, high, low
from loadgen.topology import Value
from loadgen.topology.values import Scalar


class Meaning(IntEnum):
    """What a drawn number stands for."""

    POOL = 0
    NUMBER = 1
    RAW = 2
    TIME = 3


DERIVED = {
    "duration_ms": Meaning.NUMBER,
    "children": Meaning.NUMBER,
    "start_time": Meaning.TIME,
    "end_time": Meaning.TIME,
}


@dataclass(frozen=True, slots=True)
class Slot:
    """One varying attribute of one form of span."""

    key: str
    rule: Value  # how it draws: never a constant, never a variable's name
    meaning: Meaning
    variable: int  # index of the per-trace word it uses, -1 for a word of its own
    values: tuple[Scalar, ...]  # what a POOL slot can say


class SlotMaker:
    """Makes slots of attributes; attributes that draw alike share one tuple of values.

    Args:
        variables: The topology's per-trace variables and how they draw.
    """

    def __init__(self, variables: Mapping[str, Value]) -> None:
        self._names = list(variables)
        self._rules = variables
        self._pools: dict[tuple[str, str], tuple[Scalar, ...]] = {}

    def slot(self, key: str, value: Value) -> Slot:
        """The slot of attribute ``key``."""
        variable = self._names.index(value.variable) if value.variable is not None else -1
        rule = self._rules[value.variable] if value.variable is not None else value
        values = self._values(rule, value.variable or key)
        return Slot(key, rule, _meaning(rule, values), variable, values)

    def _values(self, rule: Value, name: str) -> tuple[Scalar, ...]:
        known = rule.model_dump_json(exclude_unset=True), name if rule.text is not None else ""
        if known not in self._pools:
            self._pools[known] = pool_values(rule, name)
        return self._pools[known]


def _meaning(rule: Value, values: tuple[Scalar, ...]) -> Meaning:
    if values:
        return Meaning.POOL
    if rule.derive is not None:
        return DERIVED[rule.derive]
    return Meaning.NUMBER if rule.integer is not None else Meaning.RAW


@dataclass(frozen=True, slots=True)
class SlotTable:
    """All slots of a program as arrays, so that one expression draws every value of a block.

    ``first`` and ``size`` address the alias tables: of a POOL slot its values, of an integer range one
    column with ``size`` the width of the range.
    """

    slots: tuple[Slot, ...]
    has_table: NDArray[np.intp]  # 1 for POOL, else 0
    meaning: NDArray[np.int8]
    variable: NDArray[np.intp]
    first: NDArray[np.intp]
    size: NDArray[np.uint64]
    base: NDArray[np.uint64]  # added to what is drawn: the minimum of a range
    accept: NDArray[np.uint64]  # alias tables: keep the column when the low 32 bits are below this
    alias: NDArray[np.uint64]  # ... else take this one
    text_rule: NDArray[np.intp]  # the first slot with the same rule, so that equal texts are made together


def slot_table(slots: Sequence[Slot]) -> SlotTable:
    """The arrays of ``slots``; equal rules share one alias table."""
    tables: dict[str, tuple[int, int]] = {}
    accept: list[NDArray[np.uint64]] = [np.full(1, 2**32, np.uint64)]  # always: what has no table takes its column
    alias: list[NDArray[np.uint64]] = [np.zeros(1, np.uint64)]
    length = 1  # place 0 belongs to the slots that have no table
    for slot in slots:
        rule = slot.rule.model_dump_json(exclude_unset=True)
        if slot.meaning is Meaning.POOL and rule not in tables:
            take, other = alias_table(pool_weights(slot.rule))
            tables[rule] = length, len(take)
            accept.append(take)
            alias.append(other)
            length += len(take)
    places = [tables.get(slot.rule.model_dump_json(exclude_unset=True), _range(slot)) for slot in slots]
    return SlotTable(
        slots=tuple(slots),
        has_table=np.array([slot.meaning is Meaning.POOL for slot in slots], np.intp),
        meaning=np.array([slot.meaning for slot in slots], np.int8),
        variable=np.array([slot.variable for slot in slots], np.intp),
        first=np.array([first for first, _ in places], np.intp),
        size=np.array([size for _, size in places], np.uint64),
        base=np.array([_least(slot) for slot in slots], np.uint64),
        accept=np.concatenate(accept),
        alias=np.concatenate(alias),
        text_rule=_first_alike([slot.rule.model_dump_json(exclude_unset=True) for slot in slots]),
    )


def _first_alike(rules: Sequence[str]) -> NDArray[np.intp]:
    first: dict[str, int] = {}
    return np.array([first.setdefault(rule, i) for i, rule in enumerate(rules)], np.intp)


def _range(slot: Slot) -> tuple[int, int]:
    """Place and width of a slot without a table: a wide integer range, or digits and derived values."""
    span = slot.rule.integer
    return (0, span.max - span.min + 1) if span is not None else (0, 1)


def _least(slot: Slot) -> int:
    """What is added to a drawn number; the values of a pool begin at its first, whatever that is."""
    if slot.rule.integer is None or slot.meaning is Meaning.POOL:
        return 0
    return slot.rule.integer.min


def draw_numbers(table: SlotTable, slot: NDArray[np.intp], words: Words) -> NDArray[np.uint64]:
    """What each slot makes of its word; derived slots are filled in later.

    Args:
        table: The slots.
        slot: Slot per value, intp[k].
        words: Word per value, uint64[k].
    """
    column = (high(words) * table.size.take(slot)) >> np.uint64(32)
    place = table.first.take(slot) + column.astype(np.intp) * table.has_table.take(slot)
    drawn = np.where(low(words) < table.accept.take(place), column, table.alias.take(place))
    if table.has_table.all():
        return drawn
    drawn += table.base.take(slot)
    raw = np.flatnonzero(table.meaning.take(slot) == Meaning.RAW)
    drawn[raw] = words[raw]
    return drawn
