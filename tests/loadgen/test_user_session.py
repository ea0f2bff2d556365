"""One process's part of a run, on a clock that the test moves: what is offered, taken, shed, put back."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import configargparse
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.deliver import Planned
from loadgen.otlp import Pieces, compile_pieces
from loadgen.run import COUNTED, Counts
from loadgen.synth import compile_topology
from loadgen.transport import MemorySender, Outcome
from loadgen.user.options import LoadOptions, add_options, read_options
from loadgen.user.report import Report
from loadgen.user.session import LOOKAHEAD_NS, Part, Session
from loadgen.user.tally import Tally

S = 1_000_000_000
START_NS = 1_800_000_000 * S
SPANS = 3  # of each trace
ACCEPTED = Outcome("accepted")


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        """The time [ns]."""
        return self.now_ns

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += int(seconds * S)


@pytest.fixture(name="pieces", scope="module")
def _pieces(make: Callable[..., Any]) -> Pieces:
    topology = make({"a": {"calls": ["s/b", "s/c"]}, "b": {}, "c": {}})
    return compile_pieces(compile_topology(topology))


@pytest.fixture(name="begin", scope="module")
def _begin(pieces: Pieces) -> Callable[..., tuple[Session, Clock]]:
    """``begin(traces_per_s, *options, share=, shares=)`` starts a session now."""

    def start(traces_per_s: float, *arguments: str, share: int = 0, shares: int = 1) -> tuple[Session, Clock]:
        clock = Clock()
        part = Part("run", 7, START_NS, share, shares, share, "f")
        return Session(pieces, SPANS, options_of(*arguments), part, traces_per_s, clock), clock

    return start


def options_of(*arguments: str) -> LoadOptions:
    parser = configargparse.ArgumentParser()
    add_options(parser)
    found: Namespace = parser.parse_args(list(arguments), env_vars={})
    return read_options(found)


class Ledger:
    """The sum of all that a session handed over."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._spans = dict.fromkeys(COUNTED, 0)
        self.drawn_spans = 0
        self.trouble: list[tuple[str, str]] = []

    def add(self) -> Counts:
        """Hand over once more."""
        tally = self._session.hand_over()
        for state, row in tally.counts.items():
            self._spans[state] += row[0]
        self.drawn_spans += sum(block.spans for block in tally.blocks)
        self.trouble += [(row.state, row.cause) for row in tally.trouble]
        return Counts.of(self._spans)


def send(session: Session, planned: Planned, outcome: Outcome = ACCEPTED) -> None:
    body = session.body(planned)
    session.start_sending(planned, len(body))
    session.settle(planned, MemorySender([outcome]).send(body))


def test_requests_come_when_they_are_near_and_are_sent_when_due(begin: Callable[..., Any]) -> None:
    """100 traces/s in requests of 100 ms: each is handed out when its first trace is half a second ahead."""
    session, clock = begin(100.0)
    taken = []
    while (planned := session.take()) is not None:
        taken.append(planned)
    assert [planned.traces for planned in taken] == [10] * 6
    assert all(planned.due_ns <= START_NS + LOOKAHEAD_NS + S // 10 for planned in taken)
    clock.move(0.2)
    assert session.take() is not None


def test_a_run_on_schedule_sends_all_that_was_due(begin: Callable[..., Any]) -> None:
    """After 2 s at 100/s and a stop: 200 traces less the last request are sent, the rest drawn is unfinished."""
    session, clock = begin(100.0)
    ledger = Ledger(session)
    for _ in range(20):
        clock.move(0.1)
        while (planned := session.take()) is not None and planned.due_ns <= clock():
            send(session, planned)
        if planned is not None:
            session.put_back(planned)
    session.finish()
    counts = ledger.add()
    assert counts.sent == pytest.approx(200 * SPANS, abs=10 * SPANS)
    assert (counts.shed, counts.waiting, counts.in_flight) == (0, 0, 0)
    assert counts.offered == ledger.drawn_spans


def test_what_waits_too_long_is_shed(begin: Callable[..., Any]) -> None:
    """Nobody sends for 3 s with a backlog of 1 s: the first two seconds are shed, the last still waits."""
    session, clock = begin(100.0, "--max-backlog", "1")
    ledger = Ledger(session)
    clock.move(3)
    while not session.catch_up():
        pass
    counts = ledger.add()
    assert counts.offered == pytest.approx(300 * SPANS, abs=10 * SPANS)
    assert counts.shed == pytest.approx(200 * SPANS, abs=10 * SPANS)
    assert set(ledger.trouble) == {("shed", "backlog full")}


def test_what_was_overdue_when_the_run_stopped_is_shed_not_unfinished(begin: Callable[..., Any]) -> None:
    """A run that fell behind within its backlog did not have its rate: the stop must not hide it."""
    session, clock = begin(100.0, "--max-backlog", "60")
    ledger = Ledger(session)
    clock.move(2)
    session.rest()
    clock.move(5)  # users end; the schedule has ended before
    session.finish()
    counts = ledger.add()
    assert counts.shed == pytest.approx(175 * SPANS, abs=10 * SPANS)
    assert counts.offered == ledger.drawn_spans == counts.shed + counts.unfinished
    assert set(ledger.trouble) == {("shed", "run stopped"), ("unfinished", "run stopped")}


def test_a_standstill_is_caught_up_in_steps(begin: Callable[..., Any]) -> None:
    """After an hour asleep the hour is shed, a second of it at a time, so that memory does not hold it."""
    session, clock = begin(10.0)
    clock.move(3600)
    assert session.take() is None
    assert session.delivery.due_untaken(clock())[1] < 100
    steps = 1
    while not session.catch_up():
        steps += 1
        assert session.delivery.due_untaken(clock())[1] <= 100
    assert steps == 3599
    assert session.take() is not None


def test_a_stopped_users_request_goes_to_another_user(begin: Callable[..., Any]) -> None:
    """Users may leave while the run goes on: what they had taken is still sent, and in time."""
    session, clock = begin(100.0)
    first, second = session.take(), session.take()
    session.put_back(second)
    session.put_back(first)
    assert session.take() is first
    assert session.take() is second
    session.put_back(second)
    clock.move(10)
    ledger = Ledger(session)
    while not session.catch_up():
        pass
    assert ledger.add().shed > 0
    assert session.take() is not second


def test_a_body_that_cannot_be_made_is_shed_with_its_reason(begin: Callable[..., Any]) -> None:
    """The generator's own failure counts against the rate, never as if the run had ended."""
    session, _ = begin(100.0)
    session.give_up(session.take(), "ValueError")
    ledger = Ledger(session)
    assert ledger.add().shed == 10 * SPANS
    assert ledger.trouble == [("shed", "ValueError")]


def test_a_partial_success_rejects_spans_of_traces_that_cannot_be_told_apart(begin: Callable[..., Any]) -> None:
    """The target says how many spans, not which: the spans are split, the traces count as rejected."""
    session, _ = begin(100.0)
    planned = session.take()
    send(session, planned, Outcome("accepted", "partial success", 4))
    tally = session.hand_over()
    assert (tally.counts["accepted"][:3], tally.counts["rejected"][:3]) == ([26, 0, 1], [4, 10, 0])
    assert [(row.state, row.spans) for row in tally.trouble] == [("partial", 30)]


def test_a_new_rate_holds_from_the_next_block_and_keeps_its_distance(begin: Callable[..., Any]) -> None:
    """The first arrival of the new rate comes no sooner after the last one drawn than the rate has it."""
    session, clock = begin(1.0)
    drawn_ns = _draw_upto(session, clock, 3)
    session.change_rate(2.0)
    later_ns = _draw_upto(session, clock, 6)
    between_s = [(b - a) / S for a, b in zip(later_ns[len(drawn_ns) - 1 :], later_ns[len(drawn_ns) :], strict=False)]
    assert between_s[:4] == [0.5] * 4
    session.change_rate(0.0)
    paused_ns = _draw_upto(session, clock, 60)
    assert paused_ns[-1] < START_NS + 9 * S
    session.change_rate(2.0)
    assert _draw_upto(session, clock, 62)[-1] >= START_NS + 60 * S


def _draw_upto(session: Session, clock: Clock, seconds: float) -> list[int]:
    clock.now_ns = START_NS + int(seconds * S)
    while not session.catch_up():
        pass
    return [start_ns for block in session.tally.blocks for start_ns in block.starts_ns.tolist()]


def test_shares_together_are_the_whole_schedule(begin: Callable[..., Any]) -> None:
    """Three workers draw disjoint arrivals that interleave to the asked rate, under block numbers of their own."""
    starts_ns: list[int] = []
    blocks: list[int] = []
    for share in range(3):
        session, clock = begin(10.0, share=share, shares=3)
        starts_ns += _draw_upto(session, clock, 3)
        blocks += [block.block for block in session.tally.blocks]
    assert sorted(starts_ns)[:30] == [START_NS + i * S // 10 for i in range(30)]
    assert len(set(blocks)) == len(blocks)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["move", "take", "send", "refuse", "kill", "cut", "put back", "report", "rate"]),
        st.floats(0.01, 1.5),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_the_ledger_balances_whatever_happens(begin: Callable[..., Any], steps: list[tuple[str, float]]) -> None:
    """At every report nothing is negative; at the end every span that was drawn is in exactly one state."""
    session, clock = begin(50.0, "--max-backlog", "1")
    ledger, taken = Ledger(session), []
    for step, number in steps:
        if step == "move":
            clock.move(number)
        elif step == "rate":
            session.change_rate(round(number * 40))
        elif step == "report":
            assert ledger.add().balances
        elif step == "take" and (planned := session.take()) is not None:
            taken.append(planned)
        elif taken:
            _end_of(session, taken.pop(), step)
    for planned in taken:
        session.put_back(planned)
    session.finish()
    counts = ledger.add()
    assert (counts.waiting, counts.in_flight) == (0, 0)
    assert counts.offered == ledger.drawn_spans


def _end_of(session: Session, planned: Planned, how: str) -> None:
    if how == "put back":
        session.put_back(planned)
    elif how == "kill":
        session.give_up(planned, "ValueError")
    else:
        states = {"send": "accepted", "refuse": "refused", "cut": "unknown"}
        send(session, planned, Outcome(states.get(how, "accepted")))


def test_a_report_survives_the_way_to_the_master(begin: Callable[..., Any]) -> None:
    """Locust packs messages with msgpack; what arrives is what was said."""
    session, clock = begin(100.0)
    send(session, session.take(), Outcome("refused", "HTTP 503"))
    clock.move(1)
    report = Report("run", 3, session.hand_over())
    read = Report.of(msgpack.unpackb(msgpack.packb(report.plain()), strict_map_key=False))
    assert (read.run_id, read.sequence) == ("run", 3)
    assert dict(read.tally.counts) == dict(report.tally.counts)
    assert (dict(read.tally.lateness), read.tally.trouble) == (dict(report.tally.lateness), report.tally.trouble)
    assert [row[:3] for row in read.tally.blocks] == [row[:3] for row in report.tally.blocks]
    assert [row.starts_ns.tolist() for row in read.tally.blocks] == [
        row.starts_ns.tolist() for row in report.tally.blocks
    ]


def test_an_empty_report_is_a_report() -> None:
    """A worker that has nothing new still numbers what it says."""
    assert dict(Report.of(Report("r", 0, Tally()).plain()).tally.counts) == {}
