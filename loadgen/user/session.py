"""One process's part of a run: its schedule, its requests, its counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from loadgen.deliver import Composition, Drawn, Planned, TraceDelivery
from loadgen.otlp import Layout, Pieces, encode, for_run, lay_out
from loadgen.pace import NS_PER_S, EvenPace
from loadgen.run import BlockRow, TroubleRow
from loadgen.transport import HttpSender, Outcome
from loadgen.user.options import LoadOptions, otlp_headers
from loadgen.user.tally import Tally

# How far ahead of its due time a request may be taken: enough to have its bytes ready, little enough to stop soon.
LOOKAHEAD_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """What the master tells each worker (and a single process itself): plain values only.

    Attributes:
        run_id: The run's name.
        seed: Fixes all content.
        start_ns: When the schedule begins [ns since the epoch].
        share, shares: This process's number among all that send.
        lease: Names this process's block numbers; never used twice in a run.
    """

    run_id: str
    seed: int
    start_ns: int
    share: int
    shares: int
    lease: int


class Session:
    """Hands out requests when they are due and counts what becomes of them.

    Args:
        pieces: The compiled topology.
        spans_per_trace: Its mean.
        options: What was asked.
        part: This process's part.
        traces_per_s: The total rate to begin with.
        now_ns: The clock [ns since the epoch].
    """

    def __init__(
        self,
        pieces: Pieces,
        spans_per_trace: float,
        options: LoadOptions,
        part: Part,
        traces_per_s: float,
        now_ns: Callable[[], int],
    ) -> None:
        self.options, self.part, self.now_ns = options, part, now_ns
        self.spans_per_trace = spans_per_trace
        self.stopping = False
        self.tally = Tally()
        self._pieces = for_run(pieces, part.seed, part.run_id)
        self._layout: tuple[Drawn, Layout] | None = None
        self._backlog_ns = ceil(options.max_backlog_s * NS_PER_S)
        self._due_before: tuple[int, int] = (0, 0)
        self.delivery = TraceDelivery(
            program=pieces.program,
            seed=part.seed,
            run_id=part.run_id,
            pace=EvenPace(part.start_ns, traces_per_s, part.share, part.shares),
            composition=Composition(spans_per_request=options.spans_per_request),
            spans_per_trace=spans_per_trace,
            lease=part.lease,
            on_block=self._note_block,
        )

    def open_sender(self, sleep: Callable[[float], object] = time.sleep) -> HttpSender:
        """A connection of its own for one concurrent sender."""
        return HttpSender(self.options.endpoint, gzip=self.options.gzip, headers=otlp_headers(), sleep=sleep)

    def change_rate(self, traces_per_s: float) -> None:
        """Follow a new total rate from what is not yet drawn on."""
        pace = self.delivery.pace
        if traces_per_s != pace.traces_per_s:
            start_ns = max(self.now_ns(), self.delivery.drawn_until_ns)
            self.delivery.change_pace(replace(pace, start_ns=start_ns, traces_per_s=traces_per_s))

    def take(self) -> Planned | None:
        """The next request, None while none is near enough; what is long overdue is shed on the way."""
        self.shed_overdue()
        if self.stopping or self.delivery.next_due_ns() > self.now_ns() + LOOKAHEAD_NS:
            return None
        return self.delivery.take()

    def body(self, planned: Planned) -> bytearray:
        """The request's bytes."""
        if self._layout is None or self._layout[0] is not planned.drawn:
            self._layout = planned.drawn, lay_out(self._pieces, planned.drawn.batch)
        first, last = planned.rows
        return encode(self._pieces, planned.drawn.batch, self._layout[1], np.arange(first, last))

    def shed_overdue(self) -> None:
        """Give up what has been due for longer than the backlog may be, counted and recorded."""
        now_ns = self.now_ns()
        self.delivery.draw_until(now_ns)
        for planned in self.delivery.overdue(now_ns - self._backlog_ns):
            self.settle(planned, Outcome("shed", "backlog full", 0, 0))

    def start_sending(self, planned: Planned, size_bytes: int) -> float:
        """Count a request as sent; its lateness against the intended send [s]."""
        late_s = (self.now_ns() - planned.due_ns) / NS_PER_S
        self.tally.late(late_s * 1e6)
        self.tally.count("offered", planned.spans, planned.traces, 1)
        self.tally.count("sent", planned.spans, planned.traces, 1, size_bytes)
        return late_s

    def settle(self, planned: Planned, outcome: Outcome) -> None:
        """Count what became of a request; what did not simply arrive is recorded trace by trace."""
        state = outcome.state
        if state in {"shed", "unfinished"}:
            self.tally.count("offered", planned.spans, planned.traces, 1)
        rejected = min(outcome.rejected_spans, planned.spans)
        whole = planned.traces if not rejected else 0
        self.tally.count(state, planned.spans - rejected, whole, 1)
        if rejected:
            # Which spans were rejected the target does not say: the traces of this request count as rejected.
            self.tally.count("rejected", rejected, planned.traces, 0)
        if state != "accepted" or rejected:
            trouble = "partial" if rejected else state
            row = (
                planned.drawn.batch.block,
                planned.first,
                planned.traces,
                planned.spans,
                trouble,
                outcome.cause,
            )
            self.tally.trouble.append(TroubleRow(self.part.lease, *row))

    def finish(self) -> None:
        """Count what was drawn and will not be sent any more as unfinished."""
        self.stopping = True
        for planned in self.delivery.untaken():
            self.settle(planned, Outcome("unfinished", "run stopped", 0, 0))

    def hand_over(self) -> Tally:
        """What was counted since the last call; what is due and not yet taken counts as offered."""
        tally, self.tally = self.tally, Tally()
        due = self.delivery.due_untaken(self.now_ns())
        tally.count("offered", due[0] - self._due_before[0], due[1] - self._due_before[1])
        self._due_before = due
        return tally

    def _note_block(self, drawn: Drawn) -> None:
        batch = drawn.batch
        self.tally.blocks.append(BlockRow(self.part.lease, batch.block, batch.spans, batch.starts_ns))
