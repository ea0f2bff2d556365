"""The fit: recovers what is known, never goes negative, and its interval covers what it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from loadgen.errors import InputError
from planner.fit import fit_nonnegative, t95
from planner.shipped import load_shipped

NAMES = ("fixed", "rate")


def _terms(x: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(x), x], axis=1)


@pytest.mark.parametrize("freedom", [1, 2, 5, 10, 20, 21, 30, 100])
def test_quantiles_are_students(freedom: int) -> None:
    """The table and its continuation agree with scipy's t distribution."""
    assert pytest.approx(stats.t.ppf(0.95, freedom), rel=2e-3) == t95(freedom)


def test_known_coefficients_are_recovered() -> None:
    """Without noise the fit is the line, and its interval has no width."""
    x = np.arange(8.0)

    fit = fit_nonnegative(_terms(x), 3 + 2 * x, NAMES)

    assert pytest.approx([3, 2]) == fit.coefficients.tolist()
    assert pytest.approx((13, 13, 13)) == tuple(fit.predict([1, 5]))


def test_a_negative_coefficient_is_left_out() -> None:
    """A falling rate is not physical: the term is dropped and the others take over, as in scipy's nnls."""
    x = np.arange(8.0)
    y = 10 - x

    fit = fit_nonnegative(_terms(x), y, NAMES)

    assert pytest.approx(optimize.nnls(_terms(x), y)[0].tolist()) == fit.coefficients.tolist()
    assert fit.freedom == 7


def test_too_few_measurements_are_refused() -> None:
    """As many measurements as terms leave nothing to tell the error from."""
    with pytest.raises(InputError, match="needs more than its 2 terms"):
        fit_nonnegative(_terms(np.arange(2.0)), np.arange(2.0), NAMES)


def test_scalar_equals_vector() -> None:
    """One row at a time and all rows at once give the same values."""
    x = np.arange(8.0)
    fit = fit_nonnegative(_terms(x), 3 + 2 * x + np.sin(x), NAMES)
    rows = _terms(np.linspace(0, 20, 7))

    together = np.stack([fit.central(rows), fit.halfwidth(rows)], axis=1)

    one_by_one = [(float(fit.central(row)), float(fit.halfwidth(row))) for row in rows]
    np.testing.assert_allclose(one_by_one, together)


def test_interval_covers_nine_in_ten_new_measurements() -> None:
    """Over 2,000 seeded repeats of eight noisy runs, a ninth lies in its 90 % interval in 88-92 % of cases."""
    random = np.random.default_rng(7)
    x = np.array([1.0, 2, 4, 4, 8, 16, 4, 4])
    inside = 0
    for _ in range(2000):
        y = 150 + 23 * x + random.normal(0, 10, 8)
        predicted = fit_nonnegative(_terms(x), y, NAMES).predict([1, 10])
        inside += predicted.low <= 150 + 230 + random.normal(0, 10) <= predicted.high

    assert 0.88 <= inside / 2000 <= 0.92


def test_shipped_figures_enclose_their_values() -> None:
    """Every shipped figure has low <= value <= high, a unit and a source."""
    shipped = load_shipped()

    for known in shipped.figures.values():
        assert known.amount.low <= known.amount.value <= known.amount.high, known.name
        assert known.unit, known.name
        assert known.source, known.name
