"""CPU of Tempo and of the Collector."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.figures import Range, figure
from planner.fit import Fit, fit_nonnegative
from planner.load import Load, Measured, row_loads
from planner.records import Basis, Figure
from planner.shipped import Series, Shipped
from planner.text import number

_TERMS = ("fixed", "per 1,000 spans/s", "per 1,000 live traces")
MICRO = 1e-6


@dataclass(frozen=True, slots=True)
class TempoCpu:
    """Cores of a monolithic Tempo, fitted; ``spread`` is what other attributes changed in equal load."""

    fit: Fit
    spread: Range
    measured: Measured
    source: str

    def cores(self, load: Load) -> Range:
        """Cores used."""
        return self.fit.predict(_terms(load)).times(self.spread)

    def anchored(self, load: Load, cores: float, source: str) -> TempoCpu:
        """The same model scaled so that it passes through a run of one's own."""
        factor = cores / float(self.fit.central(_terms(load)))
        fit = replace(self.fit, coefficients=self.fit.coefficients * factor, sigma=self.fit.sigma * factor)
        measured = self.measured.including(load)
        return replace(self, fit=fit, measured=measured, source=f"{source}; slope: {self.source}")


def _terms(load: Load) -> list[float]:
    return [1.0, load.spans_per_s / 1000, load.live_traces / 1000]


def fit_cpu(shipped: Shipped) -> TempoCpu:
    """The model through the shipped runs."""
    series, profiles = shipped.series["tempo_load"], shipped.series["tempo_profiles"]
    loads = row_loads(series)
    used = profiles.column("cpu_s") / profiles.column("cpu_s")[0]
    wire = np.concatenate([series.column("wire_bytes_per_span"), profiles.column("wire_bytes_per_span")])
    return TempoCpu(
        fit_nonnegative(np.array([_terms(load) for load in loads]), series.column("cores"), _TERMS),
        Range(1.0, float(used.min()), float(used.max())),
        Measured.of(loads, (float(wire.min()), float(wire.max()))),
        series.cited,
    )


def tempo_cores(model: TempoCpu, load: Load) -> Figure:
    """Cores that Tempo uses."""
    outside = model.measured.outside(load)
    beyond = "; extrapolated: " + ", ".join(outside) if outside else ""
    fixed, per_rate, per_live = (float(c) for c in model.fit.coefficients)
    working = (
        f"{fixed:.3g} + {per_rate:.3g} x {number(load.spans_per_s)} spans/s / 1000 "
        f"+ {per_live:.3g} x {number(load.live_traces)} live traces / 1000"
    )
    source = (
        f"{model.source}; range: {model.fit.interval}, times {number(model.spread.low)} to "
        f"{number(model.spread.high)} between attribute profiles{beyond}"
    )
    basis = Basis.EXTRAPOLATED if outside else Basis.MEASURED
    return figure(model.cores(load), "cores", basis, source, working)


@dataclass(frozen=True, slots=True)
class CollectorCpu:
    """Microseconds of CPU per span for each part of a Collector's pipeline.

    ``receive`` counts spans that come in, ``export`` those that go out, ``tail`` what the tail sampler holds.
    Low ends: large requests, nothing compressed; high ends: small requests, gzip on both sides.
    """

    receive: Range
    export: Range
    tail: Range
    source: str


def collector_costs(shipped: Shipped) -> CollectorCpu:
    """The parts, from differences between measured pipelines."""
    series = shipped.series["collector_cpu"]
    large, small = _us(series, "receive", 800), _us(series, "receive", 96)
    gzip_in = _us(series, "receive gzip", 800) - large
    plain = _us(series, "receive and export", 800) - large
    gzip_out = _us(series, "receive and export gzip", 800) - large
    # The measured tail pipeline exported about a tenth of what came in; its export counts at most that.
    tail = [_us(series, "tail", size) - _us(series, "receive", size) for size in (800, 96)]
    low = min(tail) - 0.1 * gzip_out
    middle = (large + small) / 2
    return CollectorCpu(
        Range(middle, large, small + gzip_in),
        Range(gzip_out, plain, gzip_out),
        Range((low + max(tail)) / 2, low, max(tail)),
        f"{series.cited}; range: 96 to 800 spans a request, without or with gzip",
    )


def _us(series: Series, pipeline: str, spans_per_request: int) -> float:
    wanted = {"pipeline": pipeline, "spans_per_request": spans_per_request}
    return next(float(row["us_per_span"]) for row in series.rows if wanted.items() <= row.items())


def collector_cores(costs: CollectorCpu, spans_per_s: float, kept_per_s: Range, *, tail: bool) -> Figure:
    """Cores that all Collector replicas use together."""
    received = costs.receive.plus(costs.tail if tail else 0.0)
    cores = received.times(spans_per_s * MICRO).plus(costs.export.times(kept_per_s).times(MICRO))
    holds = f" + {number(costs.tail.value)} us tail sampling" if tail else ""
    working = (
        f"{number(spans_per_s)} spans/s x ({number(costs.receive.value)} us receive{holds}) "
        f"+ {number(kept_per_s.value)} spans/s x {number(costs.export.value)} us export"
    )
    return figure(cores, "cores", Basis.MEASURED, costs.source, working)
