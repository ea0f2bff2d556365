"""OTLP: spans to the bytes that OpenTelemetry's own encoder would write, without an object a span; no I/O."""

from loadgen.otlp.encode import encode, encode_batch
from loadgen.otlp.layout import Layout, lay_out
from loadgen.otlp.pieces import RUN_ID_KEY, Pieces, compile_pieces, for_run, resource_attributes

__all__ = [
    "RUN_ID_KEY",
    "Layout",
    "Pieces",
    "compile_pieces",
    "encode",
    "encode_batch",
    "for_run",
    "lay_out",
    "resource_attributes",
]
