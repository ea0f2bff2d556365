"""Prices: tiers, months, and what the sum leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from planner.at_rest import at_rest
from planner.cost import (
    NOT_COUNTED,
    Machine,
    bytes_usd,
    compute_cost,
    load_prices,
    requests_usd,
    storage_cost,
    total_cost,
)
from planner.figures import Range, ends_of, figure
from planner.records import Basis
from planner.shipped import load_shipped
from planner.text import DAY_S

PRICES, SHIPPED = load_prices(), load_shipped()
TIB = 1 << 40


@pytest.mark.parametrize(
    ("stored_tib", "usd"),
    [(0, 0), (1, 23.552), (50, 1177.6), (51, 1177.6 + 22.528), (500, 1177.6 + 450 * 22.528), (501, 11315.2 + 21.504)],
)
def test_storage_tiers(stored_tib: float, usd: float) -> None:
    """50 TiB at 0.023, the next 450 at 0.022, the rest at 0.021 USD a GiB-month."""
    assert pytest.approx(usd) == bytes_usd(stored_tib * TIB, PRICES)


def test_worked_example_of_two_weeks() -> None:
    """46,000 spans/s x 57.5 B for 14 days are 3.2 TB: 68.5 USD a month in units of 2^30 bytes, 74 in 10^9."""
    stored = 46_000 * 57.5 * 14 * DAY_S

    assert pytest.approx(68.5, rel=0.01) == bytes_usd(stored, PRICES)
    assert pytest.approx(73.6, rel=0.01) == stored / 1e9 * 0.023


def test_compute_of_one_core_and_one_gib() -> None:
    """A vCPU-month is 29.55 USD and a GiB-month 3.24 USD at 730 hours."""
    one = Machine("Tempo", 1, Range(1, 1, 1), Range(2**30, 2**30, 2**30), Basis.MEASURED, "given")

    found = compute_cost([one], PRICES)

    assert pytest.approx(730 * (0.04048 + 0.004445)) == found.value
    assert "730 h a month" in found.source


def test_requests_of_a_block_every_half_minute() -> None:
    """86,400... blocks of four files a month, at most twice as many with merges: 1.75 to 3.6 USD."""
    found = requests_usd(SHIPPED, PRICES)

    assert pytest.approx(87_600 * 4 * 0.005 / 1000) == found.low
    assert found.low < found.value < found.high < 2.1 * found.low


def _rest(per_day: float, retention_d: float) -> object:
    daily = figure(Range(per_day, per_day / 2, per_day * 2), "bytes/day", Basis.MEASURED, "a test", "given")
    return at_rest(daily, 1.0 if per_day else 0.0, retention_d * DAY_S, SHIPPED)


def test_storage_cost_grows_with_retention_and_rate() -> None:
    """Monotone in both, at every end; nothing kept costs nothing."""
    by_retention = [ends_of(storage_cost(_rest(1e12, days), SHIPPED, PRICES)) for days in (0, 1, 7, 90)]
    by_rate = [ends_of(storage_cost(_rest(rate, 7), SHIPPED, PRICES)) for rate in (0, 1e9, 1e12, 1e14)]

    assert (np.diff(by_retention, axis=0) > 0).all()
    assert (np.diff(by_rate, axis=0) > 0).all()
    assert by_rate[0] == (0, 0, 0)


def test_prices_carry_source_region_and_date() -> None:
    """Date and region stand beside every price."""
    found = storage_cost(_rest(1e12, 7), SHIPPED, PRICES)

    assert PRICES.date in found.source
    assert PRICES.region in found.source
    assert all(PRICES.region in known.source for name, known in PRICES.figures.items() if name.endswith("_h"))


def test_total_is_storage_and_compute() -> None:
    """Both parts add at each end, and the total is as weak as the weaker of them."""
    storage = figure(Range(2, 1, 3), "USD/month", Basis.PUBLISHED, "a", "a")
    compute = figure(Range(20, 10, 30), "USD/month", Basis.EXTRAPOLATED, "b", "b")

    found = total_cost(storage, compute)

    assert (found.value, found.low, found.high, found.basis) == (22, 11, 33, Basis.EXTRAPOLATED)


def test_what_is_not_counted_is_listed() -> None:
    """Transfer, queries and support are named."""
    text = " ".join(NOT_COUNTED)

    assert all(word in text for word in ("transfer", "queries", "support", "taxes", "N+1"))
