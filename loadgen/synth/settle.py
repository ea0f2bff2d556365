"""What happened in the end: outcomes from the leaves up, times from the root down.

A failed call ends its caller's work: later calls of the same lane and all later steps are cut.
A retry happens only if every attempt before it failed. The caller's own time is spread evenly
before, between and after its steps; a step lasts as long as its longest lane, a lane as long as
its calls one after the other. So a child always lies within its parent, unless it is detached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.synth.program import Program
from loadgen.synth.tree import NO_CAUSE, Ints, Level


@dataclass(slots=True)
class Outcome:
    """Per span of a level: whether it happened (given that its parent did), how long, when after its parent."""

    happened: NDArray[np.bool_]
    duration_ns: Ints
    offset_ns: Ints
    cause: Ints


def settle(program: Program, levels: list[Level]) -> list[Outcome]:
    """The outcome of every level, roots first."""
    outcomes = [_leaves(level) for level in levels]
    for depth in range(len(levels) - 1, 0, -1):
        _settle_calls(program, levels[depth - 1], outcomes[depth - 1], levels[depth], outcomes[depth])
    return outcomes


def _leaves(level: Level) -> Outcome:
    n = len(level.trace)
    return Outcome(np.ones(n, np.bool_), level.own_ns.copy(), np.zeros(n, np.int64), level.cause.copy())


def _settle_calls(program: Program, above: Level, caller: Outcome, level: Level, called: Outcome) -> None:
    """Cut what did not happen at ``level``, place what did, and make it felt by the callers above."""
    calls = program.calls
    pause_ns = _retries(program, level, called)
    failing = called.happened & (called.cause != NO_CAUSE) & ~calls.ignores[level.call]
    failing &= level.attempt == calls.attempts[level.call] - 1
    stopped_at = np.full(len(above.trace), NO_CAUSE)
    if failing.any():
        _stop_at_failure(program, above, caller, level, called, failing, stopped_at)
    spent_ns = np.where(called.happened & ~calls.detached[level.call], called.duration_ns + pause_ns, 0)
    gap_ns = above.own_ns // (program.steps[above.operation] + 1)
    before_ns, total_ns = _schedule(level.parent, calls.step[level.call], calls.lane[level.call], spent_ns)
    called.offset_ns = gap_ns[level.parent] * (calls.step[level.call] + 1) + before_ns + pause_ns
    np.add.at(caller.duration_ns, total_ns[0], total_ns[1])
    stopped = np.flatnonzero(stopped_at != NO_CAUSE)
    skipped = program.steps[above.operation[stopped]] - calls.step[level.call[stopped_at[stopped]]] - 1
    caller.duration_ns[stopped] -= gap_ns[stopped] * skipped


def _retries(program: Program, level: Level, called: Outcome) -> Ints:
    """Keep an attempt only if the one before it happened and failed; its pause before it [ns]."""
    pause_ns = np.zeros(len(level.trace), np.int64)
    for attempt in range(1, int(level.attempt.max(initial=0)) + 1):
        at = np.flatnonzero(level.attempt == attempt)
        called.happened[at] = called.happened[at - 1] & (called.cause[at - 1] != NO_CAUSE)
        pause_ns[at] = program.calls.backoff_ns[level.call[at]] << (attempt - 1)
    return pause_ns


def _stop_at_failure(
    program: Program,
    above: Level,
    caller: Outcome,
    level: Level,
    called: Outcome,
    failing: NDArray[np.bool_],
    stopped_at: Ints,
) -> None:
    """The first failing call of each caller fails it and cuts what would have come after."""
    first = np.flatnonzero(failing)[::-1]
    stopped_at[level.parent[first]] = first  # reversed: the earliest is written last and stays
    cause = stopped_at[level.parent]
    later = np.flatnonzero((cause != NO_CAUSE) & (np.arange(len(cause)) > cause))
    step, lane = program.calls.step[level.call], program.calls.lane[level.call]
    culprit = cause[later]
    cut = (step[later] > step[culprit]) | (lane[later] == lane[culprit])
    called.happened[later[cut]] = False
    failed = np.flatnonzero(stopped_at != NO_CAUSE)
    caller.cause[failed] = program.causes.inherited[above.operation[failed]]


def _schedule(parent: Ints, step: Ints, lane: Ints, spent_ns: Ints) -> tuple[Ints, tuple[Ints, Ints]]:
    """When each call starts after its caller's first, and what the callers' calls take in total.

    Returns:
        before_ns: Time spent in earlier steps and earlier calls of the lane, int64[n].
        total: (callers that have calls, time their steps take [ns]).
    """
    new_step = np.empty(len(parent), np.bool_)
    new_step[0] = True
    new_step[1:] = (parent[1:] != parent[:-1]) | (step[1:] != step[:-1])
    new_lane = new_step.copy()
    new_lane[1:] |= lane[1:] != lane[:-1]
    lanes, steps = np.flatnonzero(new_lane), np.flatnonzero(new_step)
    lane_of, step_of = np.cumsum(new_lane) - 1, np.cumsum(new_step) - 1
    lane_ns = np.add.reduceat(spent_ns, lanes)
    step_ns = np.maximum.reduceat(lane_ns, lane_of[steps])
    running = np.cumsum(spent_ns) - spent_ns
    in_lane_ns = running - running[lanes][lane_of]
    step_start = np.cumsum(step_ns) - step_ns
    step_parent = parent[steps]
    new_caller = np.concatenate([[True], step_parent[1:] != step_parent[:-1]])
    first_step, caller_of_step = np.flatnonzero(new_caller), np.cumsum(new_caller) - 1
    step_start -= step_start[first_step][caller_of_step]
    totals = np.add.reduceat(step_ns, first_step)
    return step_start[step_of] + in_lane_ns, (step_parent[first_step], totals)
