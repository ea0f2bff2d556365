"""Synthesis: (topology, seed, block number, starts) -> :class:`SpanBatch`; pure."""

from loadgen.synth.batch import SpanBatch
from loadgen.synth.draw import draw
from loadgen.synth.program import Form, Program, compile_topology
from loadgen.synth.slots import Meaning, Slot

__all__ = ["Form", "Meaning", "Program", "Slot", "SpanBatch", "compile_topology", "draw"]
