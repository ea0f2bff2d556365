"""The embedded stack: OTLP in, exact head sampling, storage blocks; with the real ones' metric names.

It stands in for Collector and Tempo where there are none, in demos and tests. It is no backend, and
what it needs of CPU and memory says nothing about theirs.
"""

from loadgen.sink.pipeline import Tally
from loadgen.sink.serve import Sink, run_sink, serve_sink
from loadgen.sink.settings import NO_FAULTS, Faults, Sampler, SinkSettings
from loadgen.sink.store import StoreState

__all__ = [
    "NO_FAULTS", "Faults", "Sampler", "Sink", "SinkSettings", "StoreState", "Tally", "run_sink", "serve_sink",
]  # fmt: skip
