"""The side that owns the run: it hears what the senders count, keeps the run file and says how it ended."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from loadgen.pace import Rate
from loadgen.run import NOT_VALID, Counts, Verdict, judge, ledger_lines
from loadgen.run.ledger import COUNTED
from loadgen.user.book import Book
from loadgen.user.live import Live
from loadgen.user.recorder import utc
from loadgen.user.report import Report
from loadgen.user.session import Part

# A last word this much before the run came to rest is that of a worker that left.
LEFT_EARLY_S = 3.0


@dataclass(slots=True)
class Heard:
    """What was heard of one sender.

    Attributes:
        at_s: When its last report came.
        spans: Its counts by state.
        upto, early: Reports 0 .. upto were heard, and those in ``early``.
        lost_s: When it was found to be gone.
        last_s: When it gave its last word.
        faults: What it says went wrong.
    """

    at_s: float
    spans: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    upto: int = 0
    early: set[int] = field(default_factory=set)
    lost_s: float | None = None
    last_s: float | None = None
    faults: list[str] = field(default_factory=list)

    def is_new(self, sequence: int) -> bool:
        """Whether a report of this number was not heard before; from now on it was."""
        if sequence < self.upto or sequence in self.early:
            return False
        self.early.add(sequence)
        while self.upto in self.early:
            self.early.remove(self.upto)
            self.upto += 1
        return True

    @property
    def missing(self) -> int:
        """How many reports never came."""
        return max(self.early) + 1 - self.upto - len(self.early) if self.early else 0


class Owner:
    """One run from its first report to its verdict.

    Args:
        run_id: Its name.
        book: Its file.
        parts: The senders' parts, by Locust's worker id.
        spans_per_trace: Mean, for spans/s.
        spans_per_request: A request is full at this many.
        clock: Monotonic [s].
        wall: Since the epoch [s].
    """

    def __init__(
        self,
        run_id: str,
        book: Book,
        parts: Mapping[str, Part],
        spans_per_trace: float,
        spans_per_request: int,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.run_id, self.book, self.parts = run_id, book, parts
        self.verdict: Verdict | None = None
        # The schedule begins a little after the run does.
        delay_s = min((part.start_ns for part in parts.values()), default=0) / 1e9 - wall()
        self.live = Live(clock() + max(0.0, delay_s))
        self.senders = {name: Heard(clock()) for name in parts}
        self._spans_per_trace, self._spans_per_request = spans_per_trace, spans_per_request
        self._clock, self._wall = clock, wall
        self._totals: dict[str, list[int]] = {state: [0, 0, 0, 0] for state in COUNTED}
        self._asked: tuple[float, str] | None = None
        self._highest_per_s = 0.0
        self._by_users = False
        self._closed = False
        self._rest_s = inf
        names = sorted(parts, key=lambda name: parts[name].lease)
        schedule = {name: part.start_ns for name, part in parts.items()}
        book.add(lambda writer: writer.meta(schedule=schedule, workers=names))

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.book.path

    @property
    def awaited(self) -> set[str]:
        """Senders that have not given their last word."""
        return {name for name, heard in self.senders.items() if heard.last_s is None}

    def asked(self, rate: Rate | None, traces_per_s: float) -> None:
        """Record the asked total rate from now on; what was said before is not said again."""
        text = rate.text if rate is not None else "by users"
        if (traces_per_s, text) == self._asked:
            return
        self._asked = (traces_per_s, text)
        self._by_users = self._by_users or rate is None
        mean = self._spans_per_trace
        spans_per_s = rate.spans_per_s(mean) if rate is not None else traces_per_s * mean
        self._highest_per_s = max(self._highest_per_s, spans_per_s)
        self.live.asked_per_s = spans_per_s
        now_s = self._wall()
        self.book.add(lambda writer: writer.rate(now_s, traces_per_s, spans_per_s, text))

    def hear(self, sender: str, report: Report) -> None:
        """Take what a sender of this run counted; anything else is none of this run's business."""
        heard = self.senders.get(sender)
        if heard is None or self._closed or report.run_id != self.run_id or not heard.is_new(report.sequence):
            return
        heard.at_s = self._clock()
        tally, lease, now_s = report.tally, self.parts[sender].lease, self._wall()
        for state, increments in tally.counts.items():
            heard.spans[state] += increments[0]
            row = self._totals[state]
            row[:] = [total + increment for total, increment in zip(row, increments, strict=True)]
        self.live.hear(sender, heard.at_s, tally)
        self.book.add(lambda writer: tally.write(writer, now_s, lease))

    def hear_last(self, sender: str, report: Report | None, faults: Sequence[str] = ()) -> None:
        """Take a sender's last word.

        Args:
            sender: Its name.
            report: What it had left to count; None where it took no part.
            faults: What went wrong with it.
        """
        if sender not in self.senders or (report is not None and report.run_id != self.run_id):
            return
        if report is not None:
            self.hear(sender, report)
        self.senders[sender].last_s = self._clock()
        self.senders[sender].faults += faults

    def come_to_rest(self) -> None:
        """Note that senders are asked for their last words from now on."""
        self._rest_s = min(self._rest_s, self._clock())

    def lost(self, sender: str) -> None:
        """Note that a sender is gone, the first time that it is found to be."""
        heard = self.senders[sender]
        heard.lost_s = heard.lost_s if heard.lost_s is not None else self._clock()

    def unheard_spans(self, sender: str) -> int:
        """The most that a sender may have sent after its last report, from its backlog and its share of the rate."""
        heard = self.senders[sender]
        # Users need not be dealt out evenly, so of theirs any sender may have had all.
        shares = 1 if self._by_users else self.parts[sender].shares
        waiting = Counts.of({state: heard.spans[state] for state in COUNTED}).waiting
        until_s = heard.lost_s if heard.lost_s is not None else self._clock()
        scheduled = self._highest_per_s / shares * (until_s - heard.at_s)
        return round(max(waiting, 0) + scheduled) + self._spans_per_request

    def counts(self, column: int = 0) -> Counts:
        """Totals in spans (0), traces (1) or requests (2)."""
        return Counts.of({state: row[column] for state, row in self._totals.items()})

    def stop_hearing(self) -> None:
        """Take nothing more: the run is about to be judged."""
        self.come_to_rest()
        self._closed = True

    def end(self, stop_reason: str, faults: Sequence[str] = ()) -> Verdict:
        """Judge the settled ledger and close the run file; writes, so it belongs off the event loop.

        Args:
            stop_reason: What ended the run.
            faults: What went wrong in the generator itself.
        """
        silent = {name: self.unheard_spans(name) for name in sorted(self.awaited)}
        self.book.flush()
        verdict = self._judge(silent, faults)
        facts = {
            "finished_utc": utc(self._wall()),
            "stop_reason": stop_reason,
            "verdict": {"exit_code": verdict.exit_code, "text": verdict.text},
            "silent_workers": list(silent),
            "silent_may_have_sent_spans": silent,
        }
        self.book.add(lambda writer: writer.meta(**facts))
        self.book.close()
        self.verdict = self._judge(silent, faults)
        return self.verdict

    def ledger(self) -> list[str]:
        """The settled ledger as text."""
        return ledger_lines(self.counts(0).settled(), self.counts(1).settled())

    def _judge(self, silent: Mapping[str, int], faults: Sequence[str]) -> Verdict:
        bounded = [f"{name} (may have sent up to {spans:,} spans more)" for name, spans in silent.items()]
        verdict = judge(self.counts(0).settled(), bounded)
        all_faults = [*faults, *self._faults()]
        if not all_faults:
            return verdict
        before = f"{verdict.text}; " if verdict.exit_code == NOT_VALID else "not valid: "
        return Verdict(NOT_VALID, before + "; ".join(all_faults))

    def _faults(self) -> list[str]:
        """What the ledger or its record lacks."""
        found = []
        for name, heard in self.senders.items():
            found += [f"worker {name}: {fault}" for fault in heard.faults]
            if heard.missing:
                found.append(f"worker {name}: {heard.missing} of its reports are missing")
            if heard.last_s is not None and heard.last_s < self._rest_s - LEFT_EARLY_S:
                found.append(f"worker {name} left before the end")
        if incomplete := self.book.incomplete():
            found.append(f"the run file {incomplete}")
        return found
