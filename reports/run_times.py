"""A run over time: rates, lateness and memory in at most 240 equal steps."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from loadgen.run.file import RunFile
from loadgen.run.lateness import OVER_US, quantile_us
from reports.run_facts import Asked, RunFacts

STEPS = 240
MEMORY_SERIES = 4
WRITTEN_EVERY_S = 1.0  # how often a run's ledger and lateness are written
STATES = ("offered", "accepted", "refused", "rejected", "unknown", "shed")

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


class Memory(NamedTuple):
    """Resident memory of one process over time [s since the load began, bytes]."""

    source: str
    time_s: Floats
    rss_bytes: Floats


class Timeline(NamedTuple):
    """Rates [spans/s] in each step, lateness [s] of its sends, memory at its own times.

    Attributes:
        edges_s: Ends of the steps [s since the load began], one more than steps.
        asked: What was asked; not-a-number without a rate on record.
        rates: By ledger state.
        p50_s: Median lateness; not-a-number in steps without a send, infinite past the histogram's end.
        p99_s: 99th percentile likewise.
        memory: At most four processes.
    """

    edges_s: Floats
    asked: Floats
    rates: dict[str, Floats]
    p50_s: Floats
    p99_s: Floats
    memory: tuple[Memory, ...]

    @property
    def lost(self) -> Floats:
        """Sent without an OK [spans/s]."""
        total: Floats = self.rates["refused"] + self.rates["rejected"] + self.rates["unknown"]
        return total


def read_timeline(run: RunFile, facts: RunFacts) -> Timeline | None:
    """The run's course from the begin of its load to its last entry; None where nothing was offered."""
    if facts.load is None:
        return None
    start = facts.load.from_s
    end = run.query("SELECT MAX(time_s) FROM ledger")[0][0]
    steps = int(min(max(round(end - start), 1), STEPS))
    edges = np.linspace(0.0, end - start, steps + 1)
    p50, p99 = _lateness(run, start, edges)
    return Timeline(
        edges,
        _asked(facts.asked, start, edges, facts.load.length_s),
        _rates(run, start, edges),
        p50,
        p99,
        _memory(run, start),
    )


def _asked(asked: tuple[Asked, ...], start: float, edges: Floats, length_s: float) -> Floats:
    """The mean of what was asked in each step; a step that the schedule's end cuts is asked for less."""
    if not asked:
        return np.full(len(edges) - 1, np.nan)
    begins = np.array([max(row.time_s - start, 0.0) for row in asked])
    knots = np.minimum([*begins, max(length_s, begins[-1])], length_s)
    spans = np.cumsum([0.0, *(np.diff(knots) * [row.spans_per_s for row in asked])])
    steps: Floats = np.diff(np.interp(edges, knots, spans)) / np.diff(edges)
    return steps


def _rates(run: RunFile, start: float, edges: Floats) -> dict[str, Floats]:
    """Rates by state: each worker's running totals, read off at the steps' ends.

    Workers write at moments of their own; running totals keep a second's counts from falling
    into a neighbouring step.
    """
    width = float(edges[1] - edges[0])
    rows = run.query(
        "SELECT worker, MAX(time_s), state, SUM(spans) FROM ledger"
        " GROUP BY worker, CAST((time_s - ?) / ? AS INTEGER), state ORDER BY 2",
        start,
        width / 4,
    )
    by_worker: defaultdict[int, list[tuple[float, str, int]]] = defaultdict(list)
    for worker, time_s, state, spans in rows:
        by_worker[worker].append((time_s - start, state, spans))
    totals = {state: np.zeros(len(edges)) for state in STATES}
    for told in by_worker.values():
        for state in STATES:
            totals[state] += _running(told, state, edges, width)
    return {state: np.diff(total) / width for state, total in totals.items()}


def _running(told: list[tuple[float, str, int]], state: str, edges: Floats, width: float) -> Floats:
    times = np.unique([time_s for time_s, _, _ in told])
    counts = np.zeros(len(times))
    for time_s, of, spans in told:
        if of == state:
            counts[np.searchsorted(times, time_s)] += spans
    begin = min(0.0, times[0]) if times[0] < 2 * width + 1 else times[0] - width  # a late joiner began late
    found: Floats = np.interp(edges, [begin, *times], [0.0, *np.cumsum(counts)])
    return found


def _lateness(run: RunFile, start: float, edges: Floats) -> tuple[Floats, Floats]:
    width = float(edges[1] - edges[0])
    rows = run.query(
        "SELECT CAST((time_s - ?) / ? AS INTEGER), le_us, SUM(requests) FROM lateness GROUP BY 1, 2",
        start + WRITTEN_EVERY_S / 2,  # a row stands at its interval's end and is counted at its middle
        width,
    )
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for step, bound, requests in rows:
        found[min(max(int(step), 0), len(edges) - 2)][int(bound)] = int(requests)
    lines = []
    for q in (0.5, 0.99):
        line = np.full(len(edges) - 1, np.nan)
        for step, counts in found.items():
            bound = quantile_us(counts, q)
            line[step] = np.nan if bound is None else np.inf if bound >= OVER_US else bound / 1e6
        lines.append(line)
    return lines[0], lines[1]


def _memory(run: RunFile, start: float) -> tuple[Memory, ...]:
    rows = run.query(
        "SELECT source, labels, time_s, MAX(value) FROM samples WHERE quantity = 'rss_bytes'"
        " GROUP BY source, labels, time_s ORDER BY source, labels, time_s"
    )
    found: dict[str, list[tuple[float, float]]] = {}
    for source, labels, time_s, value in rows:
        named = json.loads(labels)
        name = f"{named['name']} {named['pid']}" if source == "process" and {"name", "pid"} <= set(named) else source
        found.setdefault(name, []).append((time_s - start, value))
    return tuple(Memory(name, *_thinned(points)) for name, points in list(found.items())[:MEMORY_SERIES])


def _thinned(points: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    """At most 240 points, each the highest of its neighbours: a peak is what memory is about."""
    table = np.array(sorted(points))
    parts = np.array_split(table, min(STEPS, len(table)))
    kept = np.array([part[np.argmax(part[:, 1])] for part in parts])
    return kept[:, 0], kept[:, 1]
