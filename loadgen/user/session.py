"""One process's part of a run: its schedule, its requests, its counts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from loadgen.deliver import Composition, Drawn, Planned, TraceDelivery
from loadgen.otlp import Layout, Pieces, encode, for_run, lay_out
from loadgen.pace import NS_PER_S, EvenPace
from loadgen.run import BlockRow, TroubleRow
from loadgen.transport import HttpSender, Outcome
from loadgen.user.headers import otlp_headers
from loadgen.user.options import LoadOptions
from loadgen.user.tally import Tally

# How far ahead of its due time a request may be taken: enough to have its bytes ready, little enough to stop soon.
LOOKAHEAD_NS = 500_000_000
# What was due this much before the stop and had not left is the generator's failure; later, the stop was in its way.
STOP_GRACE_NS = 250_000_000
# After a standstill (a suspended process) the schedule is caught up in steps, so that memory stays bounded.
STEP_NS = NS_PER_S
NEVER_NS = 1 << 62


class Part(NamedTuple):
    """What the master tells each worker (and a single process itself): plain values only.

    Attributes:
        run_id: The run's name.
        seed: Fixes all content.
        start_ns: When the schedule begins [ns since the epoch].
        share, shares: This process's number among all that send.
        lease: Names this process's block numbers; never used twice in a run.
        fingerprint: Of the load that must be sent.
    """

    run_id: str
    seed: int
    start_ns: int
    share: int
    shares: int
    lease: int
    fingerprint: str


class Session:
    """Hands out requests when they are due and counts what becomes of them.

    Args:
        pieces: The compiled topology.
        spans_per_trace: Its mean.
        options: What was asked.
        part: This process's part.
        traces_per_s: The total rate to begin with; 0 for none yet.
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
        self.stopping = False
        self._free_senders: list[HttpSender] = []
        self.tally = Tally()
        self._pieces = for_run(pieces, part.seed, part.run_id)
        self._layout: tuple[Drawn, Layout] | None = None
        self._backlog_ns = ceil(options.max_backlog_s * NS_PER_S)
        self._put_back: deque[Planned] = deque()
        self._due_before: tuple[int, int] = (0, 0)
        self._stop_ns = NEVER_NS
        self._caught_up_ns = part.start_ns
        self._traces_per_s = traces_per_s
        self.delivery = TraceDelivery(
            program=pieces.program,
            seed=part.seed,
            run_id=part.run_id,
            pace=self._pace(part.start_ns, traces_per_s),
            composition=Composition(spans_per_request=options.spans_per_request),
            spans_per_trace=spans_per_trace,
            lease=part.lease,
            on_block=self._note_block,
        )

    def borrow_sender(self, sleep: Callable[[float], object] = time.sleep) -> HttpSender:
        """The connection that was used last and is free, a new one where all are busy.

        Last in, first out: a connection in steady use keeps its buffers in the processor's caches, so eight
        users that are rarely busy at once cost a fifth less than with a connection each.
        """
        if self._free_senders:
            return self._free_senders.pop()
        return HttpSender(self.options.endpoint, gzip=self.options.gzip, headers=otlp_headers(), sleep=sleep)

    def return_sender(self, sender: HttpSender) -> None:
        """Let others use a borrowed connection; after the end of the run it is closed instead."""
        if self.stopping:
            sender.close()
        else:
            self._free_senders.append(sender)

    def change_rate(self, traces_per_s: float) -> None:
        """Follow a new total rate from what is not yet drawn on; 0 pauses."""
        if traces_per_s == self._traces_per_s:
            return
        self._traces_per_s = traces_per_s
        start_ns = max(self.now_ns(), self.part.start_ns)
        if self.delivery.drawn_until_ns and traces_per_s > 0:
            # The first arrival of a pace is at once: it must not come sooner after the last one than the rate has it.
            between_ns = int((self.part.shares - self.part.share) / traces_per_s * NS_PER_S)
            start_ns = max(start_ns, self.delivery.drawn_until_ns + between_ns)
        self.delivery.change_pace(self._pace(start_ns, traces_per_s))

    def take(self) -> Planned | None:
        """The next request, None while none is near enough; what is long overdue is shed on the way."""
        if self.stopping or not self.catch_up():
            return None
        if self._put_back:
            return self._put_back.popleft()
        return self.delivery.take() if self.delivery.next_due_ns() <= self.now_ns() + LOOKAHEAD_NS else None

    def put_back(self, planned: Planned) -> None:
        """Let another user take a request whose user was stopped; where all are, it is given up."""
        if self.stopping:
            self.give_up(planned)
        else:
            self._put_back = deque(sorted([*self._put_back, planned], key=lambda each: each.due_ns))

    def body(self, planned: Planned) -> bytearray:
        """The request's bytes."""
        if self._layout is None or self._layout[0] is not planned.drawn:
            self._layout = planned.drawn, lay_out(self._pieces, planned.drawn.batch, planned.drawn.row_cuts)
        return encode(self._layout[1], planned.index)

    def catch_up(self) -> bool:
        """Draw what has become due, at most a second of it; give up what has been due for longer than may be.

        Returns:
            Whether the schedule has caught up with the clock.
        """
        reached_ns = self._reached_ns()
        self._caught_up_ns = min(reached_ns, self._caught_up_ns + STEP_NS)
        self.delivery.draw_until(self._caught_up_ns)
        oldest_ns = reached_ns - self._backlog_ns
        overdue = self.delivery.overdue(oldest_ns)
        while self._put_back and self._put_back[0].due_ns < oldest_ns:
            overdue.append(self._put_back.popleft())
        for planned in overdue:
            self.settle(planned, Outcome("shed", "backlog full"))
        return self._caught_up_ns >= reached_ns

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
            self._note_trouble(planned, "partial" if rejected else state, outcome.cause)

    def give_up(self, planned: Planned, cause: str = "run stopped") -> None:
        """Count a request that will not be sent: unfinished where only the run's end was in its way, else shed."""
        in_time = self.stopping and planned.due_ns >= self._stop_ns - STOP_GRACE_NS
        self.settle(planned, Outcome("unfinished" if in_time else "shed", cause))

    def rest(self) -> None:
        """Stop taking requests; the schedule ends now, what is in flight may end."""
        if not self.stopping:
            self.stopping = True
            self._stop_ns = self.now_ns()

    def finish(self) -> None:
        """Count what was drawn and will not be sent any more."""
        self.rest()
        while not self.catch_up():
            pass
        for planned in [*self._put_back, *self.delivery.untaken()]:
            self.give_up(planned)
        self._put_back.clear()
        while self._free_senders:
            self._free_senders.pop().close()

    def hand_over(self) -> Tally:
        """What was counted since the last call; what is due and not yet taken counts as offered."""
        tally, self.tally = self.tally, Tally()
        due = self._due_untaken(self._reached_ns())
        tally.count("offered", due[0] - self._due_before[0], due[1] - self._due_before[1])
        self._due_before = due
        return tally

    def _pace(self, start_ns: int, traces_per_s: float) -> EvenPace:
        if traces_per_s <= 0:
            start_ns, traces_per_s = NEVER_NS, 1.0
        return EvenPace(start_ns, traces_per_s, self.part.share, self.part.shares)

    def _due_untaken(self, time_ns: int) -> tuple[int, int]:
        spans, traces = self.delivery.due_untaken(time_ns)
        due = [planned for planned in self._put_back if planned.due_ns <= time_ns]
        return spans + sum(planned.spans for planned in due), traces + sum(planned.traces for planned in due)

    def _reached_ns(self) -> int:
        return min(self.now_ns(), self._stop_ns)

    def _note_trouble(self, planned: Planned, trouble: str, cause: str) -> None:
        where = (planned.drawn.batch.block, planned.first, planned.traces, planned.spans)
        self.tally.trouble.append(TroubleRow(self.part.lease, *where, trouble, cause))

    def _note_block(self, drawn: Drawn) -> None:
        batch = drawn.batch
        self.tally.blocks.append(BlockRow(self.part.lease, batch.block, batch.spans, batch.starts_ns))
