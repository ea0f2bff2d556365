"""Which spans leave together, and when: arrivals become blocks of traces, and blocks become requests.

Whole-trace delivery: a trace leaves as one unit, and ends when it is sent. Requests are composed
in intended time: one is full when it holds ``spans_per_request`` spans, or when ``window_ns`` has
passed since its first trace; it is meant to leave at the intended time of its last trace. So which
traces share a request follows from the schedule alone, however late the sender is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadgen.pace import EvenPace
from loadgen.synth import Program, SpanBatch, draw

# Block numbers of one lease; leases are never reused, so workers may come and go (lease * 2**40 + counter).
LEASE_BLOCKS = 1 << 40
MOST_TRACES = 1 << 15


@dataclass(frozen=True, slots=True)
class Composition:
    """How requests are put together.

    Attributes:
        spans_per_request: A request is full at this many spans (the trace that reaches it still belongs).
        window_ns: No trace waits longer for others than this.
        ahead_ns: How much schedule one block of traces covers, i.e. how soon a new rate takes effect.
        spans_per_block: About how many spans a block holds at most.
    """

    spans_per_request: int = 2000
    window_ns: int = 100_000_000
    ahead_ns: int = 500_000_000
    spans_per_block: int = 40_000


@dataclass(frozen=True, slots=True)
class Drawn:
    """A block of traces that was drawn, and how it is cut into requests.

    Attributes:
        batch: The spans.
        row_cuts: Request i holds the batch's rows row_cuts[i] .. row_cuts[i + 1], int64[r + 1].
    """

    batch: SpanBatch
    row_cuts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Planned:
    """A request to be sent.

    Attributes:
        drawn: The block it is of.
        index: Its number among the block's requests.
        first, traces: It holds traces first .. first + traces of the block.
        due_ns: When it is meant to leave [ns since the epoch].
    """

    drawn: Drawn
    index: int
    first: int
    traces: int
    due_ns: int

    @property
    def spans(self) -> int:
        """Number of its spans."""
        return int(self.drawn.row_cuts[self.index + 1] - self.drawn.row_cuts[self.index])


def request_cuts(
    arrivals_ns: NDArray[np.int64], spans_upto: NDArray[np.int64], composition: Composition
) -> list[tuple[int, int]]:
    """The traces of each request of a block as ranges.

    Args:
        arrivals_ns: Intended times of the block's traces, int64[m], never decreasing.
        spans_upto: Spans before each trace, int64[m + 1].
        composition: When a request is full.
    """
    cuts = []
    first, m = 0, len(arrivals_ns)
    while first < m:
        full = int(np.searchsorted(spans_upto, spans_upto[first] + composition.spans_per_request))
        closed = int(np.searchsorted(arrivals_ns, arrivals_ns[first] + composition.window_ns))
        last = max(first + 1, min(full, closed, m))
        cuts.append((first, last))
        first = last
    return cuts


@dataclass(slots=True)
class TraceDelivery:
    """The requests of one worker in the order in which they are due, drawn as the schedule gets there.

    Attributes:
        program, seed, run_id: What is drawn.
        pace: The schedule; replace it through :meth:`change_pace`.
        composition: How requests are put together.
        spans_per_trace: Mean, for the size of blocks.
        lease: First block number of this worker divided by LEASE_BLOCKS.
        on_block: Is told of every block drawn.
        drawn_until_ns: Intended time of the last trace drawn.
    """

    program: Program
    seed: int
    run_id: str
    pace: EvenPace
    composition: Composition
    spans_per_trace: float
    lease: int
    on_block: Callable[[Drawn], None]
    drawn_until_ns: int = 0
    _blocks: int = 0
    _arrival: int = 0
    _ready: deque[Planned] = field(default_factory=deque)

    def next_due_ns(self) -> int:
        """When the next request is due, or its first trace where it is not drawn yet [ns since the epoch]."""
        if self._ready:
            return self._ready[0].due_ns
        return int(self.pace.arrivals(self._arrival, 1)[0])

    def take(self) -> Planned:
        """The next request; draws a block when none is ready."""
        if not self._ready:
            self._compose()
        return self._ready.popleft()

    def draw_until(self, time_ns: int) -> None:
        """Draw every block whose first trace is intended by ``time_ns``, though nobody has taken it yet."""
        while int(self.pace.arrivals(self._arrival, 1)[0]) <= time_ns:
            self._compose()

    def overdue(self, time_ns: int) -> list[Planned]:
        """Requests that were due before ``time_ns``; they are not handed out again."""
        late = []
        while self._ready and self._ready[0].due_ns < time_ns:
            late.append(self._ready.popleft())
        return late

    def due_untaken(self, time_ns: int) -> tuple[int, int]:
        """Spans and traces of the requests that are due by ``time_ns`` and not taken."""
        due = [planned for planned in self._ready if planned.due_ns <= time_ns]
        return sum(planned.spans for planned in due), sum(planned.traces for planned in due)

    def untaken(self) -> list[Planned]:
        """What was drawn and not taken, e.g. when the run stops; it is not handed out again."""
        left = list(self._ready)
        self._ready.clear()
        return left

    def change_pace(self, pace: EvenPace) -> None:
        """Follow another schedule from its start; what was drawn for the old one and is due later is kept."""
        self.pace = pace
        self._arrival = 0

    def _compose(self) -> None:
        arrivals_ns = self.pace.arrivals(self._arrival, self._block_traces())
        self._arrival += len(arrivals_ns)
        self.drawn_until_ns = int(arrivals_ns[-1])
        block = self.lease * LEASE_BLOCKS + self._blocks
        self._blocks += 1
        batch = draw(self.program, self.seed, self.run_id, block, arrivals_ns, ending=True)
        cuts = request_cuts(arrivals_ns, batch.first_span, self.composition)
        drawn = Drawn(batch, batch.first_span[[0, *(last for _, last in cuts)]])
        self.on_block(drawn)
        self._ready += [
            Planned(drawn, i, first, last - first, int(arrivals_ns[last - 1])) for i, (first, last) in enumerate(cuts)
        ]

    def _block_traces(self) -> int:
        """Traces of the next block: what the schedule holds in ``ahead_ns``, within the bounds on spans."""
        own_per_s = self.pace.traces_per_s / self.pace.shares
        in_time = own_per_s * self.composition.ahead_ns / 1e9
        fitting = self.composition.spans_per_block / self.spans_per_trace
        return int(min(max(in_time, 1), max(fitting, 1), MOST_TRACES, self.program.most_traces))
