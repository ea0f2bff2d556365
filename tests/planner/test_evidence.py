"""Planning from a run: what a real target showed is used, what the sink showed never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from loadgen.run import RunWriter, open_run
from loadgen.run.file import LedgerRow, SampleRow
from planner.evidence import SINK_REASON, Evidence, read_evidence
from planner.plan import make_plan
from planner.records import Basis, Plan
from planner.request import PlanRequest
from planner.sampling import Sampling
from planner.shape import TraceShape

FITTED = ("stored_bytes_per_day", "tempo_rss_bytes", "tempo_cores", "collector_rss_bytes")
ALL = {"samplings": (Sampling("head", 1.0),)}


def _read(path: Path) -> Evidence:
    with open_run(path) as run:
        return read_evidence(run)


def _plan(evidence: Evidence | None, shape: object, request_of: Callable[..., object]) -> Plan:
    return make_plan(request_of("100rps", **ALL), shape, evidence)


@pytest.mark.parametrize("source", ["sink", "tempo", "collector"])
def test_the_sink_never_feeds_a_coefficient(
    shape: TraceShape, request_of: Callable[..., PlanRequest], run_of: Callable[..., Path], source: str
) -> None:
    """A run against the sink plans exactly as without it, whatever its samples are called, and says so."""
    evidence = _read(run_of(source=source, kind="sink"))

    with_run, without = _plan(evidence, shape, request_of), _plan(None, shape, request_of)

    assert (evidence.stored, evidence.tempo, evidence.collector) == (None, None, None)
    assert without.choices == with_run.choices
    assert without.curves == with_run.curves
    assert with_run.doubts[0].what == SINK_REASON
    assert "sink" not in " ".join(f.source for c in with_run.choices for f in c.figures.values())


def test_samples_of_a_sink_behind_a_real_collector_are_not_tempos(
    shape: TraceShape, request_of: Callable[..., PlanRequest], run_of: Callable[..., Path]
) -> None:
    """A real Collector may export to the sink: what the sink shows is not used, and that is said."""
    evidence = _read(run_of(source="sink", kind="collector"))

    assert (evidence.stored, evidence.tempo, evidence.collector) == (None, None, None)
    assert _plan(None, shape, request_of).choices == _plan(evidence, shape, request_of).choices
    assert any("stood in for Tempo" in reason for reason in evidence.unused)


def test_a_real_tempo_gives_stored_bytes_memory_and_cpu(
    shape: TraceShape, request_of: Callable[..., PlanRequest], run_of: Callable[..., Path]
) -> None:
    """95 B a span flushed, 300 MB median with peaks of 500 MB, 0.2 cores at 4,000 spans/s."""
    evidence = _read(run_of(source="tempo"))
    seen = evidence.tempo

    assert evidence.unused == ()
    assert evidence.stored.low <= 95 <= evidence.stored.high
    assert (pytest.approx(4000), 300e6, 500e6) == (seen.spans_per_s, seen.rss_median_bytes, seen.rss_max_bytes)
    assert (pytest.approx(0.2), 1000) == (seen.cores, seen.live_traces)


def test_a_plan_from_a_real_run_rests_on_it(
    shape: TraceShape, request_of: Callable[..., PlanRequest], run_of: Callable[..., Path]
) -> None:
    """Its storage and memory name the run and are measured; at the run's own rate they are the run's."""
    evidence = _read(run_of(source="tempo"))
    rate = f"{evidence.tempo.spans_per_s} spans/s"

    figures = make_plan(request_of(rate, **ALL), shape, evidence).chosen.figures

    assert pytest.approx(300e6) == figures["tempo_rss_median_bytes"].value
    assert pytest.approx(0.2) == figures["tempo_cores"].value
    assert "run r1" in figures["tempo_rss_bytes"].source
    assert (
        figures["stored_bytes_per_day"].basis, "run r1" in figures["stored_bytes_per_day"].source
    ) == (Basis.MEASURED, True)  # fmt: skip
    assert pytest.approx(95 * 4000 * 86400, rel=0.2) == figures["stored_bytes_per_day"].value


def test_a_real_collector_gives_its_memory(
    shape: TraceShape, request_of: Callable[..., PlanRequest], run_of: Callable[..., Path]
) -> None:
    """A head-sampling Collector's memory replaces the shipped base; Tempo's stays shipped."""
    evidence = _read(run_of(source="collector"))
    shipped = _plan(None, shape, request_of).chosen.figures

    figures = make_plan(request_of("4000 spans/s", **ALL), shape, evidence).chosen.figures

    assert 300e6 <= figures["collector_rss_bytes"].value <= 500e6
    assert "run r1" in figures["collector_rss_bytes"].source
    assert shipped["tempo_rss_bytes"].source.partition(";")[0] == figures["tempo_rss_bytes"].source.partition(";")[0]


def test_a_tail_sampling_collector_does_not_set_the_base(run_of: Callable[..., Path]) -> None:
    """Its memory is mostly held traces."""
    path = run_of(source="collector")
    with RunWriter(path / "run.sqlite") as writer:
        writer.samples([SampleRow(1100.0, "collector", "tail_new_traces", {}, 5.0, "traces")])

    evidence = _read(path)

    assert evidence.collector is None
    assert any("by tail" in reason for reason in evidence.unused)


def test_a_short_run_feeds_no_memory(run_of: Callable[..., Path]) -> None:
    """50 s leave less than 30 s of steady load after the warm-up."""
    evidence = _read(run_of(source="tempo", seconds=50.0))

    assert evidence.tempo is None
    assert any("less than 30 s of steady load" in reason for reason in evidence.unused)


def test_discarded_spans_spoil_stored_bytes(run_of: Callable[..., Path]) -> None:
    """Bytes flushed of spans that Tempo dropped are no bytes per span."""
    path = run_of(source="tempo")
    with RunWriter(path / "run.sqlite") as writer:
        writer.samples([SampleRow(1180.0, "tempo", "discarded_spans", {"reason": "x"}, 7.0, "spans")])

    evidence = _read(path)

    assert evidence.stored is None
    assert any("discarded" in reason for reason in evidence.unused)


def test_an_unbalanced_ledger_feeds_nothing(run_of: Callable[..., Path]) -> None:
    """More accepted than sent: nothing of the run can be believed."""
    path = run_of(source="tempo")
    with RunWriter(path / "run.sqlite") as writer:
        writer.ledger([LedgerRow(1200.0, 0, "accepted", 10**9, 1, 1, 1)])

    evidence = _read(path)

    assert (evidence.stored, evidence.tempo) == (None, None)
    assert any("does not balance" in reason for reason in evidence.unused)


def test_rates_and_sizes_of_the_run(run_of: Callable[..., Path]) -> None:
    """100 traces/s of 40 spans and 400 B, as offered and recorded."""
    evidence = _read(run_of())

    assert pytest.approx(100, rel=0.02) == evidence.traces_per_s
    assert (evidence.spans_per_trace, evidence.wire_bytes_per_span) == (40.0, 400.0)


def test_a_run_without_samples_uses_shipped_figures(
    shape: TraceShape, request_of: Callable[..., PlanRequest], run_of: Callable[..., Path]
) -> None:
    """Nothing observed, nothing used, and nothing invented."""
    evidence = _read(run_of(source=""))

    assert _plan(None, shape, request_of).choices == _plan(evidence, shape, request_of).choices
