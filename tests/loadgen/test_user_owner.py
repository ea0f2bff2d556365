"""The side that owns a run: what it hears, what it writes, and how it judges."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadgen.pace import parse_rate
from loadgen.run import BlockRow, RunWriter, TroubleRow, create_run, open_run
from loadgen.user.book import Book
from loadgen.user.live import Live
from loadgen.user.owner import Owner
from loadgen.user.recorder import command_line
from loadgen.user.report import Report
from loadgen.user.session import Part
from loadgen.user.tally import Tally

RUN = "run"
START_S = 1_800_000_000


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """The time [s]."""
        return self.now_s


@pytest.fixture(name="book")
def _book(tmp_path: Path) -> Iterator[Book]:
    with create_run(tmp_path, RUN) as writer:
        yield Book(writer)


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="owner")
def _owner(book: Book, clock: Clock) -> Owner:
    parts = {name: Part(RUN, 7, START_S * 10**9, i, 2, i, "f") for i, name in enumerate(("a", "b"))}
    return Owner(RUN, book, parts, 10.0, 100, clock, lambda: float(START_S))


def tally(sent: int = 10, accepted: int = 10, **states: int) -> Tally:
    """Increments of one request."""
    made = Tally()
    made.count("offered", sent + sum(states.values()), 1, 1)
    for state, spans in {"sent": sent, "accepted": accepted, **states}.items():
        made.count(state, spans, 1, 1, 100)
    made.late(1000.0)
    return made


def hear_all(owner: Owner) -> None:
    """Both workers send one request and say their last word."""
    for name in ("a", "b"):
        owner.hear_last(name, Report(RUN, 0, tally()))


def end(owner: Owner, *faults: str) -> tuple[int, str]:
    owner.stop_hearing()
    return tuple(owner.end("stopped", faults))


def test_what_workers_say_is_summed_judged_and_written(owner: Owner) -> None:
    """The totals on the screen and those in the file are the same; all spoke, so the run holds."""
    hear_all(owner)
    assert end(owner) == (0, "holds: all 20 spans were sent on schedule and accepted")
    with open_run(owner.path) as file:
        assert file.counts() == owner.counts()
        meta = file.meta()
    assert (meta["workers"], meta["silent_workers"], meta["stop_reason"]) == (["a", "b"], [], "stopped")
    assert meta["verdict"] == {"exit_code": 0, "text": "holds: all 20 spans were sent on schedule and accepted"}
    assert "balances: yes" in owner.ledger()[-1]


def test_reports_of_others_are_none_of_this_runs_business(owner: Owner) -> None:
    """An unknown worker, another run, a report heard twice and a report after the end change nothing."""
    hear_all(owner)
    expected = owner.counts()
    owner.hear("late joiner", Report(RUN, 0, tally()))
    owner.hear("a", Report("another run", 1, tally()))
    owner.hear("a", Report(RUN, 0, tally()))
    owner.hear_last("late joiner", None, ["why"])
    owner.hear_last("a", Report("another run", 1, tally()), ["why"])
    assert end(owner)[0] == 0
    owner.hear("a", Report(RUN, 1, tally()))
    assert owner.counts() == expected


def test_reports_may_overtake_each_other(owner: Owner) -> None:
    """Numbers tell what is missing; the order in which they come does not matter."""
    for number in (1, 0, 2):
        owner.hear("a", Report(RUN, number, tally()))
    owner.hear_last("a", Report(RUN, 3, tally()))
    owner.hear_last("b", Report(RUN, 0, tally()))
    assert end(owner)[0] == 0


def test_a_report_that_never_came_spoils_the_run(owner: Owner) -> None:
    """The ledger is short by an unknown number, so the measurement is not valid."""
    hear_all(owner)
    owner.hear("a", Report(RUN, 3, tally()))
    assert end(owner) == (3, "not valid: worker a: 2 of its reports are missing")


def test_a_silent_worker_is_named_with_the_most_it_may_have_sent(owner: Owner, clock: Clock) -> None:
    """Its backlog at the last report, its share of the highest rate until it was found gone, and one request."""
    owner.asked(parse_rate("100/s"), 100.0)
    owner.asked(parse_rate("40/s"), 40.0)
    owner.hear_last("a", Report(RUN, 0, tally()))
    owner.come_to_rest()
    waiting = tally()
    waiting.count("offered", 30, 3)
    owner.hear("b", Report(RUN, 0, waiting))
    clock.now_s += 4.0
    owner.lost("b")
    clock.now_s += 60.0
    owner.lost("b")
    bound = 30 + 4 * 100 * 10 // 2 + 100
    code, text = end(owner)
    assert (code, text) == (3, f"not valid: no last word from worker b (may have sent up to {bound:,} spans more)")
    with open_run(owner.path) as file:
        meta = file.meta()
    assert (meta["silent_workers"], meta["silent_may_have_sent_spans"]) == (["b"], {"b": bound})


def test_a_silent_worker_may_have_had_all_users(owner: Owner, clock: Clock) -> None:
    """Users are not dealt out evenly: without an asked rate the bound is the whole of what they offer."""
    owner.asked(None, 100.0)
    clock.now_s += 3.0
    owner.lost("b")
    assert owner.unheard_spans("b") == 3 * 100 * 10 + 100


def test_a_worker_that_could_not_begin_spoils_the_run(owner: Owner) -> None:
    """Its share was never offered; the run says whose and why."""
    owner.hear_last("a", Report(RUN, 0, tally()))
    owner.hear_last("b", None, ["took no part: checkout.yaml: another"])
    assert owner.awaited == set()
    assert end(owner) == (3, "not valid: worker b: took no part: checkout.yaml: another")


def test_a_worker_that_left_before_the_end_spoils_the_run(owner: Owner, clock: Clock) -> None:
    """It told all it had sent, but its share of the rate was not offered after it had gone."""
    owner.hear_last("a", Report(RUN, 0, tally()))
    clock.now_s += 30
    owner.come_to_rest()
    clock.now_s += 1
    owner.come_to_rest()
    owner.hear_last("b", Report(RUN, 0, tally()))
    assert end(owner) == (3, "not valid: worker a left before the end")


def test_a_fault_of_the_generator_spoils_the_run(owner: Owner) -> None:
    """Whatever the ledger says, a generator that failed did not measure; a reason more is added to a reason."""
    hear_all(owner)
    assert end(owner, "the generator failed: X") == (3, "not valid: the generator failed: X")


def test_reasons_add_up(owner: Owner) -> None:
    """A run may be not valid for more than one reason: all are said."""
    for name in ("a", "b"):
        owner.hear_last(name, Report(RUN, 0, tally(0, 0, shed=5)))
    assert end(owner, "X") == (3, "not valid: nothing was sent; X")


def test_a_rate_is_recorded_when_it_changes(owner: Owner) -> None:
    """Asked twice, written once; by users or by an option."""
    for text, per_s in (("5/s", 5.0), ("5/s", 5.0), ("7/s", 7.0)):
        owner.asked(parse_rate(text), per_s)
    owner.asked(None, 7.0)
    end(owner)
    with open_run(owner.path) as file:
        rows = file.query("SELECT * FROM rates")
    assert rows == [(START_S, 5.0, 50.0, "5/s"), (START_S, 7.0, 70.0, "7/s"), (START_S, 7.0, 70.0, "by users")]


# --- the book ------------------------------------------------------------------------------------------------------


class Disk:
    """Stands for a run file whose disk may be full."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self.path = writer.path
        self.full = False
        self.after = 0

    def __getattr__(self, name: str) -> Any:
        if self.full and name in {"blocks", "trouble", "ledger", "lateness", "meta"}:
            if self.after <= 0:
                raise sqlite3.OperationalError("database or disk is full")
            self.after -= 1
        return getattr(self._writer, name)


@pytest.mark.parametrize("after", range(4))
def test_a_full_disk_delays_the_record_and_doubles_nothing(tmp_path: Path, after: int) -> None:
    """Whichever of a tally's four writes fails, the next try goes on from there."""
    with create_run(tmp_path, RUN) as writer:
        disk: Any = Disk(writer)
        book, full = Book(disk), tally()
        full.blocks = [BlockRow(0, 5, 10, np.array([1, 2]))]
        full.trouble = [TroubleRow(0, 5, 0, 1, 10, "refused", "HTTP 503")]
        book.add(lambda to: full.write(to, 1.0, 0))
        disk.full, disk.after = True, after
        book.flush()
        assert book.incomplete() == "cannot be written (database or disk is full)"
        disk.full = False
        book.flush()
        assert book.incomplete() == ""
    with open_run(tmp_path / RUN) as file:
        assert (len(file.blocks()), len(file.trouble()), file.counts().sent) == (1, 1, 10)
        assert file.query("SELECT SUM(requests) FROM lateness") == [(1,)]


def test_what_a_disk_refuses_for_too_long_is_lost_and_said_to_be(tmp_path: Path) -> None:
    """The queue is bounded: memory is not traded for a file that cannot be written."""
    with create_run(tmp_path, RUN) as writer:
        disk: Any = Disk(writer)
        disk.full = True
        book = Book(disk, most=2)
        for _ in range(5):
            book.add(lambda to: to.meta(a=1))
        book.flush()
        assert book.incomplete() == "3 writes were lost: cannot be written (database or disk is full)"
        disk.full = False
        book.flush()
        assert book.incomplete() == "3 writes were lost: it could not be written for too long"


def test_a_file_without_its_name_is_noticed(book: Book, owner: Owner) -> None:
    """SQLite goes on writing into a deleted file: the record would be gone without an error."""
    hear_all(owner)
    (book.path / "run.sqlite").unlink()
    assert end(owner) == (3, "not valid: the run file has been deleted or replaced")


# --- what is said --------------------------------------------------------------------------------------------------


def test_the_live_line_says_asked_sent_late_and_what_became_of_it() -> None:
    """Rates are each worker's own over its last reports; states that are empty are left out."""
    live = Live(10.0)
    live.asked_per_s = 20_000.0
    for second in (11.0, 12.0, 13.0, 14.0):
        live.hear("a", second, tally(10_000, 9_000, refused=500))
        live.hear("b", second + 0.4, tally(10_000, 10_000))
    line = live.line(14.5)
    assert line == "4 s: asked 20,000 spans/s, sent 20,000; late p99 1.13 ms; accepted 76,000, refused 2,000, shed 0"
    live.hear("a", 15.0, tally(0, 0, unknown=3))
    live.hear("a", 15.1, Tally())
    assert live.line(15.0).endswith("; accepted 76,000, refused 2,000, shed 0, unknown 3")
    assert "late p99 -;" in live.line(15.0)


def test_a_command_line_is_kept_without_passwords() -> None:
    """No option takes a password in a URL, but what was typed is recorded as typed."""
    typed = ["/usr/bin/locust", "-H", "http://user:pw@far:1/x", "--note", "a@b"]
    assert command_line(typed) == "locust -H http://[not shown]@far:1/x --note a@b"
