"""Numbers as a reader sees them: three significant digits, binary units, thousands separators.

Nothing here rounds to 0 or to 100 % what is neither, and what is not known reads "-".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

UNKNOWN = "-"
DIGITS = 3
FAR_APART = 0.1  # a low end below so much of the high end's unit is shown in its own
KIB, MIB, GIB = 1024, 1024**2, 1024**3


class Scale(NamedTuple):
    """A display unit: its name and how many of the stored unit it holds."""

    name: str
    size: float


BINARY = tuple(Scale(name, 1024.0**power) for power, name in enumerate(("B", "KiB", "MiB", "GiB", "TiB", "PiB")))
DECIMAL = tuple(Scale(name, 1000.0**power) for power, name in enumerate(("B/s", "kB/s", "MB/s", "GB/s", "TB/s")))
TIMES = (
    Scale("ns", 1e-9),
    Scale("µs", 1e-6),
    Scale("ms", 1e-3),
    Scale("s", 1.0),
    Scale("min", 60.0),
    Scale("h", 3600.0),
    Scale("d", 86400.0),
)
TIME_FROM = (0.0, 1e-6, 1e-3, 1.0, 120.0, 7200.0, 48 * 3600.0 + 1)


class Quantity(NamedTuple):
    """A number and its unit, apart so that a table can align the one and mute the other."""

    number: str
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".strip()


def significant(value: float, digits: int = DIGITS) -> str:
    """``value`` to that many significant digits; whole numbers that are longer stay in full, e.g. ``46,020``."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    magnitude = math.floor(math.log10(abs(rounded)))
    if not -4 <= magnitude < 15:
        return f"{rounded:.{digits - 1}e}"
    places = digits - 1 - magnitude
    return f"{rounded:,.{places}f}" if places > 0 else f"{value:,.0f}"


def count(number: float | None) -> str:
    """A counted number in full, e.g. ``276,000``."""
    return UNKNOWN if number is None else f"{round(number):,}"


def plain(value: float) -> str:
    """A number that is to be typed somewhere: no padding zeros, e.g. ``0.5``."""
    return f"{value:,.10g}"


def percent(ratio: float | None, digits: int = DIGITS) -> str:
    """A ratio in percent; digits are added until what is not 100 % does not read 100 %."""
    if ratio is None or not math.isfinite(ratio):
        return UNKNOWN
    return f"{_percent_number(ratio, digits)} %"


def _percent_number(ratio: float, digits: int) -> str:
    if ratio in {0, 1}:
        return f"{ratio * 100:.0f}"
    for more in range(digits, 16):
        shown = significant(ratio * 100, more)
        if float(shown.replace(",", "")) != 100:
            return shown
    return "100"


def time_scale(seconds: float) -> Scale:
    """The display unit of a length of time: 90 s, 24 h, 7 d."""
    if seconds == 0:
        return TIMES[3]
    best = max(index for index, start in enumerate(TIME_FROM) if abs(seconds) >= start)
    return TIMES[best]


def binary_scale(size_bytes: float) -> Scale:
    """The display unit of a size."""
    fitting = [scale for scale in BINARY if abs(size_bytes) >= scale.size]
    return fitting[-1] if fitting else BINARY[0]


def _bytes_per(suffix: str) -> Callable[[float], Scale]:
    def scale(value: float) -> Scale:
        found = binary_scale(value)
        return Scale(found.name + suffix, found.size)

    return scale


def decimal_rate(value: float) -> Scale:
    """The display unit of bytes a second: powers of ten, as in Tempo's and the Collector's own limits."""
    fitting = [scale for scale in DECIMAL if abs(value) >= scale.size]
    return fitting[-1] if fitting else DECIMAL[0]


SCALES: dict[str, Callable[[float], Scale]] = {
    "bytes": binary_scale,
    "bytes/s": decimal_rate,
    "bytes/day": _bytes_per("/day"),
    "bytes/span": _bytes_per("/span"),
    "s": time_scale,
    "ratio": lambda _: Scale("%", 0.01),
    "USD/month": lambda _: Scale("$/month", 1.0),
}


def scale_for(value: float, unit: str) -> Scale:
    """The display unit in which ``value`` reads best; for an axis or a range, give its largest value."""
    chooser = SCALES.get(unit)
    return chooser(value) if chooser else Scale(unit, 1.0)


def dollars(value: float) -> str:
    """An amount of money: cents below ten, three significant digits above."""
    if value == 0:
        return "$0"
    if abs(value) < 0.01:
        return "under $0.01"
    return f"${value:,.2f}" if abs(value) < 9.995 else f"${significant(value)}"


def _number(value: float, unit: str, scale: Scale, digits: int) -> str:
    if unit == "USD/month":
        return dollars(value)
    if unit == "ratio":
        return _percent_number(value, digits)
    return significant(value / scale.size, digits)


def quantity(value: float | None, unit: str, digits: int = DIGITS) -> Quantity:
    """``value`` with the display unit chosen for it; None and not-a-number read "-"."""
    if value is None or not math.isfinite(value):
        return Quantity(UNKNOWN, "")
    scale = scale_for(value, unit)
    return Quantity(_number(value, unit, scale, digits), "/month" if unit == "USD/month" else scale.name)


def show(value: float | None, unit: str, digits: int = DIGITS) -> str:
    """``value`` and its unit as one text, e.g. ``3.42 GiB``."""
    return str(quantity(value, unit, digits)).replace(" /", "/")


def span(low: float | None, high: float | None, unit: str, digits: int = DIGITS) -> str:
    """A range, in one unit where it fits both ends (``3.10 – 4.20 GiB``); "exact" where they are the same."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return UNKNOWN
    if low == high:
        return "exact"
    for more in range(digits, digits + 3):
        ends = _ends(low, high, unit, more)
        if ends[0] != ends[1].partition(" ")[0]:
            break
    return f"{ends[0]} – {ends[1]}"


def _ends(low: float, high: float, unit: str, digits: int) -> tuple[str, str]:
    if unit == "USD/month":
        return dollars(low), dollars(high)
    scale = scale_for(high, unit)
    apart = low != 0 and abs(low) < FAR_APART * scale.size
    if apart and scale_for(low, unit).name != scale.name:
        return show(low, unit, digits), show(high, unit, digits)
    return _number(low, unit, scale, digits), str(Quantity(_number(high, unit, scale, digits), scale.name))


def set_bytes(size_bytes: int) -> Quantity:
    """A size that is to be set: exact in whole MiB or GiB (``1,536 MiB``), else as any other size."""
    for scale in (BINARY[3], BINARY[2]):
        if size_bytes and size_bytes % int(scale.size) == 0:
            return Quantity(f"{size_bytes // int(scale.size):,}", scale.name)
    return quantity(size_bytes, "bytes")


def set_cores(cores: float) -> Quantity:
    """A share of CPU that is to be set: ``0.5 cores``."""
    return Quantity(plain(float(f"{cores:.3g}")), "core" if cores == 1 else "cores")


def utc(moment: str) -> str:
    """A moment in ISO 8601 as people read it, in UTC; anything else as it stands."""
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
