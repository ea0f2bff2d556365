"""What a run of one's own says: rates, memory, CPU and stored bytes, as far as a real target showed them.

Samples of the embedded sink never become evidence: it answers under the names of the Collector and
Tempo, but its memory, CPU and files are its own. What is not used is said, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from loadgen.measure.summary import Window, counted, series, steady_window
from loadgen.run import RunFile
from planner.asked import asked_rate
from planner.figures import Range, figure
from planner.records import Basis, Figure
from planner.text import duration, number, size

System = Literal["collector", "tempo"]

WARM_UP_S = 30.0  # as in the shipped series
SHORTEST_S = 30.0  # of steady load; less says nothing about a collector or a garbage collector
ADVISED_RUN_S = 120.0  # has both with room to spare
STRETCH_S = 30.0  # of what a sampler lets through, to tell whether it is steady
MOST_NOISE_RATIO = 0.5  # fewer traces than that say nothing about steadiness
FLUSH_LAG_S = 45.0  # idle cut 10 s, block 30 s, completion 5 s: flushed bytes are this much behind
_COUNTER = {"collector": "receiver_accepted_spans", "tempo": "received_spans"}
SINK_REASON = (
    "the run's target was the embedded sink: its storage, memory and CPU are not a Collector's or Tempo's, "
    "so the shipped figures are used"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One process under steady load: rate, resident memory and CPU between two times."""

    spans_per_s: float
    rss_median_bytes: float
    rss_max_bytes: float
    cores: float | None
    live_traces: float | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What can be planned from a run, and what cannot.

    Attributes:
        run_id: The run.
        target: What the load was sent to: ``sink``, ``collector`` or ``unknown``.
        version: The target's version as recorded; empty if it is not.
        traces_per_s: Mean rate asked, for a plan at the run's own traffic; None where nothing was.
        spans_per_trace: Offered spans over offered traces; None where nothing was.
        wire_bytes_per_span: OTLP bytes per span, as recorded; None if it is not.
        stored: Stored bytes per span from real blocks; None if there is none.
        tempo: Tempo under steady load; None if not seen.
        collector: The Collector, when it did not sample by tail; None if not seen.
        unused: Why something of the run does not feed the plan, one sentence each.
    """

    run_id: str
    target: str
    version: str
    traces_per_s: float | None
    spans_per_trace: float | None
    wire_bytes_per_span: float | None
    stored: Figure | None
    tempo: Observed | None
    collector: Observed | None
    unused: tuple[str, ...]


def read_evidence(run: RunFile) -> Evidence:
    """What the run says."""
    meta = run.meta()
    target = meta.get("target") or {}
    spans, traces = run.counts("spans"), run.counts("traces")
    refusals = _refusals(target, balances=spans.balances, offered=spans.offered)
    usable, run_id = not refusals, str(meta["run_id"])
    reasons = refusals or _sink_behind(run)
    per_trace = spans.offered / traces.offered if traces.offered else None
    tempo = _observe(run, "tempo", per_trace or 1.0, reasons) if usable else None
    collector = _observe(run, "collector", per_trace or 1.0, reasons) if usable else None
    return Evidence(
        run_id=run_id,
        target=str(target.get("kind", "unknown")),
        version=str(target.get("version") or ""),
        traces_per_s=asked_rate(run),
        spans_per_trace=per_trace,
        wire_bytes_per_span=(meta.get("shape") or {}).get("wire_bytes_per_span"),
        stored=_stored(run, run_id, reasons) if usable else None,
        tempo=tempo,
        collector=collector if collector and not _sampled_by_tail(run, reasons) else None,
        unused=tuple(reasons),
    )


def _refusals(target: Mapping[str, Any], *, balances: bool, offered: int) -> list[str]:
    if target.get("kind") == "sink":
        return [SINK_REASON]
    if not offered:
        return ["the run offered no span, so the shipped figures are used"]
    return [] if balances else ["the run's ledger does not balance, so the shipped figures are used"]


def _sink_behind(run: RunFile) -> list[str]:
    """A real Collector may send to the sink; what the sink shows still is not Tempo's."""
    shown = run.query("SELECT 1 FROM samples WHERE source = 'sink' LIMIT 1")
    return ["the embedded sink stood in for Tempo: Tempo's figures are the shipped ones"] if shown else []


def _steady(run: RunFile, system: System, spans_per_trace: float) -> Window | None:
    """When the system's load was steady, by its own counter.

    Behind a sampler whole traces come in random numbers: a few seconds of an even load differ by more
    than it may. Over longer stretches they even out; what is left is counting noise, three of its standard
    deviations at most. The Collector's own count, which no chance moves, then bounds the window.
    """
    counter = series(run, system, _COUNTER[system])
    own = steady_window(counter)
    before = steady_window(series(run, "collector", _COUNTER["collector"])) if system == "tempo" else None
    if before is None:
        return own
    received = np.diff(counter.value)
    per_s = received[received > 0].sum() / max(counter.time_s[-1] - counter.time_s[0], 1.0) if len(received) else 0
    if not per_s:
        return own
    traces = per_s * STRETCH_S / spans_per_trace
    tolerance_ratio = min(max(0.1, 3 / float(np.sqrt(traces))), MOST_NOISE_RATIO)
    even = steady_window(counter, STRETCH_S, tolerance_ratio)
    shared = (max(even[0], before[0]), min(even[1], before[1])) if even else None
    return max((w for w in (own, shared) if w), key=lambda w: w[1] - w[0], default=None)


def _witness(run: RunFile, system: System, spans_per_trace: float, reasons: list[str]) -> Window | None:
    """When this system was under steady load, its warm-up left out; None where that is too short."""
    counter = series(run, system, _COUNTER[system])
    counting = np.flatnonzero(counted(counter.value) > 0)
    if not len(counting):
        return None
    steady = _steady(run, system, spans_per_trace) or (0.0, 0.0)
    start = max(steady[0], float(counter.time_s[counting[0]]) + WARM_UP_S)
    seen_s = max(0.0, steady[1] - start)
    if seen_s >= SHORTEST_S:
        return start, steady[1]
    seen = f"{duration(seen_s)} of steady load after {duration(WARM_UP_S)} of warm-up"
    reasons.append(f"{system}: {seen} seen, {duration(SHORTEST_S)} needed, so its memory and CPU are not used")
    return None


def _observe(run: RunFile, system: System, spans_per_trace: float, reasons: list[str]) -> Observed | None:
    window = _witness(run, system, spans_per_trace, reasons)
    memory = series(run, system, "rss_bytes").within(window) if window else None
    if window is None or memory is None or not len(memory.value):
        return None
    long_s = window[1] - window[0]
    rate = _slope(run, system, _COUNTER[system], window)
    live = series(run, system, "live_traces").within(window).value
    return Observed(
        spans_per_s=rate or 0.0,
        rss_median_bytes=float(np.median(memory.value)),
        rss_max_bytes=float(memory.value.max()),
        cores=_slope(run, system, "cpu_s", window),
        live_traces=float(np.median(live)) if len(live) else None,
        source=f"run {run.meta()['run_id']}, {duration(long_s)} of steady load",
    )


def _slope(run: RunFile, system: System, quantity: str, window: Window) -> float | None:
    whole = series(run, system, quantity)
    if len(whole.value) < 2:
        return None
    first, last = np.interp(window, whole.time_s, counted(whole.value))
    return float(last - first) / (window[1] - window[0])


def _sampled_by_tail(run: RunFile, reasons: list[str]) -> bool:
    tail = bool(series(run, "collector", "tail_new_traces").value.sum() > 0)
    if tail:
        reasons.append("the run's Collector sampled by tail; its memory is planned from the shipped figures")
    return tail


def _stored(run: RunFile, run_id: str, reasons: list[str]) -> Figure | None:
    received, flushed = series(run, "tempo", "received_spans"), series(run, "tempo", "flushed_bytes")
    grown = np.flatnonzero(np.diff(flushed.value) > 0)
    if not len(received.value) or not len(grown):
        return None
    if series(run, "tempo", "discarded_spans").value[-1:].sum() > 0:
        reasons.append("Tempo discarded spans in this run, so its stored bytes per span are not used")
        return None
    flushed_bytes = float(counted(flushed.value)[-1])
    times = float(flushed.time_s[grown[-1] + 1]) - np.array([FLUSH_LAG_S / 2, 0.0, FLUSH_LAG_S])
    spans = np.interp(times, received.time_s, counted(received.value))
    if spans.min() <= 0:
        reasons.append("no block with most of the run's spans was flushed, so stored bytes are not used")
        return None
    per_span = Range(*(flushed_bytes / float(count) for count in spans))
    working = f"{size(flushed_bytes)} flushed / {number(float(spans[0]))} spans received by then"
    source = f"run {run_id}: blocks flushed by Tempo; range: spans still on their way into a block"
    return figure(per_span, "bytes", Basis.MEASURED, source, working)
