"""Sampling: exact kept ratios, and what each choice hides."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scipy import stats

from loadgen.errors import InputError
from planner.sampling import Sampling, error_wait, kept, parse_sampling, rate_halfwidth, wilson
from planner.shape import TraceShape

HASH_SEED = [(100, 16384), (75, 12288), (50, 8192), (33.333, 5461), (25, 4096), (10, 1638), (5, 819), (1, 163),
             (0.5, 81), (0.1, 16), (0.05, 8), (0.01, 1), (0.006, 0), (0, 0)]  # fmt: skip


@pytest.mark.parametrize(("percent", "buckets"), HASH_SEED)
def test_hash_seed_keeps_the_effective_ratio(shape: TraceShape, percent: float, buckets: int) -> None:
    """A head sampler keeps whole buckets of 16384, always rounded down: 10 % is 9.99756 %."""
    keeps = kept(Sampling("head", percent / 100), shape)

    assert (buckets / 16384,) * 3 == tuple(keeps.ratio)


def test_proportional_mode_keeps_its_own_ratio(shape: TraceShape) -> None:
    """Four hex digits of threshold make 10 % 10.0006 %."""
    assert pytest.approx(0.100006, abs=1e-6) == kept(parse_sampling("proportional:10%"), shape).ratio.value


def test_tail_keeps_errors_slow_traces_and_a_share_of_the_rest(shape: TraceShape) -> None:
    """P = 1 - (1 - 0.01) x (1 - 0.05) = 5.95 %, with a binomial interval, and every error."""
    keeps = kept(Sampling("tail", 0.05), shape)

    assert pytest.approx(0.0595) == keeps.ratio.value
    assert keeps.ratio.low < keeps.ratio.value < keeps.ratio.high
    assert tuple(keeps.error_ratio) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("ratio", [0.0, 0.001, 0.3, 1.0])
def test_tail_with_share_0_keeps_only_errors_and_with_share_1_all(
    shape_of: Callable[..., TraceShape], ratio: float
) -> None:
    """Limiting cases of the share of the rest."""
    shape = shape_of(error_traces_ratio=ratio)

    assert pytest.approx(ratio) == kept(Sampling("tail", 0.0), shape).ratio.value
    assert pytest.approx(1.0) == kept(Sampling("tail", 1.0), shape).ratio.value


@pytest.mark.parametrize(("successes", "trials"), [(0, 2000), (18, 2000), (1000, 2000), (2000, 2000)])
def test_interval_is_wilsons(successes: int, trials: int) -> None:
    """The binomial interval agrees with scipy's Wilson interval and encloses the ratio."""
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")

    found = wilson(successes / trials, trials)

    assert pytest.approx((expected.low, expected.high), abs=1e-9) == (found.low, found.high)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10%", Sampling("head", 0.1)),
        ("10", Sampling("head", 0.1)),
        ("head:2.5%", Sampling("head", 0.025)),
        ("hash_seed:1 %", Sampling("head", 0.01)),
        ("equalizing:25%", Sampling("head", 0.25, "equalizing")),
        ("tail", Sampling("tail", 0.05)),
        ("tail:1%", Sampling("tail", 0.01)),
        ("tail:1%:2.5s", Sampling("tail", 0.01, threshold_s=2.5)),
    ],
)
def test_accepted_choices(text: str, expected: Sampling) -> None:
    """A choice is a percentage with a mode before it, or tail with a share and a threshold."""
    assert expected == parse_sampling(text)


@pytest.mark.parametrize(
    "text", ["", "x", "101%", "-1%", "tail:200%", "10%:2s", "head", "head:", "proportional", "1e1%"]
)
def test_refused_choices(text: str) -> None:
    """Anything else is refused with the place and the accepted forms."""
    with pytest.raises(InputError, match="--sampling: got"):
        parse_sampling(text)


@pytest.mark.parametrize(("percent", "mean_s"), [(100, 10), (50, 20), (10, 100), (1, 1000)])
def test_mean_wait_for_a_rare_error(shape: TraceShape, percent: float, mean_s: float) -> None:
    """At 1000 traces/s there is a 1-in-10,000 error each 10 s; head sampling multiplies the wait by 1/p."""
    sampling = Sampling("head", percent / 100)

    wait = error_wait(sampling, kept(sampling, shape), 1000, 11)

    assert pytest.approx(mean_s, rel=0.01) == wait.value
    assert pytest.approx(stats.expon(scale=wait.value).ppf([0.05, 0.95])) == [wait.low, wait.high]


def test_tail_sampling_waits_for_the_error_and_the_decision(shape: TraceShape) -> None:
    """Every error is kept: 10 s until there is one, 11 s until it is decided."""
    sampling = Sampling("tail", 0.05)

    assert pytest.approx(21) == error_wait(sampling, kept(sampling, shape), 1000, 11).value


def test_nothing_kept_is_never_seen_and_says_so(shape: TraceShape) -> None:
    """0.005 % in hash_seed mode keeps nothing: no wait, no rate, and a reason for both."""
    sampling = Sampling("head", 0.00005)
    keeps = kept(sampling, shape)

    figures = error_wait(sampling, keeps, 1000, 11), rate_halfwidth(sampling, keeps, shape, 1000)

    assert [(f.value, f.low, f.high) for f in figures] == [(None, None, None)] * 2
    assert all("no trace" in f.reason or "0 kept errors" in f.reason for f in figures)


@pytest.mark.parametrize(("percent", "expected"), [(1, 1.13), (5, 0.51), (10, 0.36)])
def test_halfwidth_of_an_error_rate(shape: TraceShape, percent: float, expected: float) -> None:
    """0.1 % errors over 5 minutes at 1000 traces/s: 3, 15 and 30 kept errors, +-113, 51 and 36 %."""
    sampling = Sampling("head", percent / 100)

    assert pytest.approx(expected, abs=0.01) == rate_halfwidth(sampling, kept(sampling, shape), shape, 1000).value


def test_tail_sampling_sees_rates_better_than_its_share(shape: TraceShape) -> None:
    """All 300 errors are kept; the rest only has to be counted: +-11.4 %, if errors are weighted."""
    sampling = Sampling("tail", 0.05)

    found = rate_halfwidth(sampling, kept(sampling, shape), shape, 1000)

    assert pytest.approx(1.96 * (0.999 / 300 + 0.95 / (0.05 * 300_000)) ** 0.5, rel=1e-3) == found.value
    assert "unweighted counts overstate" in found.source


def test_tail_without_a_share_of_the_rest_knows_no_rate(shape: TraceShape) -> None:
    """With errors and slow traces only there is nothing to relate them to."""
    sampling = Sampling("tail", 0.0)

    found = rate_halfwidth(sampling, kept(sampling, shape), shape, 1000)

    assert (found.value, bool(found.reason)) == (None, True)


def test_keeping_more_never_hides_more(shape: TraceShape) -> None:
    """Wait and half-width fall as the head ratio grows."""
    ratios = [0.001, 0.01, 0.05, 0.1, 0.5, 1.0]
    samplings = [Sampling("head", ratio) for ratio in ratios]

    waits = [error_wait(s, kept(s, shape), 1000, 11).value for s in samplings]
    widths = [rate_halfwidth(s, kept(s, shape), shape, 1000).value for s in samplings]

    assert sorted(waits, reverse=True) == waits
    assert sorted(widths, reverse=True) == widths
