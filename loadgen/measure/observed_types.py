"""What was seen to have arrived of a run, and how to ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from loadgen.samplers import Counts, Ids

RUN_ATTRIBUTE = "loadtest.run.id"


class Observed(NamedTuple):
    """What arrived of one run (k traces).

    Args:
        kind: ``file``, ``sink``, ``tempo`` or ``blocks``.
        place: Where it was read.
        ids: Trace ids, unique and sorted, uint8[k, 16].
        spans: Spans seen of each, repetitions included, int64[k].
        unique_spans: Different span ids of each, int64[k]; None if not known.
        complete: Whether this is every trace of the run there; otherwise only ``asked`` were looked for.
        asked: The ids looked for, uint8[s, 16]; None if all were listed.
        total_spans: Spans of the whole run there, counted apart; None if not known.
    """

    kind: str
    place: str
    ids: Ids
    spans: Counts
    unique_spans: Counts | None
    complete: bool
    asked: Ids | None = None
    total_spans: int | None = None


class Question(NamedTuple):
    """What is asked about a run.

    Args:
        run_id: The run.
        sample: Ids to look for where a place cannot list all of them, uint8[s, 16].
        start_s, end_s: Every span of the run started in between [s since the epoch].
    """

    run_id: str
    sample: Ids = np.empty((0, 16), np.uint8)
    start_s: int = 0
    end_s: int = 0


Reader = Callable[[Question], Observed]
