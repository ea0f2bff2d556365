"""Durations as people write them, kept as whole nanoseconds."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

NS_PER_S = 1_000_000_000
_UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": NS_PER_S, "m": 60 * NS_PER_S, "h": 3600 * NS_PER_S}
_FORM = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(ns|us|ms|s|m|h)")
LONGEST_NS = 7 * 24 * 3600 * NS_PER_S
RULE = "must be a duration such as 250us, 3ms, 1.5s, 10m or 2h, at most 7 days"


def parse_duration(text: object) -> int:
    """Nanoseconds of ``text``.

    Raises:
        ValueError: Not a number and unit, or longer than 7 days (what fits the arithmetic with room to spare).
    """
    match = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(RULE)
    duration_ns = round(float(match[1]) * _UNITS_NS[match[2]])
    if duration_ns > LONGEST_NS:
        raise ValueError(RULE)
    return duration_ns


def format_duration(duration_ns: float) -> str:
    """A duration with three significant digits and a fitting unit, e.g. ``12.3 ms``."""
    for unit in ("h", "m", "s", "ms", "us"):
        if duration_ns >= _UNITS_NS[unit]:
            return f"{duration_ns / _UNITS_NS[unit]:.3g} {unit}"
    return f"{duration_ns:.3g} ns"


_Text = Annotated[str, Field(pattern=rf"^{_FORM.pattern}$", examples=["250us", "3ms", "1.5s", "10m"])]
Duration = Annotated[int, BeforeValidator(parse_duration, json_schema_input_type=_Text)]
