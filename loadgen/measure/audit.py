"""The audit: what arrived of a run against the exact set that must have, trace by trace.

The samplers are pure functions of each trace, so there is no "about 10 %": any difference is
loss, duplication or a configuration other than the one given, never chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

from loadgen.measure.audit_causes import Situation, causes_of
from loadgen.measure.audit_expected import ABSENT, DELIVERED, DOUBTFUL, Draw, Expected, expected_traces
from loadgen.measure.audit_text import audit_lines
from loadgen.measure.audit_types import EXAMPLES, Amount, AuditResult, Finding, Share
from loadgen.measure.observed import Observed, Question, parse_observed
from loadgen.measure.observed_ids import match
from loadgen.run import RunWriter, open_run
from loadgen.samplers import Bools, Counts, Ids, Pipeline, pipeline_from_config, redact_config

__all__ = [
    "Amount",
    "AuditResult",
    "Finding",
    "Share",
    "audit",
    "audit_lines",
    "audit_run",
    "expected_traces",
    "question_about",
]

SAMPLED_OF_EACH = 200
NO_SAMPLER = Pipeline()


class _Seen(NamedTuple):
    """What was seen of each trace of the run, 0 where nothing: spans and different spans, int64[m]; which foreign."""

    spans: Counts
    unique: Counts
    foreign: Bools


def _seen(expected: Expected, observed: Observed) -> _Seen:
    place = match(expected.traces.ids, observed.ids)
    own = place >= 0
    spans, unique = (np.zeros(len(expected.fate), np.int64) for _ in range(2))
    spans[place[own]] = observed.spans[own]
    # Where different spans were not counted, no more of them can have come than were drawn.
    drawn = expected.traces.spans[place[own]]
    counted = np.minimum(spans[place[own]], drawn) if observed.unique_spans is None else observed.unique_spans[own]
    unique[place[own]] = counted
    return _Seen(spans, unique, ~own)


def _looked_for(expected: Expected, observed: Observed) -> Bools:
    if observed.asked is None:
        return np.ones(len(expected.fate), np.bool_)
    asked = np.zeros(len(expected.fate), np.bool_)
    place = match(expected.traces.ids, observed.asked)
    asked[place[place >= 0]] = True
    return asked


def audit(expected: Expected, pipeline: Pipeline, observed: Observed) -> AuditResult:
    """Compare what arrived with what must have.

    Args:
        expected: The run's traces and what became of them on the sender's side.
        pipeline: The samplers between; ``NO_SAMPLER`` if none.
        observed: What arrived.
    """
    fate, drawn = expected.fate, expected.traces.spans
    kept, seen, asked = pipeline.keep(expected.traces), _seen(expected, observed), _looked_for(expected, observed)
    findings = _findings(expected, pipeline, observed, kept, seen, asked)
    must, may = kept & (fate == DELIVERED), kept & (fate != ABSENT)
    bounds = _amount(drawn, must).spans - expected.unsettled_spans, _amount(drawn, may).spans
    total = int(observed.spans.sum()) if observed.total_spans is None else observed.total_spans
    return AuditResult(
        run_id=expected.run_id,
        place=observed.place,
        pipeline=tuple(pipeline.describe()),
        exhaustive=observed.complete,
        looked_for=int(asked.sum()),
        offered=_amount(drawn, np.ones(len(drawn), np.bool_)),
        delivered=_amount(drawn, fate == DELIVERED),
        doubtful=_amount(drawn, fate == DOUBTFUL),
        unsettled_spans=expected.unsettled_spans,
        expected=_amount(drawn, must),
        observed=Amount(len(observed.ids), total),
        share=_share(pipeline, must, (seen.spans > 0) & (fate == DELIVERED), fate == DELIVERED, observed),
        findings=findings,
        unexplained_spans=_unexplained(findings, observed, bounds, expected.unsettled_spans),
        doubts=tuple(_doubts(observed, bounds, findings)),
    )


def _amount(drawn: Counts, mask: Bools) -> Amount:
    return Amount(int(mask.sum()), int(drawn[mask].sum()))


def _findings(
    expected: Expected, pipeline: Pipeline, observed: Observed, kept: Bools, seen: _Seen, asked: Bools
) -> tuple[Finding, ...]:
    fate, drawn = expected.fate, expected.traces.spans
    arrived, must = seen.spans > 0, kept & (fate == DELIVERED)
    once = np.minimum(seen.unique, drawn)
    differences = {
        "missing": (asked & must & ~arrived, drawn),
        "unexpected": (arrived & ~kept & (fate != ABSENT), seen.spans),
        "contradicting": (arrived & (fate == ABSENT), seen.spans),
        "incomplete": (arrived & must & (once < drawn), drawn - once),
        "duplicated": (arrived & must & (seen.spans > once), seen.spans - once),
    }
    missing, unexpected = differences["missing"][0], differences["unexpected"][0]
    foreign = int(seen.foreign.sum())
    situation = Situation(expected, pipeline, observed.kind, arrived, asked, missing, unexpected, foreign)
    own = [_finding(name, expected.traces.ids, *found, situation) for name, found in differences.items()]
    return (*own, _finding("foreign", observed.ids, seen.foreign, observed.spans, situation))


def _finding(name: str, ids: Ids, mask: Bools, spans: Counts, situation: Situation) -> Finding:
    found = np.flatnonzero(mask)
    if not len(found):
        return Finding(name, 0, 0)
    examples = tuple(ids[row].tobytes().hex() for row in found[:EXAMPLES])
    return Finding(name, len(found), int(spans[found].sum()), examples, causes_of(name, situation))


def _unexplained(
    findings: tuple[Finding, ...], observed: Observed, bounds: tuple[int, int], unsettled_spans: int
) -> int:
    """Spans that neither arrived as they must nor are excused; by the total where only that is known."""
    if observed.total_spans is not None:
        return max(bounds[0] - observed.total_spans, observed.total_spans - bounds[1], 0)
    missing = next(f.spans for f in findings if f.name == "missing")
    return sum(f.spans for f in findings) - min(missing, unsettled_spans)


def _doubts(observed: Observed, bounds: tuple[int, int], findings: tuple[Finding, ...]) -> Iterator[str]:
    few = observed.total_spans is not None and observed.total_spans < bounds[0]
    if few and not any(finding.traces for finding in findings):
        yield "Tempo's queries lag behind what it has: by query_end_cutoff, 30 s unless set (v3.0.3); audit again"


def _share(pipeline: Pipeline, certain: Bools, arrived: Bools, delivered: Bools, observed: Observed) -> Share:
    n = int(delivered.sum())
    known = pipeline.configured_ratio, pipeline.effective_ratio, int(certain.sum()) / n if n else None
    if not n or not observed.complete:
        return Share(*known, None, None, None)
    k = int(arrived.sum())
    return Share(*known, k / n, *interval(k, n))


def interval(k: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a ratio of which k in n were seen (Clopper and Pearson, 1934)."""
    from scipy.special import betaincinv  # noqa: PLC0415 - slow to import, and only audits need it

    low = float(betaincinv(k, n - k + 1, 0.025)) if k else 0.0
    return low, float(betaincinv(k + 1, n - k, 0.975)) if k < n else 1.0


def question_about(expected: Expected, pipeline: Pipeline, of_each: int = SAMPLED_OF_EACH) -> Question:
    """What to ask about a run: when it was, and a sample of traces that must and must not have arrived.

    Args:
        expected: The run.
        pipeline: The samplers between.
        of_each: Kept and dropped traces in the sample; the same run always gives the same sample.
    """
    delivered, kept = expected.fate == DELIVERED, pipeline.keep(expected.traces)
    stream = np.random.default_rng(crc32(expected.run_id.encode()))
    groups = [np.flatnonzero(delivered & kept), np.flatnonzero(delivered & ~kept)]
    rows = [stream.choice(group, min(of_each, len(group)), replace=False) for group in groups]
    return Question(expected.run_id, expected.traces.ids[np.sort(np.concatenate(rows))], *expected.window_s())


def audit_run(
    run: Path,
    config_text: str | None,
    observed_text: str,
    *,
    place: str = "collector configuration",
    draw: Draw | None = None,
    now_s: Callable[[], float] = time.time,
    again: Callable[[AuditResult], bool] = lambda _: False,
) -> AuditResult:
    """Audit a run and record the result, and the configuration where the run has none yet, in its run file.

    Args:
        run: The run's folder or file.
        config_text: The Collector's configuration; without it the one recorded with the run, and
            without that every delivered trace must arrive.
        observed_text: Where to look: a URL, a folder of blocks or a file.
        place: The configuration's name in complaints.
        draw: What draws a block of the run again; by default from its recorded topology.
        now_s: The clock [s since the epoch].
        again: Asked after a result whether to look once more, e.g. because a store has not settled yet.

    Raises:
        InputError: A wrong run, configuration or place.
        RemoteError: The place did not answer as it should.
    """
    reader = parse_observed(observed_text)
    with open_run(run) as opened:
        path = opened.path
        recorded = opened.meta().get("collector_config")
        text, name = (recorded, f"{path}: collector_config") if config_text is None else (config_text, place)
        pipeline = pipeline_from_config(text, name) if isinstance(text, str) else NO_SAMPLER
        expected = expected_traces(opened, draw)
    question = question_about(expected, pipeline)
    while again(result := audit(expected, pipeline, reader(question))):
        pass
    with RunWriter(path) as writer:
        if config_text is not None and recorded is None:
            writer.meta(collector_config=redact_config(config_text, place))
        writer.audit(now_s(), result.as_dict())
    return result
