"""An audit by sample and count, its figures, and its text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loadgen.measure.audit import audit, audit_lines, interval, question_about
from loadgen.measure.audit_expected import DELIVERED, Expected
from loadgen.measure.audit_types import AuditResult, Finding
from loadgen.measure.observed import Observed
from loadgen.samplers import HeadSampler, Pipeline, Stage, Traces

HALF = Pipeline(stages=(Stage("probabilistic_sampler", HeadSampler(50, hash_seed=3)),))


def run_of(blocks: int) -> Expected:
    """A run of blocks of 40 delivered traces, a block a second, of which every fourth trace has an error."""
    n = 40 * blocks
    ids = np.random.default_rng(1).integers(0, 256, (n, 16), dtype=np.uint8)
    rows = np.arange(n)
    traces = Traces(ids, np.full(n, 10**9), rows % 4 == 0, 1 + rows % 3)
    return Expected("run-1", traces, rows // 40 * 10**9 + rows % 40 * 10**6, np.full(n, DELIVERED, np.uint8))


def kept_rows(expected: Expected) -> np.ndarray:
    return np.flatnonzero(HALF.keep(expected.traces))


def observed_of(traces: Traces, rows: np.ndarray, kind: str = "file", **changes: Any) -> Observed:
    """The given rows of the run, each whole and once."""
    order = np.array(sorted(rows.tolist(), key=lambda row: traces.ids[row].tobytes()), np.int64)
    spans = traces.spans[order]
    return Observed(kind, "there", traces.ids[order], spans, spans, complete=True)._replace(**changes)


def found(result: AuditResult, name: str) -> Finding:
    return next(f for f in result.findings if f.name == name)


# --- samples ---


def test_a_sample_with_a_count() -> None:
    """Findings are about the traces looked for; the count of all spans must fit."""
    expected = run_of(3)
    question = question_about(expected, HALF, of_each=10)
    kept = {row.tobytes() for row in expected.traces.ids[kept_rows(expected)]}
    asked = [row.tobytes() for row in question.sample]
    rows = np.array([row for row, i in enumerate(expected.traces.ids) if i.tobytes() in kept & set(asked)])
    total = int(expected.traces.spans[kept_rows(expected)].sum())
    changes = {"complete": False, "asked": question.sample, "total_spans": total}
    result = audit(expected, HALF, observed_of(expected.traces, rows, "tempo", **changes))

    assert (len(asked), len(kept & set(asked))) == (20, 10)
    assert question.sample.tolist() == question_about(expected, HALF, of_each=10).sample.tolist()
    assert (True, 20, total) == (result.holds, result.looked_for, result.observed.spans)
    assert (result.share.observed, result.share.low) == (None, None)
    one_less = audit(expected, HALF, observed_of(expected.traces, rows[1:], "tempo", **changes))
    assert found(one_less, "missing").traces == 1
    assert any("live_traces_exceeded" in cause for cause in found(one_less, "missing").causes)


@pytest.mark.parametrize(("change", "unexplained", "doubts"), [(-5, 5, 1), (3, 3, 0), (0, 0, 0)])
def test_a_count_that_does_not_fit(change: int, unexplained: int, doubts: int) -> None:
    """Too few or too many spans are unexplained; too few may be Tempo's lag."""
    expected = run_of(3)
    total = int(expected.traces.spans[kept_rows(expected)].sum()) + change
    none = np.empty((0, 16), np.uint8)
    changes = {"complete": False, "asked": none, "total_spans": total}
    result = audit(expected, HALF, observed_of(expected.traces, np.array([], np.int64), "tempo", **changes))

    assert (unexplained, doubts) == (result.unexplained_spans, len(result.doubts))


# --- figures and text ---


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (1, 100, 0.000253, 0.05446)],
)
def test_exact_interval(k: int, n: int, low: float, high: float) -> None:
    """Clopper and Pearson's intervals as tabulated."""
    assert (pytest.approx(low, rel=1e-3), pytest.approx(high, rel=1e-3)) == interval(k, n)


def test_text_of_what_holds() -> None:
    """The verdict comes first; the columns line up."""
    expected = run_of(3)
    lines = audit_lines(audit(expected, HALF, observed_of(expected.traces, kept_rows(expected))))

    n = len(kept_rows(expected))
    assert (
        f"audit of run run-1 at there: holds: all {n} expected traces arrived, whole, once, and no others" == lines[0]
    )
    assert lines[1] == "  sampling       probabilistic_sampler: hash_seed seed 3, 50 % asked, 50 % kept"
    assert lines[3] == "  offered                120            240"
    assert lines[-1] == "  unexplained                             0"
    assert {43} == {len(line) for line in lines[2:7] + lines[8:]}


def test_text_of_what_does_not_hold() -> None:
    """Each finding shows examples and ranked causes; what a sample cannot say is a dash with the reason."""
    expected = run_of(3)
    tempo = observed_of(expected.traces, kept_rows(expected)[1:], "tempo")
    short = audit_lines(audit(expected, HALF, tempo))
    sampled = audit_lines(audit(expected, HALF, tempo._replace(complete=False, asked=tempo.ids, total_spans=0)))

    assert "does not hold: 1 missing, " in short[0]
    at = next(number for number, line in enumerate(short) if line.startswith("  missing"))
    assert [line.split()[0] for line in short[at + 1 : at + 4]] == ["e.g.", "likely:", "or:"]
    assert any("observed - (only a sample was looked up)" in line for line in sampled)
