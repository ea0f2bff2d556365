"""Growing traces, level by level: which calls happen, how often, and what each span draws for itself.

Everything that could happen is drawn, whatever its siblings do; what a failure then prevents
is cut in :mod:`loadgen.synth.settle`. So a failure in one place moves no draw in another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadgen.synth.program import Program
from loadgen.synth.quantiles import draw_quantile
from loadgen.synth.streams import Stream, high, low

Ints = NDArray[np.int64]
NO_CAUSE = -1


@dataclass(slots=True)
class Level:
    """All spans of one depth, in the order of their parents and of the calls that made them.

    ``parent`` indexes the level above; ``call`` is the call site, ``attempt`` counts retries from 0.
    ``own_ns`` is the time that is the operation's own, ``cause`` its own failure or NO_CAUSE. ``repeated`` says
    whether any call here was made more than once, retries included.
    """

    trace: Ints
    operation: Ints
    parent: Ints
    call: Ints
    attempt: Ints
    own_ns: Ints
    cause: Ints
    repeated: bool


def ragged(counts: Ints) -> tuple[Ints, Ints]:
    """For groups of ``counts`` members: each member's group, and its number within the group."""
    group = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(counts)
    return group, np.arange(len(group)) - (ends - counts).take(group)


def grow(program: Program, traces: int, stream: Stream) -> list[Level]:
    """Levels of ``traces`` traces, roots first; the last one has spans, and none below it."""
    words = stream.words(traces)
    column = (high(words) * np.uint64(len(program.entry)) >> np.uint64(32)).astype(np.intp)
    entry = np.where(low(words) < program.entry_accept[column], column, program.entry_alias[column].astype(np.intp))
    none = np.full(traces, -1)
    ranks = _Ranks(np.arange(traces), program.entry[entry], none, none, np.zeros(traces, np.int64), repeated=False)
    levels = [_level(program, ranks, stream)]
    while (below := _below(program, levels[-1], stream)) is not None:
        levels.append(below)
    return levels


class _Ranks(NamedTuple):
    """Where the spans of a level stand, before they draw for themselves; fields as of Level."""

    trace: Ints
    operation: Ints
    parent: Ints
    call: Ints
    attempt: Ints
    repeated: bool


def _below(program: Program, above: Level, stream: Stream) -> Level | None:
    calls = program.calls
    parent, nth = ragged(calls.count.take(above.operation))
    if not len(parent):
        return None
    call = calls.first.take(above.operation).take(parent) + nth
    words = stream.words(len(call))
    made = np.flatnonzero(high(words) < calls.below.take(call))
    if len(made) < len(call):
        parent, call, words = parent.take(made), call.take(made), words.take(made)
    items = calls.least.take(call) + (low(words) * calls.spread.take(call) >> np.uint64(32)).astype(np.int64)
    attempts = calls.attempts.take(call)
    items *= attempts
    attempt = np.zeros(len(call), np.int64)
    repeated = bool((items > 1).any())
    if repeated:
        item, nth = ragged(items)
        parent, call, attempt = parent.take(item), call.take(item), nth % attempts.take(item)
    if not len(parent):
        return None
    ranks = _Ranks(above.trace.take(parent), calls.target.take(call), parent, call, attempt, repeated)
    return _level(program, ranks, stream)


def _level(program: Program, ranks: _Ranks, stream: Stream) -> Level:
    words = stream.words(len(ranks.trace))
    own_ns = draw_quantile(program.latency, ranks.operation, high(words))
    cause = _own_cause(program, ranks.operation, low(words))
    return Level(*ranks[:5], own_ns, cause, ranks.repeated)


def _own_cause(program: Program, operation: Ints, word: NDArray[np.uint64]) -> Ints:
    causes = program.causes
    cause = np.full(len(operation), NO_CAUSE)
    for span in np.flatnonzero(word < causes.any_below.take(operation)).tolist():
        first = causes.first[operation[span]]
        below = causes.below[first : first + causes.count[operation[span]]]
        cause[span] = first + np.searchsorted(below, word[span], side="right")
    return cause
