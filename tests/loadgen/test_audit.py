"""What arrived against what must have: every kind of difference found, counted and explained; nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadgen.errors import InputError
from loadgen.measure.audit import NO_SAMPLER, audit, audit_lines, audit_run
from loadgen.measure.audit_expected import ABSENT, DELIVERED, DOUBTFUL, Expected, expected_traces
from loadgen.measure.audit_types import AuditResult, Finding
from loadgen.measure.observed import Observed
from loadgen.measure.observed_ids import SEEN, group_spans
from loadgen.run import RunFile, create_run, open_run
from loadgen.run.file import BlockRow, LedgerRow, TroubleRow
from loadgen.samplers import HeadSampler, Pipeline, Stage, Traces, redact_config
from loadgen.synth import compile_topology, draw
from loadgen.topology import find_topology, parse_topology

CONFIG = """
processors: {probabilistic_sampler: {sampling_percentage: 50, hash_seed: 3}}
exporters: {otlp_http: {headers: {authorization: s3cret}}}
service: {pipelines: {traces: {processors: [probabilistic_sampler], exporters: [otlp_http]}}}
"""
HALF = Pipeline(stages=(Stage("probabilistic_sampler", HeadSampler(50, hash_seed=3)),))
RUN = "run-1"


@dataclass(frozen=True)
class FakeBlock:
    """Traces whose spans, errors and ids follow from block and row: row r has 1 + r % 3 spans, r % 4 == 0 an error."""

    block: int
    traces: int

    @property
    def trace_ids(self) -> np.ndarray:
        """Random by block."""
        return np.random.default_rng(self.block).integers(0, 256, (self.traces, 16), dtype=np.uint8)

    def spans_per_trace(self) -> np.ndarray:
        """1, 2, 3, 1, ..."""
        return 1 + np.arange(self.traces) % 3

    def failed_traces(self) -> np.ndarray:
        """Every fourth."""
        return np.arange(self.traces) % 4 == 0

    def duration_ns(self) -> np.ndarray:
        """One second."""
        return np.full(self.traces, 10**9)


def fake_draw(block: int, starts_ns: np.ndarray) -> FakeBlock:
    return FakeBlock(block, len(starts_ns))


def make_run(folder: Path, blocks: int = 3, traces: int = 40, trouble: tuple[TroubleRow, ...] = ()) -> Path:
    """A run file of blocks of traces of which all that is not trouble was accepted."""
    rows = [(b, np.arange(traces) * 10**6 + (b + 1) * 10**9) for b in range(blocks)]
    spans = int(fake_draw(0, rows[0][1]).spans_per_trace().sum())
    counts: dict[str, int] = {"accepted": blocks * spans}
    for row in trouble:
        state = "rejected" if row.state == "partial" else row.state
        counts[state] = counts.get(state, 0) + row.spans
        counts["accepted"] -= row.spans
    with create_run(folder, RUN, finished_utc="2026-01-01T00:00:00Z") as writer:
        writer.blocks(BlockRow(0, b, spans, starts) for b, starts in rows)
        writer.trouble(trouble)
        writer.ledger(LedgerRow(1.0, 0, state, n, 0, 0, 0) for state, n in counts.items())
    return folder / RUN


def expected_of(folder: Path, **options: Any) -> Expected:
    with open_run(make_run(folder, **options)) as run:
        return expected_traces(run, fake_draw)


def observed_of(traces: Traces, rows: np.ndarray, kind: str = "file", **changes: Any) -> Observed:
    """The given rows of the run, each whole and once."""
    order = np.array(sorted(rows.tolist(), key=lambda row: traces.ids[row].tobytes()), np.int64)
    spans = traces.spans[order]
    return Observed(kind, "there", traces.ids[order], spans, spans, complete=True)._replace(**changes)


def kept_rows(expected: Expected, pipeline: Pipeline = HALF) -> np.ndarray:
    return np.flatnonzero(pipeline.keep(expected.traces) & (expected.fate == DELIVERED))


def findings(result: AuditResult) -> dict[str, tuple[int, int]]:
    return {f.name: (f.traces, f.spans) for f in result.findings if f.traces}


def found(result: AuditResult, name: str) -> Finding:
    return next(f for f in result.findings if f.name == name)


# --- what must arrive ---


def test_every_block_is_drawn_again(tmp_path: Path) -> None:
    """All traces of all blocks in order, each delivered."""
    expected = expected_of(tmp_path)

    assert (len(expected.traces.ids), expected.fate.tolist()) == (120, [0] * 120)
    assert np.concatenate([FakeBlock(b, 40).trace_ids for b in range(3)]).tolist() == expected.traces.ids.tolist()
    assert (expected.unsettled_spans, expected.finished) == (0, True)
    assert expected.window_s() == (-60, 65)


def test_the_ledger_decides_each_traces_fate(tmp_path: Path) -> None:
    """Whole requests refused or shed are absent; unknown, partial and part-refused ones are doubtful."""
    trouble = (
        TroubleRow(0, 1, 0, 2, 3, "shed", "backlog full"),
        TroubleRow(0, 1, 2, 2, 4, "refused", "503"),
        TroubleRow(0, 1, 4, 2, 5, "unknown", "timeout"),
        TroubleRow(0, 1, 6, 2, 3, "partial", "1 rejected"),
        TroubleRow(0, 1, 8, 1, 1, "rejected", "400"),
        TroubleRow(0, 1, 39, 1, 1, "unfinished", "run stopped"),
    )
    expected = expected_of(tmp_path, trouble=trouble)

    fate = [ABSENT] * 4 + [DOUBTFUL] * 5 + [DELIVERED] * 30 + [ABSENT]
    assert fate == expected.fate[40:80].tolist()
    assert not expected.fate[:40].any()


def test_a_run_that_comes_out_otherwise_is_refused(tmp_path: Path) -> None:
    """Blocks that draw another number of spans than recorded mean another release or topology."""
    run = make_run(tmp_path)

    with open_run(run) as opened, pytest.raises(InputError, match=r"block 0: got 40, must be the 79 recorded"):
        expected_traces(opened, lambda b, s: OneSpanEach(b, len(s)))


class OneSpanEach(FakeBlock):
    """The same traces by another release."""

    def spans_per_trace(self) -> np.ndarray:
        """One."""
        return np.ones(self.traces, np.int64)


def test_a_run_without_its_topology_is_refused(tmp_path: Path) -> None:
    """What is needed to draw the run again is named."""
    with open_run(make_run(tmp_path)) as opened, pytest.raises(InputError, match="topology_yaml: got None"):
        expected_traces(opened)


# --- the comparison ---


def test_the_exact_set_holds(tmp_path: Path) -> None:
    """All that should be there is, nothing else: every finding is empty and the verdict says so."""
    expected = expected_of(tmp_path)
    result = audit(expected, HALF, observed_of(expected.traces, kept_rows(expected)))

    assert result.holds
    assert findings(result) == {}
    assert (result.unexplained_spans, result.doubts) == (0, ())
    assert (result.offered.traces, result.delivered.traces) == (120, 120)
    assert result.expected == result.observed
    assert (result.share.configured, result.share.effective) == (0.5, 0.5)
    assert result.share.predicted == result.share.observed == result.expected.traces / 120
    assert result.share.low < result.share.observed < result.share.high


def test_without_a_sampler_everything_must_arrive(tmp_path: Path) -> None:
    """No configuration means that each delivered trace is expected."""
    expected = expected_of(tmp_path)

    assert audit(expected, NO_SAMPLER, observed_of(expected.traces, np.arange(120))).holds
    assert findings(audit(expected, NO_SAMPLER, observed_of(expected.traces, np.arange(1, 120)))) == {"missing": (1, 1)}


def test_missing_traces(tmp_path: Path) -> None:
    """Delivered and kept but not there: traces, spans, examples in order, causes."""
    expected = expected_of(tmp_path)
    rows = kept_rows(expected)
    result = audit(expected, HALF, observed_of(expected.traces, np.delete(rows, [1, 7])))

    lost = rows[[1, 7]]
    spans = int(expected.traces.spans[lost].sum())
    assert {"missing": (2, spans)} == findings(result)
    assert (False, spans) == (result.holds, result.unexplained_spans)
    assert tuple(expected.traces.ids[row].tobytes().hex() for row in lost) == found(result, "missing").examples
    assert "the Collector's exporter gave up" in found(result, "missing").causes[0]


def test_unexpected_traces(tmp_path: Path) -> None:
    """Sampled out by the configuration and there all the same."""
    expected = expected_of(tmp_path)
    dropped = np.flatnonzero(~HALF.keep(expected.traces))[:1]
    rows = np.concatenate([kept_rows(expected), dropped])

    assert {"unexpected": (1, int(expected.traces.spans[dropped].sum()))} == findings(
        audit(expected, HALF, observed_of(expected.traces, rows))
    )


def test_incomplete_and_duplicated_traces(tmp_path: Path) -> None:
    """A trace with fewer different spans than drawn, and one with a span twice."""
    expected = expected_of(tmp_path)
    observed = observed_of(expected.traces, kept_rows(expected))
    long, longer = np.flatnonzero(observed.spans == 3)[:2]
    spans, unique = observed.spans.copy(), observed.unique_spans.copy()
    spans[long] = unique[long] = 1
    spans[longer] += 2
    result = audit(expected, HALF, observed._replace(spans=spans, unique_spans=unique))

    assert findings(result) == {"incomplete": (1, 2), "duplicated": (1, 2)}
    assert (result.unexplained_spans, result.holds) == (4, False)
    assert "answered too late" in found(result, "duplicated").causes[0]


def test_a_lost_span_is_not_hidden_by_a_repeated_one(tmp_path: Path) -> None:
    """Where span ids are known, a trace of three spans with one lost and one twice is both."""
    expected = expected_of(tmp_path)
    observed = observed_of(expected.traces, kept_rows(expected))
    unique = observed.unique_spans.copy()
    unique[np.flatnonzero(unique == 3)[0]] = 2

    result = audit(expected, HALF, observed._replace(unique_spans=unique))
    assert findings(result) == {"incomplete": (1, 1), "duplicated": (1, 1)}
    assert findings(audit(expected, HALF, observed._replace(unique_spans=None))) == {}


def test_foreign_traces(tmp_path: Path) -> None:
    """An id under this run that it never drew."""
    expected = expected_of(tmp_path)
    observed = observed_of(expected.traces, kept_rows(expected))
    ids = np.concatenate([observed.ids, np.full((1, 16), 255, np.uint8)])
    spans = np.append(observed.spans, 4)
    result = audit(expected, HALF, observed._replace(ids=ids, spans=spans, unique_spans=spans))

    assert findings(result) == {"foreign": (1, 4)}
    assert found(result, "foreign").examples == ("ff" * 16,)
    assert found(result, "foreign").causes == ("another run used the same run id",)


def test_refused_traces_must_not_arrive_and_unknown_ones_may(tmp_path: Path) -> None:
    """A refused trace that arrived contradicts the ledger; an unknown one may be there, in part, twice, or not."""
    trouble = (TroubleRow(0, 0, 0, 3, 6, "refused", "503"), TroubleRow(0, 0, 3, 30, 60, "unknown", "timeout"))
    expected = expected_of(tmp_path, trouble=trouble)
    kept = HALF.keep(expected.traces)
    certain, refused = kept_rows(expected), np.flatnonzero(kept[:3])
    unknown = np.flatnonzero(kept[:33])[len(refused) :]

    assert audit(expected, HALF, observed_of(expected.traces, certain)).holds
    with_unknown = observed_of(expected.traces, np.concatenate([certain, unknown]))
    assert audit(expected, HALF, with_unknown).holds
    twice = with_unknown.spans * np.where(np.isin(with_unknown.ids[:, 0], expected.traces.ids[unknown, 0]), 2, 1)
    assert "missing" not in findings(audit(expected, HALF, with_unknown._replace(spans=twice)))
    result = audit(expected, HALF, observed_of(expected.traces, np.concatenate([certain, refused])))
    assert {"contradicting": (len(refused), int(expected.traces.spans[refused].sum()))} == findings(result)


def test_a_run_cut_off_is_excused_up_to_what_is_not_recorded(tmp_path: Path) -> None:
    """Spans without a recorded answer may be missing, and no more than those."""
    expected = replace(expected_of(tmp_path), unsettled_spans=3, finished=False)
    rows = kept_rows(expected)
    three = rows[np.flatnonzero(expected.traces.spans[rows] == 3)[0]]
    one = rows[np.flatnonzero(expected.traces.spans[rows] == 1)[0]]

    excused = audit(expected, HALF, observed_of(expected.traces, np.setdiff1d(rows, [three])))
    assert (findings(excused), excused.holds, excused.unexplained_spans) == ({"missing": (1, 3)}, True, 0)
    assert "the run was cut off: 3 spans" in found(excused, "missing").causes[0]
    more = audit(expected, HALF, observed_of(expected.traces, np.setdiff1d(rows, [one, three])))
    assert (more.holds, more.unexplained_spans) == (False, 1)


def test_unsettled_spans_are_those_drawn_but_not_answered(tmp_path: Path) -> None:
    """A run file whose ledger ends early says how many spans are open."""
    path = make_run(tmp_path)
    with RunFile(path / "run.sqlite") as run:
        drawn = run.counts().accepted
    with create_run(tmp_path / "cut", RUN) as writer:
        with open_run(path) as run:
            writer.blocks(run.blocks())
        writer.ledger([LedgerRow(1.0, 0, "accepted", drawn - 10, 0, 0, 0)])
    with open_run(tmp_path / "cut" / RUN) as run:
        expected = expected_traces(run, fake_draw)

    assert (expected.unsettled_spans, expected.finished) == (10, False)


def test_nothing_to_judge(tmp_path: Path) -> None:
    """A run without traces does not hold, and says why."""
    expected = expected_of(tmp_path, blocks=1, traces=0)
    result = audit(expected, HALF, observed_of(expected.traces, np.array([], np.int64)))

    assert (result.holds, result.unexplained_spans) == (False, 0)
    assert "nothing to judge" in audit_lines(result)[0]
    assert expected.window_s() == (0, 0)


# --- at the edge ---


def write_observed(path: Path, traces: Traces, rows: np.ndarray) -> str:
    spans = [
        {"traceId": traces.ids[row].tobytes().hex(), "spanId": f"{number + 1:016x}"}
        for row in rows
        for number in range(int(traces.spans[row]))
    ]
    resource = {"attributes": [{"key": "loadtest.run.id", "value": {"stringValue": RUN}}]}
    path.write_text(json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}))
    return str(path)


def test_audit_of_a_run_file(tmp_path: Path) -> None:
    """Configuration, without its secrets, and result are kept in the run file; the kept one serves the next audit."""
    run = make_run(tmp_path)
    with open_run(run) as opened:
        expected = expected_traces(opened, fake_draw)
    place = write_observed(tmp_path / "kept.jsonl", expected.traces, kept_rows(expected))
    result = audit_run(run, CONFIG, place, draw=fake_draw, now_s=lambda: 5.0)
    again = audit_run(run / "run.sqlite", None, place, draw=fake_draw)

    assert result.holds
    assert result == again
    with open_run(run) as opened:
        assert [result.as_dict()] * 2 == opened.audits()
        assert redact_config(CONFIG) == opened.meta()["collector_config"]
        assert opened.query("SELECT time_s FROM audits ORDER BY time_s LIMIT 1") == [(5.0,)]
    assert "s3cret" not in (run / "run.sqlite").read_bytes().decode("latin-1")


def test_audit_without_a_configuration(tmp_path: Path) -> None:
    """Neither given nor recorded: all that was delivered must be there."""
    run = make_run(tmp_path)
    with open_run(run) as opened:
        expected = expected_traces(opened, fake_draw)
    place = write_observed(tmp_path / "kept.jsonl", expected.traces, np.arange(120))

    assert audit_run(run, None, place, draw=fake_draw).holds


def test_a_wrong_configuration_is_named(tmp_path: Path) -> None:
    """The configuration's own name stands in the complaint, and nothing is recorded."""
    run = make_run(tmp_path)
    place = write_observed(tmp_path / "kept.jsonl", expected_of(tmp_path / "x").traces, np.arange(3))

    with pytest.raises(InputError, match=r"collector\.yaml: processors\.probabilistic_sampler\.hash_sed"):
        audit_run(run, CONFIG.replace("hash_seed", "hash_sed"), place, place="collector.yaml", draw=fake_draw)
    with open_run(run) as opened:
        assert opened.audits() == []
        assert "collector_config" not in opened.meta()


def test_a_real_topology_drawn_again(tmp_path: Path) -> None:
    """A run of the checkout topology is drawn again from its file alone, to the last span id."""
    text, _ = find_topology("checkout")
    program = compile_topology(parse_topology(text, "checkout.yaml"))
    starts_ns = 1_800_000_000_000_000_000 + np.arange(50) * 10**7
    batches = [draw(program, 11, RUN, block, starts_ns, ending=True) for block in (0, 2**40)]
    with create_run(tmp_path, RUN, seed="11", topology_yaml=text, finished_utc="x") as writer:
        writer.blocks(BlockRow(0, batch.block, batch.spans, batch.starts_ns) for batch in batches)
        writer.ledger([LedgerRow(1.0, 0, "accepted", sum(batch.spans for batch in batches), 100, 2, 0)])
    with open_run(tmp_path / RUN) as run:
        expected = expected_traces(run)
    kept = HALF.keep(expected.traces)
    seen = np.empty(sum(batch.spans for batch in batches), SEEN)
    seen["trace"] = np.concatenate([batch.trace_ids[batch.trace] for batch in batches])
    seen["span"] = np.concatenate([batch.span_ids for batch in batches]).astype(">u8").view(np.uint8).reshape(-1, 8)
    which = np.repeat(kept, expected.traces.spans)
    result = audit(expected, HALF, Observed("file", "there", *group_spans(seen[which]), complete=True))

    assert (len(kept), result.unexplained_spans, result.holds) == (100, 0, True)
    assert int(kept.sum()) == result.observed.traces
    assert not audit(expected, HALF, Observed("file", "there", *group_spans(seen[which][1:]), complete=True)).holds
