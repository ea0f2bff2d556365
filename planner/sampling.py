"""Sampling choices: what each keeps, exactly, and what it hides.

Sources: probabilistic_sampler and tail_sampling of OpenTelemetry Collector contrib (effective ratio
of hash_seed, policies joined by OR); Cochran, Sampling Techniques, for the interval of a rate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import inf, log, sqrt
from typing import Literal, NamedTuple

from loadgen.errors import InputError
from planner.figures import Range, figure, unknown
from planner.records import Basis, Figure
from planner.shape import Z95, TraceShape, design_effect
from planner.text import duration, number, percent

Kind = Literal["head", "tail"]
RARE_ERROR_RATIO = 1e-4  # one error in 10,000 traces
RATE_ERROR_RATIO = 1e-3  # the error rate whose interval is planned
RATE_WINDOW_S = 300.0
FORMS = "must be a percentage to keep such as 10%, proportional:10%, equalizing:10%, tail:5% or tail:5%:2s"
_TEXT = re.compile(
    r"(?:(head|hash_seed|proportional|equalizing|tail)(?::|$))?"
    r"(?:(\d+(?:\.\d+)?)\s*%?)?(?::(\d+(?:\.\d+)?)s)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Sampling:
    """One sampling choice.

    Attributes:
        kind: ``head``: by trace id alone; ``tail``: errors, slow traces and a share of the rest.
        configured_ratio: The configured probability [0-1]; for ``tail`` that of the rest.
        mode: Mode of the head sampler.
        threshold_s: Latency over which a tail sampler keeps every trace [s].
    """

    kind: Kind
    configured_ratio: float
    mode: str = "hash_seed"
    threshold_s: float = 1.0

    @property
    def name(self) -> str:
        """What tables call it."""
        mode = "" if self.mode == "hash_seed" or self.kind == "tail" else f" {self.mode}"
        slow = "" if self.threshold_s == 1.0 else f" > {number(self.threshold_s)} s"
        share = f"{number(100 * self.configured_ratio, 6)} %"
        return f"head {share}{mode}" if self.kind == "head" else f"tail {share}{slow}"

    @property
    def described(self) -> str:
        """What sentences call it."""
        share = percent(self.configured_ratio, 6)
        if self.kind == "head":
            return f"head sampling at {share}"
        return f"tail sampling (errors, slower than {duration(self.threshold_s)}, {share} of the rest)"


class Kept(NamedTuple):
    """What a choice keeps of all traces, and what it keeps of traces with an error [ratios]."""

    ratio: Range
    error_ratio: Range
    source: str
    working: str


DEFAULT_SAMPLINGS = (
    *(Sampling("head", pct / 100) for pct in (1, 5, 10, 25, 50, 100)),
    Sampling("tail", 0.05),
)


def parse_sampling(text: str) -> Sampling:
    """The choice in ``text``, e.g. ``10%``, ``proportional:10%``, ``tail:5%``, ``tail:5%:2s``, ``tail``.

    Raises:
        InputError: Another form, or a percentage over 100.
    """
    found = _TEXT.fullmatch(text.strip())
    kind, share, slow = found.groups() if found else (None, None, None)
    if not found or (share is None and kind != "tail") or (slow is not None and kind != "tail"):
        raise InputError("--sampling", text, FORMS)
    ratio = float(share or 5) / 100
    if ratio > 1:
        raise InputError("--sampling", text, "must keep at most 100 %")
    if kind == "tail":
        return Sampling("tail", ratio, threshold_s=float(slow or 1))
    return Sampling("head", ratio, "hash_seed" if kind in {None, "head"} else str(kind))


@cache
def effective_ratio(mode: str, configured_ratio: float) -> float:
    """The probability with which a head sampler keeps a trace: 1638/16384 for 10 % in hash_seed mode."""
    from loadgen.samplers import HeadSampler  # noqa: PLC0415  (its tables are not needed for --help)

    sampler = HeadSampler(mode=mode, sampling_percentage=100 * configured_ratio, hash_seed=22)
    return float(sampler.effective_ratio)


def wilson(successes_ratio: float, trials: int) -> Range:
    """A binomial proportion with its 95 % interval (Wilson's score interval)."""
    z2 = Z95 * Z95 / trials
    middle = successes_ratio + z2 / 2
    half = Z95 * sqrt(successes_ratio * (1 - successes_ratio) / trials + z2 / (4 * trials))
    low, high = (middle - half) / (1 + z2), (middle + half) / (1 + z2)
    return Range(successes_ratio, max(0.0, min(low, successes_ratio)), min(1.0, max(high, successes_ratio)))


def kept(sampling: Sampling, shape: TraceShape) -> Kept:
    """What ``sampling`` keeps of traces of this shape."""
    return _head_kept(sampling) if sampling.kind == "head" else _tail_kept(sampling, shape)


def _head_kept(sampling: Sampling) -> Kept:
    ratio = effective_ratio(sampling.mode, sampling.configured_ratio)
    percent_configured = number(100 * sampling.configured_ratio, 6)
    rounding = f" = floor({percent_configured} x 163.84) / 16384" if sampling.mode == "hash_seed" else ""
    return Kept(
        Range.exact(ratio),
        Range.exact(ratio),
        f"probabilistic_sampler of OpenTelemetry Collector contrib v0.161.0, mode {sampling.mode}, exact",
        f"{percent_configured} % configured{rounding} = {100 * ratio:.6g} % effective",
    )


def _tail_kept(sampling: Sampling, shape: TraceShape) -> Kept:
    always = wilson(shape.errors_or_slow_ratio(sampling.threshold_s), shape.sample_traces)
    p = sampling.configured_ratio
    ratio = Range(*(1 - (1 - share) * (1 - p) for share in always))
    return Kept(
        ratio,
        Range.exact(1.0),
        "policies joined by OR (tail_sampling v0.161.0); share of errors and slow traces from "
        f"{shape.sample_traces:,} drawn traces of {shape.topology}; range: 95 % binomial (Wilson)",
        f"1 - (1 - {always.value:.4g}) x (1 - {p:.4g}), P(error or over {number(sampling.threshold_s)} s) "
        f"{always.low:.4g} to {always.high:.4g}",
    )


def error_wait(sampling: Sampling, keeps: Kept, traces_per_s: float, decision_s: float) -> Figure:
    """Mean wait until a 1-in-10,000 error is kept [s]; the range holds 5 to 95 % of waits.

    Args:
        sampling: The choice.
        keeps: What it keeps.
        traces_per_s: Mean rate before sampling.
        decision_s: How long a tail sampler holds a trace before it decides.
    """
    source = "Poisson arrivals of errors; range: 5 % to 95 % of waits (exponential)"
    per_s = traces_per_s * RARE_ERROR_RATIO * keeps.error_ratio.value
    working = f"1 / ({number(traces_per_s)} traces/s x 1e-4 x {keeps.error_ratio.value:.6g} of errors kept)"
    if per_s == 0:
        return unknown("s", source, working, "this choice keeps no trace, so no error is ever seen")
    later = decision_s if sampling.kind == "tail" else 0.0
    if later:
        working += f" + {number(later)} s until the decision"
    wait = Range(1 / per_s + later, -log(0.95) / per_s + later, -log(0.05) / per_s + later)
    return figure(wait, "s", Basis.COMPUTED, source, working)


def rate_halfwidth(sampling: Sampling, keeps: Kept, shape: TraceShape, traces_per_s: float) -> Figure:
    """95 % half-width of a 0.1 % error rate over 5 minutes, relative to the rate."""
    traces = traces_per_s * RATE_WINDOW_S
    errors = traces * RATE_ERROR_RATIO * keeps.error_ratio.value
    effect = number(sqrt(design_effect(shape)))
    source = (
        "normal interval of a rate of traces, rough below 5 kept errors; a rate of spans is "
        f"{effect} times as uncertain as its number of spans suggests (design effect of whole traces)"
    )
    working = f"1.96 x sqrt((1 - 0.001) / {number(errors)} kept errors in 5 min"
    if errors == 0:
        return unknown("ratio", source, f"{working})", "0 kept errors are expected: no rate to estimate")
    variance, more = (1 - RATE_ERROR_RATIO) / errors, ""
    if sampling.kind == "tail":
        source += "; only where errors count 1 and the rest 1/p: unweighted counts overstate the error rate"
        variance, more = _with_baseline(variance, sampling.configured_ratio, traces)
    if variance == inf:
        return unknown("ratio", source, f"{working})", "only errors and slow traces are kept: no base")
    return figure(Z95 * sqrt(variance), "ratio", Basis.COMPUTED, source, f"{working}{more})")


def _with_baseline(variance: float, p: float, traces: float) -> tuple[float, str]:
    if p == 0:
        return inf, ""
    return variance + (1 - p) / (p * traces), f" + (1 - {p:.4g}) / ({p:.4g} x {number(traces)} traces)"
