"""What a run's samples say: when the load was steady; medians, 95th percentiles and peaks while it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from loadgen.measure.names import QUANTITIES
from loadgen.run import RunFile

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Window = tuple[float, float]

COUNTERS = {q.name for table in QUANTITIES.values() for q in table if q.kind == "counter"} | {"cpu_busy_s"}
NO_MEASURES = {"version", "uptime_s", "start_s"}
# What tells the load's course, best witness first.
WITNESSES = (
    ("collector", "receiver_accepted_spans"),
    ("sink", "receiver_accepted_spans"),
    ("tempo", "received_spans"),
    ("sink", "received_spans"),
)


class Steady(NamedTuple):
    """When the load was steady [s since the epoch], and the counter that tells so."""

    from_s: float
    to_s: float
    source: str
    quantity: str


class Series(NamedTuple):
    """One quantity of one source over time, summed over its labels: times [s], values [unit]."""

    time_s: Floats
    value: Floats
    unit: str

    def within(self, window: Window) -> Series:
        """The part between the window's ends, both included."""
        inside = (self.time_s >= window[0]) & (self.time_s <= window[1])
        return Series(self.time_s[inside], self.value[inside], self.unit)


def _floats(values: object) -> Floats:
    return np.asarray(values, dtype=np.float64).reshape(-1)


def series(run: RunFile, source: str, quantity: str) -> Series:
    """The series of ``quantity`` as ``source`` showed it; empty where it was never seen."""
    rows = run.query(
        "SELECT time_s, SUM(value), MAX(unit) FROM samples WHERE source = ? AND quantity = ?"
        " GROUP BY time_s ORDER BY time_s",
        source,
        quantity,
    )
    return Series(_floats([r[0] for r in rows]), _floats([r[1] for r in rows]), rows[0][2] if rows else "")


def counted(value: Floats) -> Floats:
    """What a counter had counted since its first value; after a restart it counts on from 0."""
    steps = np.diff(value)
    return np.concatenate([[0.0], np.cumsum(np.where(steps < 0, value[1:], steps))])[: len(value)]


def rates(counter: Series) -> Series:
    """The counter's rate [unit/s] between each value and the one before, at the later one's time."""
    steps_s = np.diff(counter.time_s)
    return Series(counter.time_s[1:], np.diff(counted(counter.value)) / steps_s, f"{counter.unit}/s")


def _longest(steady: np.ndarray[tuple[int], np.dtype[np.bool_]], from_s: Floats, to_s: Floats) -> Window | None:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], steady, [False]]).astype(np.int8)))
    runs = [(float(from_s[first]), float(to_s[end - 1])) for first, end in edges.reshape(-1, 2)]
    return max(runs, key=lambda run: run[1] - run[0], default=None)


def steady_window(counter: Series, width_s: float = 5.0, tolerance_ratio: float = 0.1) -> Window | None:
    """The longest time [s, s] in which ``counter`` grew at the run's usual rate; None where there is none.

    Every stretch of ``width_s`` in it differs by at most ``tolerance_ratio`` from the usual rate: the median
    of all such stretches' rates above half the highest, so that pauses before and after do not count. A
    restart ends it: a process that has just begun is in no steady state.
    """
    time_s, count = counter.time_s, counted(counter.value)
    ends = np.searchsorted(time_s, time_s + width_s)
    starts = np.flatnonzero(ends < len(time_s))
    if not len(starts):
        return None
    ends = ends[starts]
    rate = (count[ends] - count[starts]) / (time_s[ends] - time_s[starts])
    usual = np.median(rate[rate >= rate.max() / 2])
    lives = np.concatenate([[0], np.cumsum(np.diff(counter.value) < 0)])
    steady = (np.abs(rate - usual) <= tolerance_ratio * usual) & (rate > 0) & (lives[starts] == lives[ends])
    return _longest(steady, time_s[starts], time_s[ends])


def describe(part: Series) -> dict[str, object]:
    """Median, 95th percentile and peak of a series, with its unit and number of values."""
    median, p95, peak = (float(v) for v in np.quantile(part.value, [0.5, 0.95, 1.0]))
    return {"unit": part.unit, "n": len(part.value), "median": median, "p95": p95, "peak": peak}


def _measure(whole: Series, quantity: str, window: Window) -> dict[str, object] | None:
    part = whole.within(window)
    if quantity not in COUNTERS:
        return describe(part) if len(part.value) else None
    if len(part.value) < 2:
        return None
    totals = {
        "increase": float(counted(whole.value)[-1]),  # of the whole run
        "restarts": int(np.sum(np.diff(whole.value) < 0)),
    }
    return describe(rates(part)) | totals


def _processes(run: RunFile) -> Iterator[tuple[str, str, Series]]:
    rows = run.query(
        "SELECT quantity, labels, time_s, value, unit FROM samples WHERE source = 'process' ORDER BY time_s"
    )
    groups: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    for quantity, labels, *point in rows:
        groups.setdefault((labels, quantity), []).append((point[0], point[1], point[2]))
    for (labels, quantity), points in groups.items():
        named = json.loads(labels)
        values = Series(_floats([p[0] for p in points]), _floats([p[1] for p in points]), points[0][2])
        yield f"process {named['name']} {named['pid']}", quantity, values


def _every(run: RunFile) -> Iterator[tuple[str, str, Series]]:
    for source, quantity in run.query("SELECT DISTINCT source, quantity FROM samples WHERE source != 'process'"):
        if quantity not in NO_MEASURES:
            yield source, quantity, series(run, source, quantity)
    yield from _processes(run)


def _steady(run: RunFile) -> Steady | None:
    for source, quantity in WITNESSES:
        window = steady_window(series(run, source, quantity))
        if window:
            return Steady(*window, source, quantity)
    return None


def _versions(run: RunFile) -> Mapping[str, list[str]]:
    rows = run.query("SELECT DISTINCT source, labels FROM samples WHERE quantity = 'version' ORDER BY time_s")
    found: dict[str, list[str]] = {}
    for source, labels in rows:
        found.setdefault(source, []).append(json.loads(labels)["version"])
    return found


def summary(run: RunFile) -> dict[str, object]:
    """What was measured while the load was steady, by source and quantity; ready for JSON.

    ``steady`` is None where the load never was: the figures are those of the whole run then. Counters
    are given as rates, with ``increase`` and ``restarts`` over the whole run. ``gaps`` counts the looks
    that failed, by source.
    """
    steady = _steady(run)
    window = (steady.from_s, steady.to_s) if steady else (-np.inf, np.inf)
    sources: dict[str, dict[str, object]] = {}
    for source, quantity, whole in _every(run):
        measured = _measure(whole, quantity, window)
        if measured:
            sources.setdefault(source, {})[quantity] = measured
    gaps = dict(run.query("SELECT source, COUNT(*) FROM gaps GROUP BY source"))
    shown = steady._asdict() if steady else None
    return {"steady": shown, "sources": sources, "versions": _versions(run), "gaps": gaps}
