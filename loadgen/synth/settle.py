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
    step = calls.step.take(level.call)
    pause_ns = _retries(program, level, called) if level.repeated else np.zeros(1, np.int64)
    gap_ns = above.own_ns // (program.steps.take(above.operation) + 1)
    failing = _failing(program, level, called)
    if len(failing):
        stopped_at = _stop_at_failure(program, above, caller, level, called, failing)
        stopped = np.flatnonzero(stopped_at != NO_CAUSE)
        skipped = program.steps[above.operation[stopped]] - step[stopped_at[stopped]] - 1
        caller.duration_ns[stopped] -= gap_ns[stopped] * skipped
    spent_ns = np.where(called.happened, called.duration_ns + pause_ns, 0)
    if calls.detached.any():
        spent_ns[calls.detached.take(level.call)] = 0
    lane = calls.lane.take(level.call)
    if level.repeated or lane.any():
        before_ns, callers, total_ns = _schedule(level.parent, step, lane, spent_ns)
    else:
        before_ns, callers, total_ns = _one_by_one(level.parent, spent_ns)
    called.offset_ns = gap_ns.take(level.parent) * (step + 1) + before_ns + pause_ns
    caller.duration_ns[callers] += total_ns  # each caller stands there once


def _failing(program: Program, level: Level, called: Outcome) -> Ints:
    """Calls, in order, whose failure their callers feel: the last attempt failed and is not ignored."""
    failed = np.flatnonzero(called.cause != NO_CAUSE)
    call = level.call[failed]
    last = level.attempt[failed] == program.calls.attempts[call] - 1
    felt: Ints = failed[called.happened[failed] & last & ~program.calls.ignores[call]]
    return felt


def _retries(program: Program, level: Level, called: Outcome) -> Ints:
    """Keep an attempt only if the one before it happened and failed; its pause before it [ns]."""
    pause_ns = np.zeros(len(level.trace), np.int64)
    for attempt in range(1, int(level.attempt.max(initial=0)) + 1):
        at = np.flatnonzero(level.attempt == attempt)
        called.happened[at] = called.happened[at - 1] & (called.cause[at - 1] != NO_CAUSE)
        pause_ns[at] = program.calls.backoff_ns[level.call[at]] << (attempt - 1)
        # A detached call takes none of its caller's time, but its attempts still follow one another.
        detached = at[program.calls.detached[level.call[at]]]
        pause_ns[detached] += pause_ns[detached - 1] + called.duration_ns[detached - 1]
    return pause_ns


def _stop_at_failure(
    program: Program, above: Level, caller: Outcome, level: Level, called: Outcome, failing: Ints
) -> Ints:
    """The first failing call of each caller fails it; later steps are cut, and in each lane what follows a failure.

    Returns:
        Per caller the call that stopped it, NO_CAUSE where none did.
    """
    stopped_at = np.full(len(above.trace), NO_CAUSE)
    first = failing[::-1]
    stopped_at[level.parent[first]] = first  # reversed: the earliest is written last and stays
    rows = np.flatnonzero(stopped_at[level.parent] != NO_CAUSE)
    culprit = stopped_at[level.parent[rows]]
    step, lane = program.calls.step[level.call], program.calls.lane[level.call]
    fails = np.zeros(len(level.parent), np.bool_)
    fails[failing] = True
    fails = fails[rows]
    failures: Ints = np.cumsum(fails) - fails
    begins = _changes(level.parent[rows], step[rows], lane[rows])
    in_lane: Ints = failures - failures[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    cut = (step[rows] > step[culprit]) | (in_lane > 0)
    called.happened[rows[cut]] = False
    failed = np.flatnonzero(stopped_at != NO_CAUSE)
    caller.cause[failed] = program.causes.inherited[above.operation[failed]]
    return stopped_at


def _one_by_one(parent: Ints, spent_ns: Ints) -> tuple[Ints, Ints, Ints]:
    """What :func:`_schedule` says of calls that are a step each."""
    first = np.flatnonzero(_changes(parent))
    before_ns: Ints = np.cumsum(spent_ns) - spent_ns
    before_ns -= np.repeat(before_ns.take(first), np.diff(np.append(first, len(parent))))
    return before_ns, parent.take(first), np.add.reduceat(spent_ns, first)


def _schedule(parent: Ints, step: Ints, lane: Ints, spent_ns: Ints) -> tuple[Ints, Ints, Ints]:
    """When each call starts after its caller's first, and what the callers' calls take in total.

    Returns:
        before_ns: Time spent in earlier steps and earlier calls of the lane, int64[n].
        callers: Those that have calls, each once.
        total_ns: Time their steps take.
    """
    new_step, new_lane = _changes(parent, step), _changes(parent, step, lane)
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
    return step_start[step_of] + in_lane_ns, step_parent[first_step], totals


def _changes(*keys: Ints) -> NDArray[np.bool_]:
    """Where any key differs from the row before; the first row always does."""
    changed = np.zeros(len(keys[0]), np.bool_)
    changed[:1] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return changed
