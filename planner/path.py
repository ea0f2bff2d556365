"""Rates at every place on the path of the recommended choice: which unit, before or after sampling."""

from __future__ import annotations

from planner.figures import ends_of
from planner.records import Hop
from planner.sizing import Models, Sized
from planner.traffic import Traffic


def plan_path(models: Models, traffic: Traffic, sized: Sized) -> tuple[Hop, ...]:
    """Mean rates from the applications to the blocks, and where each can be read."""
    traces, spans = traffic.traces_per_s.value, traffic.spans_per_s.value
    wire, ratio = models.shape.wire_bytes_per_span, sized.keeps.ratio.value
    kept_traces, kept_spans = traces * ratio, spans * ratio

    def hop(place: str, traces_per_s: float, spans_per_s: float, span_bytes: float, note: str) -> Hop:
        return Hop(
            place=place,
            traces_per_s=traces_per_s,
            spans_per_s=spans_per_s,
            bytes_per_s=spans_per_s * span_bytes,
            note=note,
        )

    sampled = f"{sized.sampling.described}; sampler's outgoing spans"
    alone = "each trace with its own resources; tempo_live_store_bytes_received_total"
    stored = "compressed columns; size in meta.json of live blocks"
    return (
        hop("applications", traces, spans, wire, "everything the applications create, OTLP without compression"),
        hop("Collector, received", traces, spans, wire, "before sampling; otelcol_receiver_accepted_spans"),
        hop("Collector, after sampling", kept_traces, kept_spans, wire, sampled),
        hop("Tempo, received", kept_traces, kept_spans, wire, "tempo_distributor_spans_received_total"),
        hop("Tempo, live traces", kept_traces, kept_spans, models.shape.trace_bytes_per_span, alone),
        hop("blocks", kept_traces, kept_spans, ends_of(models.per_span).value, stored),
    )
