"""Which traces leave together, and when: blocks of the schedule cut into requests."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.deliver import LEASE_BLOCKS, MOST_TRACES, Composition, Drawn, Planned, TraceDelivery, request_cuts
from loadgen.pace import EvenPace
from loadgen.synth import Program, compile_topology, draw
from loadgen.topology import Topology

Make = Callable[..., Topology]
T = 1_800_000_000 * 10**9
MS, S = 10**6, 10**9


# --- cuts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrivals_ms", "spans", "expected"),
    [
        # nothing to send
        ([], [], []),
        # one trace is one request
        ([0], [5], [(0, 1)]),
        # full at ten spans: the trace that reaches it still belongs
        ([0, 1, 2, 3], [4, 4, 4, 4], [(0, 3), (3, 4)]),
        # exactly full
        ([0, 1, 2, 3], [5, 5, 5, 5], [(0, 2), (2, 4)]),
        # a trace larger than a request goes alone
        ([0, 1, 2], [50, 1, 1], [(0, 1), (1, 3)]),
        ([0, 1, 2], [1, 50, 1], [(0, 2), (2, 3)]),
        # the window of 100 ms closes before the trace that arrives at its end
        ([0, 99, 100, 199], [1, 1, 1, 1], [(0, 2), (2, 4)]),
        # it opens again with the next trace, whenever that comes
        ([0, 250, 300, 360], [1, 1, 1, 1], [(0, 1), (1, 3), (3, 4)]),
        # all at once
        ([7] * 6, [4] * 6, [(0, 3), (3, 6)]),
    ],
)
def test_requests_are_cut_when_full_or_when_the_window_closes(
    arrivals_ms: list[int], spans: list[int], expected: list[tuple[int, int]]
) -> None:
    """Ten spans a request, 100 ms a window."""
    upto = np.concatenate([[0], np.cumsum(spans)]).astype(np.int64)
    composition = Composition(spans_per_request=10, window_ns=100 * MS)
    assert request_cuts(np.array(arrivals_ms, np.int64) * MS, upto, composition) == expected


TRACES = st.lists(st.tuples(st.integers(0, 80), st.integers(1, 30)), max_size=60)


@given(TRACES, st.integers(1, 60), st.integers(1, 200))
def test_cuts_cover_all_traces_in_order(traces: list[tuple[int, int]], size: int, window_ms: int) -> None:
    """No trace is left out, sent twice or kept waiting; no request is empty, or fuller than its last trace makes it."""
    arrivals = np.cumsum([gap for gap, _ in traces]).astype(np.int64)
    upto = np.concatenate([[0], np.cumsum([spans for _, spans in traces])]).astype(np.int64)
    cuts = request_cuts(arrivals * MS, upto, Composition(spans_per_request=size, window_ns=window_ms * MS))
    assert [i for first, last in cuts for i in range(first, last)] == list(range(len(traces)))
    assert all(first < last for first, last in cuts)
    assert all(upto[last - 1] - upto[first] < size for first, last in cuts)
    assert all(arrivals[last - 1] - arrivals[first] < window_ms for first, last in cuts)
    for (first, last), (_, end) in itertools.pairwise(cuts):
        full = upto[last] - upto[first] >= size
        assert full or arrivals[last] - arrivals[first] >= window_ms, "a request was cut for no reason"
        assert end > last


# --- over time ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(make: Make) -> Program:
    """Traces of one to four spans, with a latency."""
    calls = [{"call": "s/a", "times": [1, 3], "probability": 0.6}]
    return compile_topology(make({"o": {"latency": {"p50": "20ms", "p95": "90ms"}, "calls": calls}, "a": {}}))


SMALL = Composition(spans_per_request=20, window_ns=100 * MS, ahead_ns=250 * MS, spans_per_block=200)


def delivery(
    program: Program, pace: EvenPace, composition: Composition = SMALL, lease: int = 0
) -> tuple[TraceDelivery, list[Drawn]]:
    """A delivery, and the list of the blocks that it will draw."""
    blocks: list[Drawn] = []
    return TraceDelivery(program, 1, "run", pace, composition, 2.2, lease, blocks.append), blocks


def arrivals_of(requests: list[Planned]) -> list[int]:
    """Intended times of the requests' traces."""
    return [int(t) for r in requests for t in r.drawn.batch.starts_ns[r.first : r.first + r.traces]]


def take(delivery: TraceDelivery, count: int) -> list[Planned]:
    return [delivery.take() for _ in range(count)]


@pytest.mark.parametrize("rate", [0.2, 3.0, 50.0, 1000.0])
def test_every_arrival_is_delivered_once_at_its_time(program: Program, rate: float) -> None:
    """Requests follow each other through the blocks and hold the schedule's arrivals, each due at its last."""
    pace = EvenPace(T, rate, 1, 3)
    requests = take(delivery(program, pace)[0], 60)
    arrivals = arrivals_of(requests)
    assert arrivals == pace.arrivals(0, len(arrivals)).tolist()
    ends = np.cumsum([request.traces for request in requests]) - 1
    assert [request.due_ns for request in requests] == [arrivals[end] for end in ends]


def test_requests_name_the_rows_of_their_block(program: Program) -> None:
    """Cuts between spans agree with cuts between traces."""
    delivered, blocks = delivery(program, EvenPace(T, 100.0))
    for request in take(delivered, 20):
        batch, cuts = request.drawn.batch, request.drawn.row_cuts
        assert cuts[request.index] == batch.first_span[request.first]
        assert cuts[request.index + 1] == batch.first_span[request.first + request.traces]
        assert request.spans == batch.spans_per_trace()[request.first : request.first + request.traces].sum()
    assert all(drawn.row_cuts[-1] == drawn.batch.spans for drawn in blocks)


def test_traces_end_when_they_are_sent(program: Program) -> None:
    """A trace that leaves whole is over at its intended time."""
    batch = delivery(program, EvenPace(T, 100.0))[0].take().drawn.batch
    assert (np.maximum.reduceat(batch.end_ns, batch.first_span[:-1]) == batch.starts_ns).all()


def test_blocks_are_numbered_within_the_lease(program: Program) -> None:
    """Two workers never draw the same block, and any of theirs can be drawn again alone."""
    delivered, blocks = delivery(program, EvenPace(T, 50.0), lease=3)
    take(delivered, 10)
    assert [drawn.batch.block for drawn in blocks] == [3 * LEASE_BLOCKS + i for i in range(len(blocks))]
    last = blocks[-1].batch
    again = draw(program, 1, "run", last.block, last.starts_ns, ending=True)
    assert (again.span_ids.tolist(), again.end_ns.tolist()) == (last.span_ids.tolist(), last.end_ns.tolist())


@pytest.mark.parametrize(
    ("rate", "composition", "traces"),
    [
        # what the schedule holds in a quarter of a second
        (100.0, SMALL, 25),
        # never less than one
        (0.1, SMALL, 1),
        # never more spans than asked for: 200 at 2.2 a trace
        (10_000.0, SMALL, 90),
        # never more traces than fit in 16-bit sort keys
        (1e7, replace(SMALL, spans_per_block=10**9), MOST_TRACES),
    ],
)
def test_blocks_hold_a_quarter_of_a_second(
    program: Program, rate: float, composition: Composition, traces: int
) -> None:
    """Little enough that a new rate takes effect soon, within bounds on spans and traces."""
    delivered, blocks = delivery(program, EvenPace(T, rate), composition)
    delivered.take()
    assert blocks[0].batch.traces == traces


def test_blocks_of_large_traces_stay_small(make: Make) -> None:
    """What may happen is drawn, too: a block holds as many traces as fit if all of it happened."""
    calls = [{"call": "s/a", "times": [1, 1000], "probability": 1e-6}]
    program = compile_topology(
        make({"o": {"calls": [*calls, *calls]}, "a": {"calls": [{"wait": "1s", "times": [1, 20]}]}})
    )
    delivered, blocks = delivery(program, EvenPace(T, 1e6))
    delivered.take()
    assert blocks[0].batch.traces == 2**21 // (1 + 2 * 1000 * 21)


def test_the_next_request_is_due_at_its_last_arrival(program: Program) -> None:
    """Before a block is drawn, its first arrival is known; after that, when its requests are due."""
    delivered, _ = delivery(program, EvenPace(T, 100.0))
    assert delivered.next_due_ns() == T
    first = delivered.take()
    assert first.due_ns > T
    assert delivered.next_due_ns() == delivered.take().due_ns


def test_a_schedule_is_drawn_though_nobody_takes(program: Program) -> None:
    """What is due by a time is counted even if no sender came for it."""
    pace = EvenPace(T, 100.0)
    delivered, blocks = delivery(program, pace)
    delivered.draw_until(T - 1)
    assert blocks == []
    delivered.draw_until(T + S)
    assert blocks[-1].batch.starts_ns[0] <= T + S < pace.arrivals(sum(b.batch.traces for b in blocks), 1)[0]
    spans, traces = delivered.due_untaken(T + S)
    requests = [r for r in delivered.untaken() if r.due_ns <= T + S]
    assert (spans, traces) == (sum(r.spans for r in requests), sum(r.traces for r in requests))
    assert 80 <= traces <= 101


def test_overdue_requests_are_handed_out_to_nobody_else(program: Program) -> None:
    """What is given up is given up once; the rest stays in order."""
    delivered, _ = delivery(program, EvenPace(T, 100.0))
    delivered.draw_until(T + S)
    late = delivered.overdue(T + S // 2)
    rest = delivered.untaken()
    assert max(request.due_ns for request in late) < T + S // 2 <= min(request.due_ns for request in rest)
    arrivals = arrivals_of(late + rest)
    assert arrivals == EvenPace(T, 100.0).arrivals(0, len(arrivals)).tolist()
    assert (delivered.overdue(T + 10 * S), delivered.untaken()) == ([], [])


def test_nothing_is_overdue_at_its_own_time(program: Program) -> None:
    """A request may be late by exactly what is allowed."""
    delivered, _ = delivery(program, EvenPace(T, 100.0))
    delivered.draw_until(T)
    due_ns = delivered.next_due_ns()
    assert delivered.overdue(due_ns) == []
    assert [request.due_ns for request in delivered.overdue(due_ns + 1)] == [due_ns]


@given(st.lists(st.tuples(st.sampled_from(["take", "overdue", "draw", "untaken"]), st.integers(0, 400)), max_size=25))
def test_every_trace_ends_in_one_place(make: Make, steps: list[tuple[str, int]]) -> None:
    """Whatever is taken, given up, drawn ahead or left over: each arrival comes out once, in order."""
    tree = {"o": {"calls": [{"call": "s/a", "probability": 0.5}]}, "a": {}}
    delivered, blocks = delivery(compile_topology(make(tree)), EvenPace(T, 200.0))
    out: list[Planned] = []
    time_ns = T
    for step, forward_ms in steps:
        time_ns += forward_ms * MS
        match step:
            case "take":
                out.append(delivered.take())
            case "overdue":
                out += delivered.overdue(time_ns)
            case "draw":
                delivered.draw_until(time_ns)
            case _:
                out += delivered.untaken()
    out += delivered.untaken()
    arrivals = arrivals_of(out)
    assert arrivals == EvenPace(T, 200.0).arrivals(0, len(arrivals)).tolist()
    assert len(arrivals) == sum(drawn.batch.traces for drawn in blocks)
    assert delivered.due_untaken(2**62) == (0, 0)


def test_a_new_pace_begins_where_the_drawn_one_ends(program: Program) -> None:
    """What was drawn is kept, the rest follows the new schedule from its start, blocks go on counting."""
    delivered, blocks = delivery(program, EvenPace(T, 100.0))
    first = take(delivered, 3)
    drawn_until_ns = delivered.drawn_until_ns
    assert drawn_until_ns == int(blocks[-1].batch.starts_ns[-1])
    delivered.change_pace(EvenPace(drawn_until_ns + 1, 400.0))
    requests = first + take(delivered, 40)
    arrivals = arrivals_of(requests)
    old = sum(t <= drawn_until_ns for t in arrivals)
    assert arrivals[:old] == EvenPace(T, 100.0).arrivals(0, old).tolist()
    assert arrivals[old:] == EvenPace(drawn_until_ns + 1, 400.0).arrivals(0, len(arrivals) - old).tolist()
    dues = [request.due_ns for request in requests]
    assert dues == sorted(dues)
    assert [drawn.batch.block for drawn in blocks] == list(range(len(blocks)))


def test_the_same_schedule_makes_the_same_requests(program: Program) -> None:
    """Which traces share a request follows from the schedule alone, however late they are taken."""
    one, _ = delivery(program, EvenPace(T, 70.0))
    other, _ = delivery(program, EvenPace(T, 70.0))
    other.draw_until(T + 2 * S)
    cut = [
        [(r.drawn.batch.block, r.index, r.first, r.traces, r.due_ns) for r in take(each, 15)] for each in (one, other)
    ]
    assert cut[0] == cut[1]
