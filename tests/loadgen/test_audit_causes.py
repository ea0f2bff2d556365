"""Each difference is explained by what is likeliest, recognised from the set itself where that is possible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadgen.measure.audit import NO_SAMPLER, audit
from loadgen.measure.audit_expected import DELIVERED, Expected
from loadgen.measure.audit_types import AuditResult, Finding
from loadgen.measure.observed import Observed
from loadgen.samplers import HeadSampler, Pipeline, Stage, TailSampler, Traces
from loadgen.samplers.policies import ErrorStatus, Probabilistic

HALF = Pipeline(stages=(Stage("probabilistic_sampler", HeadSampler(50, hash_seed=3)),))


def run_of(blocks: int) -> Expected:
    """A run of blocks of 40 delivered traces, a block a second, of which every fourth trace has an error."""
    n = 40 * blocks
    ids = np.random.default_rng(1).integers(0, 256, (n, 16), dtype=np.uint8)
    rows = np.arange(n)
    traces = Traces(ids, np.full(n, 10**9), rows % 4 == 0, 1 + rows % 3)
    return Expected("run-1", traces, rows // 40 * 10**9 + rows % 40 * 10**6, np.full(n, DELIVERED, np.uint8))


def kept_rows(expected: Expected, pipeline: Pipeline = HALF) -> np.ndarray:
    return np.flatnonzero(pipeline.keep(expected.traces))


def found(result: AuditResult, name: str) -> Finding:
    return next(f for f in result.findings if f.name == name)


def causes(expected: Expected, pipeline: Pipeline, rows: np.ndarray, name: str, kind: str = "file") -> tuple[str, ...]:
    order = np.array(sorted(rows.tolist(), key=lambda row: expected.traces.ids[row].tobytes()), np.int64)
    spans = expected.traces.spans[order]
    observed = Observed(kind, "there", expected.traces.ids[order], spans, spans, complete=True)
    return found(audit(expected, pipeline, observed), name).causes


def test_another_percentage_is_recognised() -> None:
    """A set that fits the same sampler at another percentage is explained by that, up and down."""
    expected = run_of(20)
    for percent in (20, 80):
        other = Pipeline(stages=(Stage("p", HeadSampler(percent, hash_seed=3)),))
        first = causes(expected, HALF, kept_rows(expected, other), "missing" if percent == 20 else "unexpected")[0]

        assert first.startswith("the set fits this sampler at about")
        assert abs(float(first.split("about ")[1].split(" %")[0]) - percent) < 1


@pytest.mark.parametrize(("mode", "seed"), [("hash_seed", 0), ("proportional", 0)])
def test_other_settings_are_recognised(mode: str, seed: int) -> None:
    """The default seed or another mode at the same percentage is named."""
    expected = run_of(3)
    other = Pipeline(stages=(Stage("p", HeadSampler(50, mode, seed)),))

    first = causes(expected, HALF, kept_rows(expected, other), "unexpected")[0]
    assert first.startswith(f"the set fits {mode}")


def test_no_sampling_at_all_is_recognised() -> None:
    """Everything arrived although half should have."""
    expected = run_of(3)

    assert "does not sample at all" in causes(expected, HALF, np.arange(120), "unexpected")[0]


def test_nothing_arrived() -> None:
    """An empty place is first of all the wrong place, or too early."""
    expected = run_of(3)

    assert "nothing of the run is there" in causes(expected, HALF, np.array([], np.int64), "missing")[0]


def test_only_the_newest_missing() -> None:
    """What is still on its way is recognised by its age."""
    expected = run_of(3)

    assert "only the newest" in causes(expected, NO_SAMPLER, np.arange(100), "missing")[0]


def test_a_batch_processor_hides_a_full_queue() -> None:
    """Behind a batch processor, loss in the exporter's queue is the first guess."""
    expected = run_of(3)
    pipeline = replace(HALF, processors=("probabilistic_sampler", "batch/2"))

    first = causes(expected, pipeline, kept_rows(expected)[1:], "missing")[0]
    assert "behind a batch or tail_sampling processor" in first


def test_too_many_traces_for_the_tail_sampler() -> None:
    """More traces within decision_wait than num_traces is counted from the run's own schedule."""
    expected = run_of(3)
    tail = TailSampler((ErrorStatus("e"), Probabilistic("p", 50)), decision_wait_s=0.5, num_traces=70)
    pipeline = Pipeline(stages=(Stage("tail_sampling", tail),), processors=("tail_sampling",))

    first = causes(expected, pipeline, kept_rows(expected, pipeline)[1:], "missing")[0]
    assert "held up to 80 traces but num_traces is 70" in first


def test_foreign_instead_of_missing() -> None:
    """Other ids under the run's name instead of its own: drawn otherwise than the file says."""
    expected = run_of(3)
    ids = np.random.default_rng(99).integers(0, 256, (5, 16), dtype=np.uint8)
    ids = ids[np.lexsort(ids.T[::-1])]
    ones = np.ones(5, np.int64)
    result = audit(expected, NO_SAMPLER, Observed("sink", "there", ids, ones, ones, complete=True))

    assert "drawn by another release or topology" in found(result, "missing").causes[0]
    assert "drawn by another release" in found(result, "foreign").causes[0]
