"""What a drawn trace looks like: who calls whom, when, how often, and what a failure does to the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.synth import Program, SpanBatch, compile_topology, draw
from loadgen.topology import Operation, Topology, load_topology
from loadgen.topology.model import Call

Draw = Callable[..., tuple[Program, SpanBatch]]
Make = Callable[..., Topology]
MS = 1_000_000


def names(program: Program, batch: SpanBatch) -> list[str]:
    """The name of each span."""
    return [program.forms[form].name for form in batch.form.tolist()]


def own_trace(program: Program, batch: SpanBatch, number: int = 0) -> list[tuple[str, float, float]]:
    """Name, start and end [ms after the trace's start] of each span of one trace."""
    rows = range(int(batch.first_span[number]), int(batch.first_span[number + 1]))
    base = int(batch.starts_ns[number])
    named = names(program, batch)
    return [(named[i], (int(batch.start_ns[i]) - base) / MS, (int(batch.end_ns[i]) - base) / MS) for i in rows]


def failed(batch: SpanBatch) -> NDArray[np.bool_]:
    return batch.cause >= 0


# --- what holds for every topology ---------------------------------------------------------------------------------


def check_whole(program: Program, batch: SpanBatch) -> None:
    """Spans lie by trace, parents before children, one root a trace, no parent in another trace."""
    rows = np.arange(batch.spans)
    roots = batch.first_span[:-1]
    assert (np.diff(batch.trace) >= 0).all()
    assert (np.bincount(batch.trace, minlength=batch.traces) == batch.spans_per_trace()).all()
    assert (np.flatnonzero(batch.parent < 0) == roots).all()
    below = batch.parent >= 0
    assert (batch.parent[below] < rows[below]).all()
    assert (batch.trace[batch.parent[below]] == batch.trace[below]).all()
    assert (batch.start_ns[below] >= batch.start_ns[batch.parent[below]]).all()
    assert (batch.end_ns >= batch.start_ns).all()
    assert (batch.start_ns[roots] == batch.starts_ns).all()
    check_numbers(program, batch)


def check_numbers(program: Program, batch: SpanBatch) -> None:
    """Every number addresses what it should, and says what the form says."""
    services = list(program.topology.services)
    service_of_resource = np.repeat(np.arange(len(services)), program.instances)
    forms = [program.forms[form] for form in batch.form.tolist()]
    assert [form.service for form in forms] == [services[i] for i in service_of_resource[batch.resource]]
    assert [form.failed for form in forms] == failed(batch).tolist()
    service = service_of_resource[batch.resource]
    assert (batch.remote == ((batch.parent >= 0) & (service[batch.parent] != service))).all()
    counts = np.array([len(form.slots) for form in forms], np.int64)
    assert (batch.first_value == np.cumsum(counts) - counts).all()
    assert len(batch.slot) == len(batch.number) == counts.sum()


def check_inside(batch: SpanBatch, detached: NDArray[np.bool_]) -> None:
    """A child ends before its parent unless it was called asynchronously."""
    bound = np.flatnonzero((batch.parent >= 0) & ~detached)
    assert (batch.end_ns[bound] <= batch.end_ns[batch.parent[bound]]).all()


@pytest.mark.parametrize("name", ["checkout", "deploy"])
def test_shipped_topologies_make_whole_traces(name: str) -> None:
    """No orphan, no child outside its parent, no number that addresses nothing, in a thousand traces."""
    topology = load_topology(name)
    program = compile_topology(topology)
    batch = draw(program, 3, "run", 5, np.arange(1000) * 10**7 + 10**18)
    check_whole(program, batch)
    targets = [c.call for _, o in topology.operations().values() for c in o.each_call() if c.asynchronous]
    detached = np.isin(batch.operation, [program.names.index(target) for target in targets if target is not None])
    check_inside(batch, detached)


# --- every time and cut, against a second implementation -----------------------------------------------------------


class Checker:
    """Walks a trace of a topology with fixed durations call by call, and says what must have happened."""

    def __init__(self, topology: Topology, program: Program, batch: SpanBatch) -> None:
        self.topology, self.program, self.batch = topology, program, batch
        self.children: defaultdict[int, list[int]] = defaultdict(list)
        for i, parent in enumerate(batch.parent.tolist()):
            self.children[parent].append(i)

    def name(self, span: int) -> str:
        """The operation that a span is of, as ``service/operation``."""
        return str(self.program.names[self.batch.operation[span]])

    def check(self, span: int) -> None:
        """The span's calls, their times, its own duration and outcome, and the same for all below it."""
        operation = self.topology.operations()[self.name(span)][1]
        left = {self.name(child) for child in self.children[span]}
        gap_ns = (operation.latency.fixed or 0) // (len(operation.calls) + 1)
        now_ns, skipped, stopped = int(self.batch.start_ns[span]), 0, False
        for step in operation.calls:
            if stopped:
                skipped += 1
                continue
            now_ns += gap_ns
            lanes = [self.lane(span, call, now_ns) for call in step.parallel]
            now_ns += max(spent_ns for spent_ns, _ in lanes)
            stopped = any(fails for _, fails in lanes)
            left -= {str(call.call) for call in step.parallel}
        assert left == set(), "calls after a failure"
        rest_ns = (operation.latency.fixed or 0) - gap_ns * len(operation.calls)
        assert int(self.batch.end_ns[span]) == now_ns + rest_ns
        self.outcome(span, operation, stopped)
        for child in self.children[span]:
            self.check(child)

    def lane(self, span: int, call: Call, begin_ns: int) -> tuple[int, bool]:
        """Checks the spans of one call; the time they took of the caller's, and whether they stop it."""
        if call.wait is not None:
            return (call.wait.fixed or 0) * call.times[0], False
        now_ns, fails = begin_ns, False
        items = self.items(span, call)
        for item in items:
            assert not fails, "a call after one that failed for good"
            assert len(item) <= 1 + call.retries
            attempt_ns = begin_ns if call.asynchronous else now_ns
            for attempt, child in enumerate(item):
                attempt_ns += call.backoff << (attempt - 1) if attempt else 0
                assert int(self.batch.start_ns[child]) == attempt_ns
                attempt_ns = int(self.batch.end_ns[child])
            now_ns = begin_ns if call.asynchronous else attempt_ns
            fails = bool(failed(self.batch)[item[-1]]) and not call.asynchronous and call.on_error == "fail"
        assert len(items) <= call.times[1]
        assert len(items) >= call.times[0] or fails or (not items and call.probability < 1)
        return now_ns - begin_ns, fails

    def items(self, span: int, call: Call) -> list[list[int]]:
        """The call's spans, those of one item together: attempts go on until one succeeds or none is left."""
        items: list[list[int]] = []
        for child in self.children[span]:
            if self.name(child) == call.call:
                again = items and failed(self.batch)[items[-1][-1]] and len(items[-1]) <= call.retries
                items = [*items[:-1], [*items[-1], child]] if again else [*items, [child]]
        return items

    def outcome(self, span: int, operation: Operation, stopped: bool) -> None:
        """A stopped caller fails without an exception; any other one fails by one of its own failures, or not."""
        form = self.program.forms[self.batch.form[span]]
        assert form.failed == (stopped or form.failure is not None)
        assert not (stopped and form.failure is not None)
        assert form.failure is None or form.failure in operation.failures


@given(st.data())
@settings(max_examples=120, phases=[Phase.generate])  # a smaller example would take minutes to find
def test_every_time_follows_from_the_calls_that_were_made(make: Make, trees: Any, data: st.DataObject) -> None:
    """Calls, retries, back-off, waits, failures and every start and end are those of a plain walk over the trace."""
    topology = make(data.draw(trees))
    program = compile_topology(topology)
    batch = draw(program, data.draw(st.integers(0, 2**64)), "run", 0, np.arange(12) * 1000 + 10**18)
    check_whole(program, batch)
    checker = Checker(topology, program, batch)
    for root in batch.first_span[:-1].tolist():
        checker.check(root)


# --- one rule at a time, in plain numbers ---------------------------------------------------------------------------


def test_calls_follow_one_another_and_parallel_ones_start_together(drawn: Draw) -> None:
    """Own time is spread evenly around the steps; a step lasts as long as its longest lane."""
    calls = ["s/a", {"parallel": ["s/b", {"call": "s/c", "times": [2, 2]}]}, "s/a"]
    tree = {
        "o": {"latency": "8ms", "calls": calls},
        "a": {"latency": "1ms"},
        "b": {"latency": "5ms"},
        "c": {"latency": "3ms"},
    }
    assert own_trace(*drawn(tree, 1)) == [
        ("o", 0, 16), ("a", 2, 3), ("b", 5, 10), ("c", 5, 8), ("c", 8, 11), ("a", 13, 14),
    ]  # fmt: skip


def test_a_wait_takes_time_and_makes_no_span(drawn: Draw) -> None:
    """A pause is seen only in the time that passes."""
    tree = {"o": {"latency": "3ms", "calls": [{"wait": "10ms", "times": [2, 2]}, "s/a"]}, "a": {}}
    assert own_trace(*drawn(tree, 1)) == [("o", 0, 24), ("a", 22, 23)]


def test_an_asynchronous_call_takes_no_time_of_its_caller(drawn: Draw) -> None:
    """It starts where it was called, may end after its caller, and never fails it."""
    calls = [{"call": "s/a", "async": True}, "s/b"]
    tree = {
        "o": {"latency": "3ms", "calls": calls},
        "a": {"latency": "9ms", "failures": [{"rate": 1, "type": "E"}]},
        "b": {},
    }
    program, batch = drawn(tree, 1)
    assert own_trace(program, batch) == [("o", 0, 4), ("a", 1, 10), ("b", 2, 3)]
    assert failed(batch).tolist() == [False, True, False]


ALWAYS = [{"rate": 1, "type": "E"}]


def test_attempts_of_an_asynchronous_call_follow_one_another(drawn: Draw) -> None:
    """A retry comes after the failure that it answers, however little the caller cares."""
    calls = [{"call": "s/a", "async": True, "retries": 2, "backoff": "4ms"}]
    tree = {"o": {"latency": "2ms", "calls": calls}, "a": {"latency": "9ms", "failures": ALWAYS}}
    assert own_trace(*drawn(tree, 1)) == [("o", 0, 2), ("a", 1, 10), ("a", 14, 23), ("a", 31, 40)]


def test_retries_follow_failures_with_a_backoff_that_doubles(drawn: Draw) -> None:
    """Three retries of a call that always fails, and then its caller fails."""
    calls = [{"call": "s/a", "retries": 3, "backoff": "2ms"}, "s/b"]
    tree = {"o": {"latency": "3ms", "calls": calls}, "a": {"failures": ALWAYS}, "b": {}}
    program, batch = drawn(tree, 1)
    spans = [("o", 0, 20), ("a", 1, 2), ("a", 4, 5), ("a", 9, 10), ("a", 18, 19)]
    assert own_trace(program, batch) == spans
    assert failed(batch).all()


def test_no_retry_follows_a_success(drawn: Draw) -> None:
    """What works at once is not tried again."""
    _, batch = drawn({"o": {"calls": [{"call": "s/a", "retries": 5}]}, "a": {}}, 50)
    assert (batch.spans_per_trace() == 2).all()


def test_a_failure_cuts_later_steps_and_fails_its_callers(drawn: Draw) -> None:
    """What a failed call prevents does not happen, up to the root, which says so without an exception of its own."""
    tree = {"o": {"calls": ["s/a", "s/b"]}, "a": {"calls": ["s/c", "s/b"]}, "b": {}, "c": {"failures": ALWAYS}}
    program, batch = drawn(tree, 1)
    assert names(program, batch) == ["o", "a", "c"]
    assert [program.forms[form].failure is None for form in batch.form.tolist()] == [True, True, False]
    assert failed(batch).all()


def test_an_ignored_failure_stays_where_it_is(drawn: Draw) -> None:
    """``on_error: ignore`` goes on, and the caller succeeds."""
    calls = [{"call": "s/a", "on_error": "ignore", "times": [2, 2]}, "s/b"]
    program, batch = drawn({"o": {"calls": calls}, "a": {"failures": ALWAYS}, "b": {}}, 1)
    assert names(program, batch) == ["o", "a", "a", "b"]
    assert failed(batch).tolist() == [False, True, True, False]


def test_each_lane_of_a_parallel_step_stops_at_its_own_failure(drawn: Draw) -> None:
    """Two lanes that fail in one step both stop there; a lane that does not fail goes on to its end."""
    lanes = [{"call": f"s/{name}", "times": [3, 3]} for name in ("a", "b", "c")]
    tree = {"o": {"calls": [{"parallel": lanes}, "s/c"]}, "a": {"failures": ALWAYS}, "b": {"failures": ALWAYS}, "c": {}}
    program, batch = drawn(tree, 1)
    assert names(program, batch) == ["o", "a", "b", "c", "c", "c"]


def test_a_failed_caller_has_the_time_it_used(drawn: Draw) -> None:
    """The own time that belongs after the cut is not spent."""
    tree = {"o": {"latency": "4ms", "calls": ["s/a", "s/b", "s/b"]}, "a": {"failures": ALWAYS}, "b": {}}
    assert own_trace(*drawn(tree, 1)) == [("o", 0, 3), ("a", 1, 2)]


def test_a_failing_operation_still_makes_its_calls(drawn: Draw) -> None:
    """A failure of an operation's own shows at its end."""
    program, batch = drawn({"o": {"failures": ALWAYS, "calls": ["s/a"]}, "a": {}}, 1)
    assert names(program, batch) == ["o", "a"]
    assert failed(batch).tolist() == [True, False]


# --- limiting cases --------------------------------------------------------------------------------------------------


def test_a_trace_may_be_one_span_without_length(drawn: Draw) -> None:
    """One operation, no time: start and end are the intended start."""
    program, batch = drawn({"o": {"latency": "0s"}}, 3)
    check_whole(program, batch)
    assert (batch.end_ns == batch.starts_ns).all()
    assert batch.duration_ns().tolist() == [0, 0, 0]


@pytest.mark.parametrize("block", [0, 1, 2**40, 2**62, 2**63 - 1])
def test_any_block_number_can_be_drawn(drawn: Draw, block: int) -> None:
    """Blocks are addressed, not reached: the last one costs what the first one costs."""
    program, batch = drawn({"o": {"calls": ["s/a"]}, "a": {"attributes": {"x": {"hex": 8}}}}, 20, block=block)
    check_whole(program, batch)
    assert (batch.block, batch.spans) == (block, 40)


def test_no_trace_makes_no_span(drawn: Draw) -> None:
    """An empty schedule is an empty batch."""
    _, batch = drawn({"o": {"calls": ["s/a"]}, "a": {}}, 0)
    assert (batch.spans, batch.traces, len(batch.trace_ids)) == (0, 0, 0)


def test_what_is_certain_happens_always(drawn: Draw) -> None:
    """Probability 1 is not nearly 1, nor is a rate of 1."""
    tree = {
        "o": {"calls": [{"call": "s/a", "probability": 1}]},
        "a": {"failures": [{"rate": 0.5, "type": "A"}, {"rate": 0.5, "type": "B"}]},
    }
    _, batch = drawn(tree, 20_000)
    assert (batch.spans_per_trace() == 2).all()
    assert failed(batch).all()


def test_the_least_probable_call_happens_sometime(drawn: Draw) -> None:
    """Probabilities are kept to a part in four thousand million; only below that a call is never made."""
    program = drawn({"o": {"calls": [{"call": "s/a", "probability": 1e-9}]}, "a": {}}, 1)[0]
    assert program.calls.below.tolist() == [4]


def test_the_end_may_be_what_is_intended(make: Make) -> None:
    """For traces that are sent whole: each ends when it is to be sent, its last span included."""
    calls = [{"call": "s/a", "async": True}]
    tree = {
        "o": {"latency": {"p50": "2ms", "p95": "9ms"}, "calls": calls},
        "a": {"latency": {"p50": "2ms", "p95": "9ms"}},
    }
    program = compile_topology(make(tree))
    due_ns = np.arange(500) * 12345 + 10**18
    batch = draw(program, 1, "run", 0, due_ns, ending=True)
    assert (np.maximum.reduceat(batch.end_ns, batch.first_span[:-1]) == due_ns).all()
    same = draw(program, 1, "run", 0, due_ns)
    assert (same.end_ns - same.start_ns == batch.end_ns - batch.start_ns).all()
    assert (same.span_ids == batch.span_ids).all()


def test_a_week_of_waiting_does_not_overflow(drawn: Draw) -> None:
    """The longest durations, repeated, stay right to the nanosecond."""
    calls = [{"wait": "168h", "times": [1000, 1000]}, "s/a"]
    program, batch = drawn({"o": {"latency": "0s", "calls": calls}, "a": {"latency": "1ns"}}, 3)
    week_ns = 7 * 24 * 3600 * 10**9
    assert (batch.duration_ns() == 1000 * week_ns + 1).all()
    check_whole(program, batch)


def test_a_wide_latency_ends_within_a_week(drawn: Draw) -> None:
    """A log-normal whose tail would not fit in 64 bits is cut at the longest duration."""
    program, batch = drawn({"o": {"latency": {"p50": "1ms", "p95": "1h"}}}, 20_000)
    week_ns = 7 * 24 * 3600 * 10**9
    assert program.latency.max() == week_ns
    assert 0 <= batch.duration_ns().min() <= batch.duration_ns().max() <= week_ns
