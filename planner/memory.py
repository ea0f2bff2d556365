"""Resident memory of a monolithic Tempo: a fit through measured runs, and the peak over its median.

The median is fixed + rate + live traces. The peak is set by block completion and compaction; equal
runs differ in it by a third, so its range is that of the measured ratios of maximum to median.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.figures import Range, figure, ordered
from planner.fit import Fit, fit_nonnegative
from planner.load import Load, Measured, row_loads
from planner.records import Basis, Figure
from planner.shipped import Series, Shipped
from planner.text import number, size

_TERMS = ("fixed", "per MB/s", "per live trace")


@dataclass(frozen=True, slots=True)
class TempoMemory:
    """The fitted model with its valid range.

    Attributes:
        median: Fit of the median resident memory [bytes].
        peak_ratio: Maximum over median in the measured runs.
        steepest: Bytes of memory for each byte/s by which spans are larger than measured: the steepest rise
            seen with larger spans.
        wire_bytes: Size of a span in the fitted runs.
        floor_bytes: Resident memory at rest.
        measured: Range of the measured loads.
        source: The runs and their conditions.
    """

    median: Fit
    peak_ratio: Range
    steepest: float
    wire_bytes: float
    floor_bytes: float
    measured: Measured
    source: str

    def median_range(self, load: Load) -> Range:
        """Median resident memory [bytes]: the fit's interval, widened by what the size of spans may do.

        Memory between a span count's and a byte count's is possible, so the ends take both, and the
        steepest rise that was measured with larger spans.
        """
        extra = load.spans_per_s * (load.wire_bytes_per_span - self.wire_bytes)
        by_bytes = float(self.median.coefficients[1]) / 1e6
        spread = ordered(0.0, -by_bytes * extra, (self.steepest - by_bytes) * max(0.0, extra))
        return self.median.predict(_terms(load)).plus(spread).at_least(self.floor_bytes)

    def peak_range(self, load: Load) -> Range:
        """Highest resident memory over minutes [bytes]."""
        return self.median_range(load).times(self.peak_ratio)

    def anchored(self, load: Load, median_bytes: float, peak_bytes: float, source: str) -> TempoMemory:
        """The same model moved so that it passes through a run of one's own, whose peak joins the others."""
        shift = median_bytes - float(self.median.central(_terms(load)))
        measured = self.measured.including(load)
        median = replace(self.median, coefficients=self.median.coefficients + np.array([shift, 0.0, 0.0]))
        return replace(
            self,
            median=median,
            peak_ratio=ordered(self.peak_ratio.value, *self.peak_ratio, peak_bytes / median_bytes),
            wire_bytes=load.wire_bytes_per_span,
            measured=measured,
            source=f"{source}; slope: {self.source}",
        )


def _terms(load: Load) -> list[float]:
    return [1.0, load.megabytes_per_s, load.live_traces]


def fit_memory(shipped: Shipped) -> TempoMemory:
    """The model through the shipped runs."""
    series, profiles = shipped.series["tempo_load"], shipped.series["tempo_profiles"]
    loads, medians = row_loads(series), series.column("rss_median_bytes")
    ratios = series.column("rss_max_bytes") / medians
    wire = np.concatenate([series.column("wire_bytes_per_span"), profiles.column("wire_bytes_per_span")])
    return TempoMemory(
        fit_nonnegative(np.array([_terms(load) for load in loads]), medians, _TERMS),
        Range(float(np.median(ratios)), float(ratios.min()), float(ratios.max())),
        _steepest(profiles),
        float(series.column("wire_bytes_per_span").mean()),
        shipped["tempo_idle_rss_bytes"].value,
        Measured.of(loads, (float(wire.min()), float(wire.max()))),
        series.cited,
    )


def _steepest(profiles: Series) -> float:
    rates = profiles.column("spans_per_s") * profiles.column("wire_bytes_per_span")
    memory = profiles.column("rss_median_bytes")
    return float(((memory[1:] - memory[0]) / (rates[1:] - rates[0])).max())


def tempo_memory(model: TempoMemory, load: Load) -> tuple[Figure, Figure]:
    """Median and peak of Tempo's resident memory."""
    outside = model.measured.outside(load)
    basis = Basis.EXTRAPOLATED if outside else Basis.MEASURED
    beyond = "; extrapolated: " + ", ".join(outside) if outside else ""
    fixed, per_mb, per_live = (float(c) for c in model.median.coefficients)
    working = (
        f"{size(fixed)} + {size(per_mb)} x {number(load.megabytes_per_s)} MB/s "
        f"+ {size(per_live)} x {number(load.live_traces)} live traces"
    )
    source = f"{model.source}; range: {model.median.interval}, and the size of spans{beyond}"
    median, ratio = model.median_range(load), model.peak_ratio
    peak_working = f"median ({working} = {size(median.value)}) x {number(ratio.value)} maximum over median"
    peak_source = f"{source}; peak: maximum over median {number(ratio.low)} to {number(ratio.high)} in the same runs"
    return (
        figure(median, "bytes", basis, source, working),
        figure(model.peak_range(load), "bytes", basis, peak_source, peak_working),
    )
