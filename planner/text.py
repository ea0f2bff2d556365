"""Numbers as text: three significant digits, units people read, 0 and 100 % only where they are true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import floor, isfinite, log10

from planner.records import Figure

GIB = 1 << 30
MIB = 1 << 20
DAY_S = 86_400.0
_BYTE_STEPS = ((1 << 40, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (1 << 10, "KiB"))
# (from, divisor, unit): a day is still said as 24 h
_TIME_STEPS = (
    (1000 * DAY_S, 365 * DAY_S, "years"), (2 * DAY_S, DAY_S, "d"), (3600.0, 3600.0, "h"), (60.0, 60.0, "min"),
    (0.0, 1.0, "s"),
)  # fmt: skip
UNKNOWN = "-"


def number(value: float, digits: int = 3) -> str:
    """``value`` with ``digits`` significant digits; whole numbers in full, grouped from five digits on."""
    if value == 0 or not isfinite(value):
        return "0" if value == 0 else str(value)
    places = max(0, digits - 1 - floor(log10(abs(value))))
    text = f"{round(value, places):.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{round(value):,}" if abs(value) >= 10_000 else text


def size(count: float) -> str:
    """Bytes in the largest unit of 2^10 that they fill, e.g. ``4.11 GiB``."""
    scale, unit = next(((s, u) for s, u in _BYTE_STEPS if abs(count) >= 0.9995 * s), (1, "B"))
    return f"{number(count / scale)} {unit}"


def byte_rate(bytes_per_s: float) -> str:
    """Bytes per second in MB/s (10^6), the unit of Tempo's limits; little in kB/s or B/s."""
    scale, unit = next((s, u) for s, u in ((1e6, "MB/s"), (1e3, "kB/s"), (0, "B/s")) if bytes_per_s >= 0.1 * s)
    return f"{number(bytes_per_s / (scale or 1))} {unit}"


def duration(seconds: float) -> str:
    """Seconds in the largest unit that they fill."""
    scale, unit = next((divisor, u) for start, divisor, u in _TIME_STEPS if seconds >= start)
    return f"{number(seconds / scale)} {unit}"


def percent(ratio: float, digits: int = 3) -> str:
    """A ratio as %; reads 0 % or 100 % only where it is."""
    if ratio in {0.0, 1.0}:
        return "0 %" if ratio == 0 else "100 %"
    texts = (number(100 * ratio, more) for more in range(digits, 12))
    return f"{next((text for text in texts if text != '100'), '<100')} %"


def usd(amount: float) -> str:
    """Dollars; cents below ten."""
    return f"${amount:,.2f}" if 0.005 <= amount < 10 else f"${number(amount)}"


def amount(value: float, unit: str) -> str:
    """``value`` in one of the units of :class:`planner.records.Figure`."""
    forms: dict[str, Callable[[float], str]] = {
        "bytes": size,
        "bytes/s": byte_rate,
        "USD/month": usd,
        "s": duration,
    }
    if unit == "bytes/day":
        return f"{size(value)}/day"
    return forms[unit](value) if unit in forms else f"{number(value)} {unit}".removesuffix(" ratio")


def shown(figure: Figure) -> str:
    """The central value, or a dash where there is none."""
    return UNKNOWN if figure.value is None else amount(figure.value, figure.unit)


def ends(figure: Figure) -> str:
    """``low–high`` with the unit once; empty where the value is exact or unknown."""
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return ""
    low, high = amount(figure.low, figure.unit), amount(figure.high, figure.unit)
    head, _, unit = low.partition(" ")
    return f"{head}–{high}" if unit and high.endswith(f" {unit}") else f"{low}–{high}"


def listed(texts: Mapping[str, object]) -> str:
    """``a=1, b=2`` for messages and working."""
    return ", ".join(f"{key}={value}" for key, value in texts.items())
