"""Ranges and how they become figures: interval arithmetic, bases, and the rule low <= value <= high."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from planner.records import Basis, Figure

# From what can be trusted most to what least; a derived number is as good as its weakest part.
_TRUST = (Basis.COMPUTED, Basis.MEASURED, Basis.PUBLISHED, Basis.ASSUMED, Basis.EXTRAPOLATED)


class Range(NamedTuple):
    """A non-negative number with the ends of its range; in sums and products all ends fall together."""

    value: float
    low: float
    high: float

    @classmethod
    def exact(cls, value: float) -> Range:
        """A number without a range."""
        return cls(value, value, value)

    def plus(self, other: Range | float) -> Range:
        """The sum."""
        return self._with(other, lambda a, b: a + b)

    def times(self, other: Range | float) -> Range:
        """The product."""
        return self._with(other, lambda a, b: a * b)

    def over(self, other: Range) -> Range:
        """The quotient; the low end divides by the high one."""
        return Range(self.value / other.value, self.low / other.high, self.high / other.low)

    def at_least(self, floor: float) -> Range:
        """Every end raised to ``floor`` where it lies below."""
        return Range(*(max(end, floor) for end in self))

    def _with(self, other: Range | float, operation: Callable[[float, float], float]) -> Range:
        ends = other if isinstance(other, Range) else Range.exact(other)
        return Range(*(float(operation(a, b)) for a, b in zip(self, ends, strict=True)))


def ordered(value: float, *others: float) -> Range:
    """``value`` with the least and the greatest of all given numbers as its ends."""
    return Range(value, min(value, *others), max(value, *others))


def weakest(*bases: Basis) -> Basis:
    """The basis of a number that rests on all of these."""
    return max(bases, key=_TRUST.index)


def figure(amount: Range | float, unit: str, basis: Basis, source: str, working: str) -> Figure:
    """A known figure.

    Raises:
        ValueError: ``low <= value <= high`` does not hold, or source or working is empty.
    """
    value, low, high = (float(end) for end in (amount if isinstance(amount, Range) else Range.exact(amount)))
    if not low <= value <= high:
        raise ValueError(f"figure {unit}: got {low}, {value}, {high}, must be low <= value <= high")
    if not source or not working:
        raise ValueError(f"figure {unit}: source and working must not be empty")
    return Figure(value=value, low=low, high=high, unit=unit, basis=basis, source=source, working=working)


def unknown(unit: str, source: str, working: str, reason: str) -> Figure:
    """A figure without a value, and why."""
    nothing = {"value": None, "low": None, "high": None}
    return Figure(unit=unit, basis=Basis.COMPUTED, source=source, working=working, reason=reason, **nothing)


def ends_of(known: Figure) -> Range:
    """The range of a figure that has a value.

    Raises:
        ValueError: It has none.
    """
    if known.value is None or known.low is None or known.high is None:
        raise ValueError(f"a figure in {known.unit} without a value: {known.reason}")
    return Range(known.value, known.low, known.high)
