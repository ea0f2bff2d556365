"""Attribute values as JSON text, character for character as Go writes them into Tempo's blocks."""

from __future__ import annotations

import json

import numpy as np
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def go_json(value: AnyValue) -> str:
    """The JSON that stands for a value without a column: a map, bytes, a mixed or nested list, nothing."""
    return _text(MessageToDict(value))


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(key)}:{_text(inside)}" for key, inside in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)


def _number(value: float) -> str:
    """A finite double in Go's shortest form: exponents from 1e21 up and below 1e-6, else plain digits."""
    if value and not 1e-6 <= abs(value) < 1e21:
        mantissa, exponent = repr(value).split("e")
        return f"{mantissa}e{int(exponent):+d}"
    return np.format_float_positional(value, trim="-")
