"""Numbers as a reader sees them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (9.996, "10.0"),  # rounding up gains a digit, it does not lose one
        (99.96, "100"),
        (0.012345, "0.0123"),
        (458.2, "458"),
        (4600.9, "4,601"),
        (46020.4, "46,020"),
        (-0.182, "-0.182"),
        (1.2e-9, "1.20e-09"),
    ],
)
def test_significant_digits(value: float, expected: str) -> None:
    """Three significant digits, whole numbers in full, thousands separated."""
    assert expected == text.significant(value)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.5, "50.0 %"),
        (0.0999755859375, "10.0 %"),
        (0.99999, "99.999 %"),
        (1.0001, "100.01 %"),
        (1e-7, "1.00e-05 %"),
        (None, "-"),
        (float("nan"), "-"),
    ],
)
def test_percent(ratio: float | None, expected: str) -> None:
    """A ratio in percent."""
    assert expected == text.percent(ratio)


@given(st.floats(min_value=1e-12, max_value=1 - 1e-12))
def test_percent_is_never_0_or_100_unless_it_is(ratio: float) -> None:
    """What lies between nothing and everything never reads 0 % or 100 %."""
    shown = float(text.percent(ratio).removesuffix(" %"))
    assert 0 < shown < 100


def test_effective_ratio_shows_with_a_digit_more() -> None:
    """The share that 10 % hash sampling really keeps is not hidden by rounding."""
    assert text.percent(1638 / 16384, 4) == "9.998 %"


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (266 * text.MIB, "bytes", "266 MiB"),
        (3.42 * text.GIB, "bytes", "3.42 GiB"),
        (512.0, "bytes", "512 B"),
        (15_250_000.0, "bytes/s", "15.2 MB/s"),
        (21.3 * text.GIB, "bytes/day", "21.3 GiB/day"),
        (100.0, "s", "100 s"),
        (1000.0, "s", "16.7 min"),
        (86400.0, "s", "24.0 h"),
        (7 * 86400.0, "s", "7.00 d"),
        (0.0004, "s", "400 µs"),
        (33.254, "USD/month", "$33.3/month"),
        (1762.3, "USD/month", "$1,762/month"),
        (7.4, "USD/month", "$7.40/month"),
        (0.003, "USD/month", "under $0.01/month"),
        (0.0, "USD/month", "$0/month"),
        (0.15, "cores", "0.150 cores"),
        (0.0, "s", "0 s"),
        (46.02, "", "46.0"),
        (None, "bytes", "-"),
        (float("inf"), "bytes", "-"),
    ],
)
def test_show(value: float | None, unit: str, expected: str) -> None:
    """Each unit in the size people read."""
    assert expected == text.show(value, unit)


@pytest.mark.parametrize(
    ("low", "high", "unit", "expected"),
    [
        (210 * text.MIB, 322 * text.MIB, "bytes", "210 – 322 MiB"),
        (0.5 * text.GIB, 1.5 * text.GIB, "bytes", "0.500 – 1.50 GiB"),  # one unit for both ends
        (27.27, 39.24, "USD/month", "$27.3 – $39.2"),
        (5.13, 299.4, "s", "5.13 s – 4.99 min"),  # two units where one would hide the low end
        (0.0118, 0.0711, "cores", "0.0118 – 0.0711 cores"),
        (1.2521e12, 1.2541e12, "bytes/day", "1.139 – 1.141 TiB/day"),  # ends that differ read different
        (5.0, 5.0, "s", "exact"),
        (None, 5.0, "s", "-"),
        (1.0, float("inf"), "s", "-"),
    ],
)
def test_span(low: float | None, high: float | None, unit: str, expected: str) -> None:
    """A range in one unit; a range that says nothing is not shown as numbers."""
    assert expected == text.span(low, high, unit)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(2 * text.GIB, "2 GiB"), (1536 * text.MIB, "1,536 MiB"), (1000, "1,000 B"), (0, "0 B")],
)
def test_sizes_to_set_are_exact(size: int, expected: str) -> None:
    """A size that is to be typed in loses no byte."""
    assert expected == str(text.set_bytes(size))


def test_moments_are_utc() -> None:
    """A moment of another offset is shown in UTC; what is no moment stays as it is."""
    assert text.utc("2026-09-21T13:33:20+02:00") == "2026-09-21 11:33:20 UTC"
    assert text.utc("2026-09-21T13:33:20") == "2026-09-21 13:33:20 UTC"
    assert text.utc("yesterday") == "yesterday"
