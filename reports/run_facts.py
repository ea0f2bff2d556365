"""What a run file holds, read once into plain numbers; the JSON twin of a run's page."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from loadgen.errors import InputError
from loadgen.run.file import RunFile
from loadgen.run.lateness import OVER_US, quantile_us
from loadgen.run.ledger import Counts
from loadgen.run.verdict import NOT_VALID, asked, judge
from reports.outside import clean

SCHEMA_VERSION = 1
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
TROUBLES = 20
EDGES_S = 2.0


class Asked(NamedTuple):
    """The total rate asked from ``time_s`` [s since the epoch] on."""

    time_s: float
    traces_per_s: float
    spans_per_s: float
    text: str


class Load(NamedTuple):
    """The load while it was offered: what was asked for and what of it was delivered.

    Args:
        from_s: When the schedule began [s since the epoch].
        length_s: How long the schedule lasted; see :func:`_length`.
        delivered_ratio: Accepted spans over asked ones, which are those offered less those unfinished.
        asked_traces_per_s: Mean of what was asked; None where no rate is on record.
        asked_spans_per_s: Likewise.
        delivered_traces_per_s: Accepted over the length.
        delivered_spans_per_s: Likewise.
    """

    from_s: float
    length_s: float
    delivered_ratio: float | None
    asked_traces_per_s: float | None
    asked_spans_per_s: float | None
    delivered_traces_per_s: float
    delivered_spans_per_s: float

    @property
    def to_s(self) -> float:
        """When the schedule ended [s since the epoch]."""
        return self.from_s + self.length_s


class Trouble(NamedTuple):
    """Traces that ended in ``state`` for one cause, and the first block among theirs."""

    state: str
    cause: str
    traces: int
    spans: int
    first_block: int


class Measured(NamedTuple):
    """A scraped quantity in the steady window; counters as rates, with their increase over the run."""

    source: str
    quantity: str
    unit: str
    n: int
    median: float
    p95: float
    peak: float
    increase: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run in numbers.

    Attributes:
        finished: Whether the run wrote its end; False after a kill or while it goes on.
        exit_code: 0 holds, 1 a limit is broken, 3 not valid.
        verdict: The run's own verdict in words, or the verdict on its ledger as far as it goes.
        lateness_us: Upper bound [us] at each of p50 p90 p95 p99 p99.9 max; None without sends, and
            ``loadgen.run.lateness.OVER_US`` past the histogram's end.
        steady: First and last moment of the steady window [s since the epoch]; None where none was found.
        audit: The last audit's result; None where there was none.
        gaps: Looks that failed, by source.
    """

    run_id: str
    meta: Mapping[str, Any]
    finished: bool
    exit_code: int
    verdict: str
    spans: Counts
    traces: Counts
    requests: Counts
    sent_bytes: int
    asked: tuple[Asked, ...]
    load: Load | None
    lateness_us: Mapping[str, int] | None
    steady: tuple[float, float] | None
    measured: tuple[Measured, ...]
    gaps: Mapping[str, int]
    audit: Mapping[str, Any] | None
    audits: int
    troubles: tuple[Trouble, ...]
    trouble_kinds: int

    @property
    def lost_spans(self) -> int:
        """Spans sent without an OK."""
        return self.spans.refused + self.spans.rejected + self.spans.unknown

    @property
    def sink(self) -> bool:
        """Whether the target was the embedded sink, which is no backend."""
        named = mapping(self.meta.get("target")).get("kind") == "sink"
        return named or any(measured.source == "sink" for measured in self.measured)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, in the records' own names; a lateness past the histogram's end is ``over``."""
        kinds = ("spans", "traces", "requests")
        late = {at: "over" if is_over(bound) else bound for at, bound in (self.lateness_us or {}).items()}
        apart = {
            "load": self.load._asdict() if self.load else None,
            "ledger": {kind: getattr(self, kind).as_dict() for kind in kinds},
            "asked": [row._asdict() for row in self.asked],
            "measured": [row._asdict() for row in self.measured],
            "troubles": [row._asdict() for row in self.troubles],
            "lateness_us": late or None,
            "meta": dict(sorted(self.meta.items())),
        }
        plain = {key: value for key, value in asdict(self).items() if key not in kinds}
        return {"schema_version": SCHEMA_VERSION} | plain | apart


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` if it is a mapping, else an empty one: a run file may come from another hand."""
    return value if isinstance(value, Mapping) else {}


def read_facts(run: RunFile) -> RunFacts:
    """Everything a report says about ``run``, finished or not.

    Raises:
        InputError: The file is damaged.
    """
    try:
        return _read(run)
    except (sqlite3.DatabaseError, ValueError, TypeError) as error:
        raise InputError("RUN", str(run.path), f"is damaged ({error})") from error


def _read(run: RunFile) -> RunFacts:
    from loadgen.measure.summary import summary  # noqa: PLC0415  (brings NumPy's arithmetic)

    meta = run.meta()
    spans, traces = run.counts(), run.counts("traces")
    rates = tuple(Asked(*row) for row in run.query("SELECT * FROM rates ORDER BY time_s"))
    exit_code, verdict = _verdict(meta, spans)
    summed = summary(run)
    audits = run.audits()
    troubles = _troubles(run)
    return RunFacts(
        run_id=str(meta.get("run_id", "")),
        meta=meta,
        finished="finished_utc" in meta,
        exit_code=exit_code,
        verdict=verdict,
        spans=spans,
        traces=traces,
        requests=run.counts("requests"),
        sent_bytes=run.counts("bytes").sent,
        asked=rates,
        load=_load(run, meta, rates, spans, traces),
        lateness_us=_lateness(run),
        steady=_window(summed["steady"]),
        measured=_measured(mapping(summed["sources"])),
        gaps={str(source): int(n) for source, n in mapping(summed["gaps"]).items()},
        audit=mapping(audits[-1]) if audits else None,
        audits=len(audits),
        troubles=troubles[:TROUBLES],
        trouble_kinds=len(troubles),
    )


def _window(steady: object) -> tuple[float, float] | None:
    found = mapping(steady)
    return (found["from_s"], found["to_s"]) if found else None


def _verdict(meta: Mapping[str, Any], spans: Counts) -> tuple[int, str]:
    own = mapping(meta.get("verdict"))
    if isinstance(own.get("exit_code"), int) and own.get("text"):
        return own["exit_code"], str(own["text"])
    if not spans.balances:
        return NOT_VALID, "not valid: the ledger does not balance"
    silent = meta.get("silent_workers")
    return judge(spans.settled(), [str(name) for name in silent] if isinstance(silent, list) else [])


def _load(
    run: RunFile, facts: Mapping[str, Any], rates: tuple[Asked, ...], spans: Counts, traces: Counts
) -> Load | None:
    first, last = run.query("SELECT MIN(time_s), MAX(time_s) FROM ledger WHERE state = 'offered' AND spans > 0")[0]
    if first is None:
        return None
    start = min(first, *_begun(facts), *(row.time_s for row in rates if not _begun(facts)))
    asked_traces = _asked_mean([(row.time_s, row.traces_per_s) for row in rates], start, last)
    asked_spans = _asked_mean([(row.time_s, row.spans_per_s) for row in rates], start, last)
    length = _length(last - start, asked(traces), asked_traces)
    if length <= 0:
        return None
    return Load(
        from_s=start,
        length_s=length,
        delivered_ratio=spans.accepted / asked(spans) if asked(spans) > 0 else None,
        asked_traces_per_s=asked_traces,
        asked_spans_per_s=asked_spans,
        delivered_traces_per_s=traces.accepted / length,
        delivered_spans_per_s=spans.accepted / length,
    )


def _begun(meta: Mapping[str, Any]) -> list[float]:
    """When the workers' schedules began [s since the epoch], as far as the run file says."""
    return [at / 1e9 for at in mapping(meta.get("schedule")).values() if isinstance(at, int)]


def _length(seen_s: float, asked_traces: int, per_s: float | None) -> float:
    """How long the schedule lasted: what it asked for over its rate.

    The ledger's own times are a second or two too long, since they include what was drawn ahead and the
    drain; where they say much more, load is missing, and then they count.
    """
    scheduled_s = asked_traces / per_s if per_s else seen_s
    return max(scheduled_s, seen_s - EDGES_S)


def _asked_mean(rates: list[tuple[float, float]], from_s: float, to_s: float) -> float | None:
    """The mean of a rate that holds from each time to the next."""
    ends = [time_s for time_s, _ in rates[1:]] + [to_s]
    spent = [max(0.0, min(end, to_s) - max(at, from_s)) * rate for (at, rate), end in zip(rates, ends, strict=True)]
    return sum(spent) / (to_s - from_s) if rates else None


def _lateness(run: RunFile) -> Mapping[str, int] | None:
    counts = {int(le): int(n) for le, n in run.query("SELECT le_us, SUM(requests) FROM lateness GROUP BY le_us")}
    found = {name: quantile_us(counts, q) for name, q in QUANTILES.items()}
    return {name: bound for name, bound in found.items() if bound is not None} or None


def _measured(sources: Mapping[str, Any]) -> tuple[Measured, ...]:
    return tuple(
        _measure(str(source), name, of)
        for source, quantities in sorted(sources.items())
        for name, of in quantities.items()
    )


def _measure(source: str, name: str, of: Mapping[str, Any]) -> Measured:
    unit = "cores" if name.startswith("cpu_") and of["unit"] == "s/s" else clean(of["unit"], 24)
    return Measured(source, name, unit, of["n"], of["median"], of["p95"], of["peak"], of.get("increase"))


def _troubles(run: RunFile) -> tuple[Trouble, ...]:
    rows = run.query(
        "SELECT state, cause, SUM(traces), SUM(spans) AS lost, MIN(block) FROM trouble"
        " GROUP BY state, cause ORDER BY lost DESC, state, cause"
    )
    return tuple(Trouble(*row) for row in rows)


def is_over(bound_us: int) -> bool:
    """Whether a lateness lies past the histogram's end."""
    return bound_us >= OVER_US
