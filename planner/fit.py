"""Least squares with non-negative coefficients, and the prediction interval that few measurements allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from loadgen.errors import InputError
from planner.figures import Range

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Vector = np.ndarray[tuple[int], np.dtype[np.float64]]

# 95 % quantile of Student's t by degrees of freedom: two-sided 90 % intervals.
_T95 = (6.3138, 2.9200, 2.3534, 2.1318, 2.0150, 1.9432, 1.8946, 1.8595, 1.8331, 1.8125,
        1.7959, 1.7823, 1.7709, 1.7613, 1.7531, 1.7459, 1.7396, 1.7341, 1.7291, 1.7247)  # fmt: skip


def t95(freedom: int) -> float:
    """95 % quantile of Student's t; beyond 20 degrees of freedom by its expansion round the normal one."""
    return _T95[freedom - 1] if freedom <= len(_T95) else 1.644854 + 1.5237 / freedom


@dataclass(frozen=True, slots=True)
class Fit:
    """y = sum of coefficients times terms, none negative, with what is needed for a prediction interval.

    Attributes:
        names: Names of the terms, in order.
        coefficients: One for each term; 0 where a free fit would have made it negative.
        sigma: Standard deviation of the residuals, in the unit of y.
        freedom: Measurements less the coefficients that are not 0.
        inverse: (X'X)^-1 over the terms in use, 0 elsewhere.
        measurements: How many rows were fitted.
    """

    names: tuple[str, ...]
    coefficients: Vector
    sigma: float
    freedom: int
    inverse: Matrix
    measurements: int

    def central(self, terms: ArrayLike) -> Vector:
        """The fitted value for terms [..., len(names)]."""
        return np.asarray(np.asarray(terms, dtype=np.float64) @ self.coefficients)

    def halfwidth(self, terms: ArrayLike) -> Vector:
        """Half of the 90 % prediction interval of one new measurement, by Student's t."""
        x = np.asarray(terms, dtype=np.float64)
        leverage = np.einsum("...i,ij,...j->...", x, self.inverse, x)
        return np.asarray(t95(self.freedom) * self.sigma * np.sqrt(1 + leverage))

    def predict(self, terms: Sequence[float]) -> Range:
        """Value and 90 % prediction interval for one row of terms; the low end not below 0."""
        x = np.asarray(terms, dtype=np.float64)
        value, half = float(self.central(x)), float(self.halfwidth(x))
        return Range(value, max(0.0, value - half), value + half)

    @property
    def interval(self) -> str:
        """What the ends of a prediction mean."""
        few = f"n = {self.measurements}, {self.freedom} degrees of freedom"
        return f"90 % prediction interval, Student's t, {few}"


def fit_nonnegative(terms: Matrix, measured: Vector, names: Sequence[str]) -> Fit:
    """Least squares over the rows of ``terms``; a term whose coefficient would be negative is left out.

    Args:
        terms: One row a measurement, one column a term [n, k].
        measured: What was measured [n].
        names: Names of the columns.

    Raises:
        InputError: Not more measurements than terms.
    """
    x, y = np.asarray(terms, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if len(y) <= x.shape[1]:
        raise InputError("fit", f"{len(y)} measurements", f"needs more than its {x.shape[1]} terms")
    used = np.ones(x.shape[1], dtype=bool)
    solved = _solve(x, y, used)
    while (solved < 0).any():
        used &= solved >= 0
        solved = _solve(x, y, used)
    inverse = np.zeros((x.shape[1], x.shape[1]))
    inverse[np.ix_(used, used)] = np.linalg.inv(x[:, used].T @ x[:, used])
    freedom = len(y) - int(used.sum())
    sigma = sqrt(float(((y - x @ solved) ** 2).sum()) / freedom)
    return Fit(tuple(names), solved, sigma, freedom, inverse, len(y))


def _solve(x: Matrix, y: Vector, used: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Vector:
    solved = np.zeros(x.shape[1])
    solved[used] = np.linalg.lstsq(x[:, used], y, rcond=None)[0]
    return solved
