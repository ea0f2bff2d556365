"""What should have arrived of a run, drawn again from its run file: nothing has to be stored to be verified."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from loadgen.errors import InputError
from loadgen.run import RunFile
from loadgen.run.file import BlockRow, Starts, TroubleRow
from loadgen.samplers import Bools, Counts, Ids, Traces, no_traces

#: What the run knows of each trace: taken by the target, surely not, or perhaps, in whole or in part.
DELIVERED, ABSENT, DOUBTFUL = 0, 1, 2
_NEVER_ARRIVES = frozenset({"shed", "unfinished", "refused", "rejected"})


class Block(Protocol):
    """What the audit reads of a drawn block of traces; :class:`loadgen.synth.SpanBatch` is one."""

    @property
    def trace_ids(self) -> Ids:
        """uint8[m, 16]."""

    def spans_per_trace(self) -> Counts:
        """int64[m]."""

    def failed_traces(self) -> Bools:
        """bool[m]."""

    def duration_ns(self) -> Counts:
        """int64[m]."""


Draw = Callable[[int, Starts], Block]


@dataclass(frozen=True, slots=True)
class Expected:
    """Every trace of a run (m traces) in order of block, and what became of it on the sender's side.

    Attributes:
        run_id: The run.
        traces: Identity and outcome, m entries each.
        starts_ns: Intended times, int64[m] [ns since the epoch].
        fate: DELIVERED, ABSENT or DOUBTFUL, uint8[m].
        unsettled_spans: Spans drawn without a recorded answer: the run was cut off. Which is not known.
        finished: Whether the run wrote its last facts.
    """

    run_id: str
    traces: Traces
    starts_ns: Starts
    fate: npt.NDArray[np.uint8]
    unsettled_spans: int = 0
    finished: bool = True

    def window_s(self, margin_s: int = 60) -> tuple[int, int]:
        """A span of time that every span of the run started in [s since the epoch]."""
        if not len(self.starts_ns):
            return 0, 0
        longest_ns = int(self.traces.duration_ns.max())
        first_ns, last_ns = int(self.starts_ns.min()) - longest_ns, int(self.starts_ns.max()) + longest_ns
        return first_ns // 10**9 - margin_s, last_ns // 10**9 + 1 + margin_s


def drawing_of(meta: Mapping[str, Any], place: str) -> Draw:
    """What draws a run's blocks again.

    Args:
        meta: The run's facts; its topology, seed and id are used.
        place: The run in complaints.

    Raises:
        InputError: A fact is missing, or the recorded topology is not valid.
    """
    from loadgen.synth import compile_topology, draw  # noqa: PLC0415 - most commands never draw
    from loadgen.topology import parse_topology  # noqa: PLC0415

    text, seed, run_id = (_fact(meta, key, place) for key in ("topology_yaml", "seed", "run_id"))
    program = compile_topology(parse_topology(text, f"{place}: topology_yaml"))
    return lambda block, starts_ns: draw(program, int(seed), run_id, block, starts_ns, ending=True)


def _fact(meta: Mapping[str, Any], key: str, place: str) -> str:
    if not isinstance(meta.get(key), str):
        raise InputError(f"{place}: {key}", meta.get(key), "must be recorded; without it the run cannot be drawn again")
    return str(meta[key])


def expected_traces(run: RunFile, draw: Draw | None = None) -> Expected:
    """Every trace of a run drawn again, one block at a time; about 50 bytes of memory a trace stay.

    Args:
        run: The run file, finished or not.
        draw: What draws a block again; by default from the run's own topology and seed.

    Raises:
        InputError: The run cannot be drawn again, or comes out otherwise than recorded.
    """
    meta, place = run.meta(), str(run.path)
    draw = draw or drawing_of(meta, place)
    trouble: defaultdict[int, list[TroubleRow]] = defaultdict(list)
    for row in run.trouble():
        trouble[row.block].append(row)
    blocks = run.blocks()
    parts = [_drawn(draw, row, place) for row in blocks]
    fates = [_fates(part.spans, trouble[row.block]) for row, part in zip(blocks, parts, strict=True)]
    drawn_spans = sum(row.spans for row in blocks)
    return Expected(
        run_id=_fact(meta, "run_id", place),
        traces=_joined(parts),
        starts_ns=np.concatenate([np.empty(0, np.int64), *(row.starts_ns for row in blocks)]),
        fate=np.concatenate([np.empty(0, np.uint8), *fates]),
        unsettled_spans=max(0, drawn_spans - _settled_spans(run)),
        finished="finished_utc" in meta,
    )


def _drawn(draw: Draw, row: BlockRow, place: str) -> Traces:
    block = draw(row.block, row.starts_ns)
    spans = block.spans_per_trace()
    if int(spans.sum()) != row.spans or len(spans) != len(row.starts_ns):
        rule = f"must be the {row.spans} recorded; this release or topology draws other spans than the run's did"
        raise InputError(f"{place}: block {row.block}", int(spans.sum()), rule)
    return Traces(block.trace_ids, block.duration_ns(), block.failed_traces(), spans)


def _joined(parts: Iterable[Traces]) -> Traces:
    columns = zip(no_traces(), *parts, strict=True)
    ids, duration_ns, has_error, spans = (np.concatenate(column) for column in columns)
    return Traces(ids, duration_ns, has_error, spans)


def _fates(spans: Counts, trouble: Sequence[TroubleRow]) -> npt.NDArray[np.uint8]:
    """The fate of each trace of a block; doubt about any part of it is doubt about the trace."""
    fate = np.full(len(spans), DELIVERED, np.uint8)
    for row in trouble:
        traces = slice(row.first, row.first + row.traces)
        whole = row.spans >= int(spans[traces].sum())
        lost = row.state in _NEVER_ARRIVES and whole
        fate[traces] = np.maximum(fate[traces], ABSENT if lost else DOUBTFUL)
    return fate


def _settled_spans(run: RunFile) -> int:
    counts = run.counts("spans")
    answered = counts.accepted + counts.refused + counts.rejected + counts.unknown
    return answered + counts.shed + counts.unfinished
