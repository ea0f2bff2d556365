"""Planning from a run: what a real target showed is used, what the sink showed never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loadgen.run import RunWriter, open_run
from loadgen.run.file import LedgerRow, SampleRow
from planner.evidence import ADVISED_RUN_S, SINK_REASON, Evidence, read_evidence
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
    assert any("18 s of steady load after 30 s of warm-up seen, 30 s needed" in reason for reason in evidence.unused)


def _sampled(path: Path, *, from_s: float = 0.0) -> None:
    """125 s of 80 traces/s at the Collector; Tempo gets 10 % of them from ``from_s`` on, each by chance."""
    draw = np.random.default_rng(7)
    kept = np.cumsum([0, *(draw.binomial(80, 0.1) if t >= from_s else 0 for t in range(125))])
    with RunWriter(path / "run.sqlite") as writer:
        for t in range(126):
            at = 1000.0 + t
            values = (
                ("collector", "receiver_accepted_spans", 3200.0 * t, "spans"),
                ("tempo", "received_spans", 40.0 * kept[t], "spans"),
                ("tempo", "rss_bytes", 3e8, "bytes"),
                ("tempo", "cpu_s", 0.1 * t, "s"),
            )
            writer.samples(SampleRow(at, source, name, {}, float(v), unit) for source, name, v, unit in values)


def test_a_tempo_behind_a_sampler_is_steady_under_a_steady_load(run_of: Callable[..., Path]) -> None:
    """What a head sampler lets through jumps from second to second; 125 s of even load are steady all the same."""
    path = run_of(source="", seconds=125.0)
    _sampled(path)

    evidence = _read(path)

    assert evidence.unused == ()
    assert pytest.approx(320, rel=0.1) == evidence.tempo.spans_per_s
    assert (3e8, pytest.approx(0.1)) == (evidence.tempo.rss_max_bytes, evidence.tempo.cores)
    assert evidence.tempo.source == "run r1, 1.57 min of steady load"


def test_a_tempo_that_got_its_load_late_is_not_steady(run_of: Callable[..., Path]) -> None:
    """The Collector's load was steady for 125 s; Tempo saw 35 s of it, 5 s beyond the warm-up."""
    path = run_of(source="", seconds=125.0)
    _sampled(path, from_s=90.0)

    evidence = _read(path)

    assert evidence.tempo is None
    assert any("tempo: " in reason and "seen, 30 s needed" in reason for reason in evidence.unused)


def test_advice_names_the_run_length_that_suffices(
    shape: TraceShape, request_of: Callable[..., PlanRequest], run_of: Callable[..., Path]
) -> None:
    """Two minutes, wherever a part of the run is not used."""
    doubts = _plan(_read(run_of(source="tempo", seconds=50.0)), shape, request_of).doubts

    assert "at least 2 minutes" in doubts[0].remedy


def test_a_run_of_the_advised_length_is_used(run_of: Callable[..., Path]) -> None:
    """Its memory and CPU feed the plan."""
    assert _read(run_of(source="tempo", seconds=ADVISED_RUN_S)).tempo is not None


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


def test_traffic_is_what_was_asked_not_what_was_drawn_ahead(run_of: Callable[..., Path]) -> None:
    """50 traces/s asked for 100 s; 40 more were drawn and never due."""
    path = run_of(source="", seconds=0.0)
    with RunWriter(path / "run.sqlite") as writer:
        writer.rate(1000.0, 50.0, 2000.0, "50/s")
        writer.ledger(LedgerRow(1001.0 + t, 0, "offered", 2000, 50, 1, 1) for t in range(100))
        writer.ledger([LedgerRow(1100.6, 0, state, 1600, 40, 1, 1) for state in ("offered", "unfinished")])

    assert pytest.approx(50.0) == _read(path).traces_per_s


def test_traffic_of_a_changing_rate_is_its_mean(run_of: Callable[..., Path]) -> None:
    """50 s of 100/s, then 50 s of 300/s."""
    path = run_of(source="", seconds=0.0)
    with RunWriter(path / "run.sqlite") as writer:
        for start_s, per_s in ((1000.0, 100), (1050.0, 300)):
            writer.rate(start_s, float(per_s), 40.0 * per_s, f"{per_s}/s")
            rows = (LedgerRow(start_s + 1 + t, 0, "offered", 40 * per_s, per_s, 1, 1) for t in range(50))
            writer.ledger(rows)

    assert pytest.approx(200.0) == _read(path).traces_per_s


def test_traffic_of_a_run_that_lost_its_load_is_what_came(run_of: Callable[..., Path]) -> None:
    """100/s asked for 102 s, half of it offered: the record of the rate alone is not believed."""
    path = run_of(source="", seconds=0.0)
    with RunWriter(path / "run.sqlite") as writer:
        writer.rate(1000.0, 100.0, 4000.0, "100/s")
        writer.ledger(LedgerRow(1001.0 + t, 0, "offered", 2000, 50, 1, 1) for t in range(102))

    assert pytest.approx(51.0) == _read(path).traces_per_s


def test_a_run_without_samples_uses_shipped_figures(
    shape: TraceShape, request_of: Callable[..., PlanRequest], run_of: Callable[..., Path]
) -> None:
    """Nothing observed, nothing used, and nothing invented."""
    evidence = _read(run_of(source=""))

    assert _plan(None, shape, request_of).choices == _plan(evidence, shape, request_of).choices
