"""Why something is missing or too much: likely causes, the likeliest first.

The mechanisms are those of the Collector v0.161.0 and Tempo v3.0.3: both may lose spans after
they answered OK, and both count what they lost in the metrics named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from loadgen.measure.audit_expected import DELIVERED, Expected
from loadgen.samplers import MODES, Bools, Pipeline


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when a finding is explained.

    Attributes:
        expected: The run.
        pipeline: The samplers assumed.
        kind: What was asked: ``file``, ``sink``, ``tempo`` or ``blocks``.
        arrived: Which traces of the run were seen, bool[m].
        looked_for: Which were looked for, bool[m].
        missing, unexpected: Which should have been seen and were not, and the reverse, bool[m].
        foreign: How many traces were seen that the run did not draw.
    """

    expected: Expected
    pipeline: Pipeline
    kind: str
    arrived: Bools
    looked_for: Bools
    missing: Bools
    unexpected: Bools
    foreign: int

    @property
    def judged(self) -> Bools:
        """The traces whose arrival says something about the sampler: delivered and looked for, bool[m]."""
        delivered: Bools = self.expected.fate == DELIVERED
        return self.looked_for & delivered

    @property
    def in_tempo(self) -> bool:
        """Whether Tempo's own losses lie between."""
        return self.kind in {"tempo", "blocks"}


def causes_of(name: str, situation: Situation) -> tuple[str, ...]:
    """Likely causes of the finding ``name``, the likeliest first."""
    return tuple(dict.fromkeys(_CAUSES[name](situation)))


def _missing(s: Situation) -> Iterator[str]:
    if not s.arrived.any() and s.foreign:
        yield "none of this run's traces arrived but others under its id did: drawn by another release or topology"
    elif not s.arrived.any():
        yield "nothing of the run is there: another target or run, or not readable yet (Tempo: up to 40 s later)"
    if s.expected.unsettled_spans:
        yield f"the run was cut off: {s.expected.unsettled_spans:,} spans have no recorded answer"
    if s.unexpected.any() or running_ratio(s):
        yield from _other_configuration(s)
    if _newest_only(s):
        yield "only the newest are missing: still in a batch, a queue or not written yet; audit again"
    yield from _undecided(s)
    yield from _queue(s)
    if s.in_tempo:
        yield (
            "Tempo drops whole traces beyond max_traces_per_user (10,000 live by default) and answers OK:"
            ' tempo_discarded_spans_total{reason="live_traces_exceeded"}'
        )
    yield from _other_configuration(s)


def _queue(s: Situation) -> Iterator[str]:
    if any(name.partition("/")[0] in {"batch", "tail_sampling"} for name in s.pipeline.processors):
        yield (
            "the exporter's queue overflowed behind a batch or tail_sampling processor, which answer OK all the same:"
            " otelcol_exporter_enqueue_failed_spans"
        )
    yield "the Collector's exporter gave up: otelcol_exporter_send_failed_spans, otelcol_exporter_enqueue_failed_spans"


def _undecided(s: Situation) -> Iterator[str]:
    for tail in s.pipeline.tails:
        held = most_at_once(s.expected, tail.decision_wait_s + 1)
        if held > tail.num_traces:
            yield (
                f"tail_sampling held up to {held:,} traces but num_traces is {tail.num_traces:,}:"
                " otelcol_processor_tail_sampling_sampling_trace_dropped_too_early"
            )
        yield (
            f"traces longer than decision_wait ({tail.decision_wait_s:g} s), or not decided yet when this was read:"
            " what comes late is judged without the rest"
        )


def most_at_once(expected: Expected, window_s: float) -> int:
    """The most traces of the run that started within ``window_s`` of each other."""
    starts_ns = np.sort(expected.starts_ns)
    ends = np.searchsorted(starts_ns, starts_ns + int(window_s * 1e9), side="right")
    return int((ends - np.arange(len(starts_ns))).max(initial=0))


def _newest_only(s: Situation) -> bool:
    """Whether everything missing is younger than everything that arrived."""
    if not (s.arrived.any() and s.missing.any()):
        return False
    return bool(s.expected.starts_ns[s.missing].min() > s.expected.starts_ns[s.arrived].max())


def _unexpected(s: Situation) -> Iterator[str]:
    yield from _other_configuration(s)
    yield "some spans reach the target by a way round this sampler: another pipeline, another Collector"


def _other_configuration(s: Situation) -> Iterator[str]:
    if s.unexpected.any() and s.arrived[s.judged].all():
        yield "every delivered trace arrived: the running Collector does not sample at all"
    elif found := running_ratio(s):
        yield f"the set fits this sampler at about {found * 100:.3g} %: the running sampling_percentage is another"
    elif fitting := _fitting_settings(s):
        yield f"the set fits {fitting} exactly: that is what runs"
    if s.pipeline.stages:
        yield "the configuration given here is not the one running: another percentage, seed, mode or policy"


def running_ratio(s: Situation) -> float | None:
    """The ratio at which a lone head sampler keeps exactly what arrived [0-1]; None if there is none."""
    if len(s.pipeline.stages) != 1 or not s.pipeline.heads or s.unexpected.any() == s.missing.any():
        return None
    needed = s.pipeline.heads[0].needed_ratio(s.expected.traces.ids[s.judged])
    arrived = s.arrived[s.judged]
    if not arrived.any() or arrived.all() or needed[arrived].max() >= needed[~arrived].min():
        return None
    return float(needed[arrived].max())


def _fitting_settings(s: Situation) -> str | None:
    """The same percentage with the default seed or in another mode, if it keeps exactly what arrived."""
    if len(s.pipeline.stages) != 1 or not s.pipeline.heads or not (s.unexpected.any() and s.missing.any()):
        return None
    ids, arrived = s.expected.traces.ids[s.judged], s.arrived[s.judged]
    others = (replace(s.pipeline.heads[0], mode=mode, hash_seed=0) for mode in MODES)
    fitting = (other.describe() for other in others if np.array_equal(other.keep(ids), arrived))
    return next(fitting, None)


def _contradicting(_: Situation) -> Iterator[str]:
    yield "the target took them in part before it refused: one of several exporters or pipelines did not fail"


def _incomplete(s: Situation) -> Iterator[str]:
    if s.pipeline.tails:
        yield "spans that came after their trace's decision were judged alone: decision_wait is shorter than the traces"
        yield "several Collectors without routing by trace id each judged a fragment"
    if s.in_tempo:
        yield (
            "Tempo cuts traces beyond max_bytes_per_trace (5 MB by default) and answers OK:"
            ' tempo_discarded_spans_total{reason="trace_too_large"}'
        )
        yield "the rest of the trace is not written yet; audit again"
    yield from _queue(s)


def _duplicated(s: Situation) -> Iterator[str]:
    yield "a request was answered too late, sent again and taken twice (by this load's retry or the exporter's)"
    if s.kind == "blocks":
        yield "a trace stored by two writers counts twice until compaction"


def _foreign(s: Situation) -> Iterator[str]:
    if not s.expected.finished:
        yield "the run was cut off before its last blocks of traces were recorded"
    if not s.arrived.any():
        yield "drawn by another release or from another topology than this run file's"
    yield "another run used the same run id"


_CAUSES: Mapping[str, Callable[[Situation], Iterator[str]]] = MappingProxyType(
    {
        "missing": _missing,
        "unexpected": _unexpected,
        "contradicting": _contradicting,
        "incomplete": _incomplete,
        "duplicated": _duplicated,
        "foreign": _foreign,
    }
)
