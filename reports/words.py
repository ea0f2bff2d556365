"""The names things go by on page and terminal: one name for a thing everywhere."""

from __future__ import annotations

from typing import NamedTuple

from reports.view import Term


class Label(NamedTuple):
    """How a figure is called: in full, as a column's head, and how many digits it deserves."""

    full: str
    short: str
    digits: int = 3


FIGURES = {
    "kept_ratio": Label("Share of traces kept", "kept", 4),
    "kept_traces_per_s": Label("Traces kept", "traces kept"),
    "kept_spans_per_s": Label("Spans kept", "spans kept"),
    "stored_bytes_per_day": Label("Stored per day", "stored a day"),
    "at_rest_bytes": Label("Storage at rest", "at rest"),
    "collector_rss_bytes": Label("Collector memory", "Collector"),
    "collector_cores": Label("Collector CPU", "Collector"),
    "tempo_rss_bytes": Label("Tempo memory", "Tempo"),
    "tempo_cores": Label("Tempo CPU", "Tempo"),
    "storage_usd_per_month": Label("Storage", "storage"),
    "compute_usd_per_month": Label("CPU and memory", "CPU, RAM"),
    "cost_usd_per_month": Label("Cost", "cost a month"),
    "error_wait_s": Label("Wait until a 1-in-10,000 error is kept", "1-in-10,000 error kept after"),
    "error_rate_halfwidth_ratio": Label("Uncertainty of a 0.1 % error rate over 5 min", "0.1 % error rate known to ±"),
}

INPUTS = {
    "traces_per_s": "Traces offered",
    "spans_per_s": "Spans offered",
    "bytes_per_s": "Bytes offered, on the wire",
    "bytes_per_day": "Bytes offered in a day",
    "peak_factor": "Peak over mean",
    "peak_traces_per_s": "Traces at the peak",
    "peak_spans_per_s": "Spans at the peak",
    "peak_bytes_per_s": "Bytes at the peak, on the wire",
    "spans_per_trace": "Spans in a trace",
    "attributes_per_span": "Attributes of a span",
    "resources_per_trace": "Resources in a trace",
    "error_traces_ratio": "Traces with an error",
    "duration_mean_s": "Duration of a trace, mean",
    "duration_p99_s": "Duration of a trace, p99",
    "wire_bytes_per_span": "Bytes of a span on the wire",
    "trace_bytes_per_span": "Bytes of a span in a live trace",
    "stored_bytes_per_span": "Bytes of a span at rest",
}

BASES = {
    "computed": "follows exactly from the inputs",
    "measured": "from runs of this product on the real component",
    "published": "from figures that others published",
    "extrapolated": "outside the range that was measured",
    "assumed": "a stated choice",
}

STATES = {
    "offered": "intended by the schedule",
    "shed": "given up before the send: the backlog was full",
    "unfinished": "still to end or to be sent when the run stopped",
    "waiting": "offered, not yet sent or given up",
    "sent": "handed to the transport",
    "accepted": "answered OK by the target",
    "refused": "refused as retryable until the retries were spent",
    "rejected": "refused for good",
    "unknown": "no answer: may or may not have arrived",
    "in_flight": "sent, not yet answered",
}

QUANTITIES = {"cpu_s": "CPU", "cpu_busy_s": "CPU busy", "rss_bytes": "memory (RSS)"}

TARGETS = {
    "collector": "a Collector",
    "sink": "the embedded sink",
    "tempo": "Tempo",
    "unknown": "an unknown target",
}

PLAN_TERMS = (
    Term("trace", "trace", "All spans of one request or process, tied by one trace id."),
    Term("span", "span", "One timed operation in one service; the unit of load, memory and storage."),
    Term("kept-ratio", "kept", "Share of traces that survive sampling. The sampler works in steps of 1/16,384, so the "
         "share in effect differs a little from the one configured."),
    Term("head", "head sampling", "The decision falls by trace id when a span arrives, without looking at the trace."),
    Term("tail", "tail sampling", "The decision waits until the trace has been collected, so errors and slow traces "
         "can be kept for certain; the waiting traces sit in the Collector's memory."),
    Term("at-rest", "at rest", "Bytes in the object store or on disk once retention has filled up."),
    Term("rss", "memory (RSS)", "Resident memory of the process, as the kernel counts it against a limit."),
    Term("range", "range", "Low and high end of a number. What they mean (a prediction interval, a published spread) "
         "stands at the number's working."),
    Term("request", "request, limit", "What a scheduler reserves for a replica, and where it stops it."),
    Term("margin", "margin", "What is left of a limit, as a share of the limit; negative where it is broken."),
    Term("gib", "GiB", "2^30 bytes; MiB is 2^20. Rates are in MB/s, 10^6 bytes, as in the limits of Tempo."),
)  # fmt: skip

RUN_TERMS = (
    Term("trace", "trace", "All spans of one request or process, tied by one trace id."),
    Term("offered", "offered", "What the schedule intended, whether or not it could be sent."),
    Term("lateness", "lateness", "Actual start of a send minus its intended start. It shows a generator or a target "
         "that cannot keep up, and is never corrected afterwards."),
    Term("percentile", "p99", "The smallest histogram bound that 99 % of the sends did not exceed."),
    Term("shed", "shed", "Given up before the send because the backlog was full; counted, never sent as if on time."),
    Term("unknown", "unknown", "Sent without an answer: it may or may not have arrived."),
    Term("kept-set", "kept set", "The trace ids that sampling must keep. They follow from the ids alone, so any "
         "difference is loss, duplication or a wrong configuration, never chance."),
    Term("unexplained", "unexplained", "Spans that no counted state accounts for. The target is zero."),
    Term("steady", "steady window", "The part of the run after warm-up and before the drain."),
)  # fmt: skip
