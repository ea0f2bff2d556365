"""What a Collector keeps: exact deciders over arrays of traces, and the configuration they come from."""

from loadgen.samplers.config import pipeline_from_config
from loadgen.samplers.head import MODES, Decided, HeadSampler
from loadgen.samplers.pipeline import Pipeline, Stage
from loadgen.samplers.policies import AlwaysSample, ErrorStatus, Latency, Policy, Probabilistic
from loadgen.samplers.redact import redact_config
from loadgen.samplers.tail import TailSampler
from loadgen.samplers.traces import Bools, Counts, Ids, Traces, no_traces
from loadgen.samplers.tracestate import TraceStates, parse_tracestates

__all__ = [
    "MODES",
    "AlwaysSample",
    "Bools",
    "Counts",
    "Decided",
    "ErrorStatus",
    "HeadSampler",
    "Ids",
    "Latency",
    "Pipeline",
    "Policy",
    "Probabilistic",
    "Stage",
    "TailSampler",
    "TraceStates",
    "Traces",
    "no_traces",
    "parse_tracestates",
    "pipeline_from_config",
    "redact_config",
]
