"""Schedules: when each trace is to arrive, computed and never accumulated."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loadgen.errors import InputError
from loadgen.pace import EvenPace, parse_rate

T = 1_800_000_000 * 10**9  # a schedule's start
S = 10**9
CENTURY_S = 3e9

RATES = st.floats(1e-3, 1e7) | st.integers(1, 10**7).map(float) | st.sampled_from([0.1, 1 / 3, 999.999999, 1e7])
SHARES = st.integers(1, 64).flatmap(lambda shares: st.tuples(st.integers(0, shares - 1), st.just(shares)))


def exact_ns(rate: float, n: int) -> int:
    """When arrival ``n`` of all is due, in exact arithmetic: the rate is kept to a millionth of an arrival a second."""
    per_megasecond = max(1, round(rate * 10**6))
    return T + int(Fraction(n * 10**15, per_megasecond))


# --- a table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pace", "first", "expected_ns"),
    [
        # 1/s: on the second, from the start itself
        (EvenPace(T, 1.0), 0, [0, S, 2 * S]),
        # 4/s: every quarter of a second
        (EvenPace(T, 4.0), 2, [S // 2, 3 * S // 4, S]),
        # 3/s: thirds are not whole; each is cut by itself, so the fourth is on the second again
        (EvenPace(T, 3.0), 0, [0, 333_333_333, 666_666_666, S]),
        # 1000/s: whole milliseconds, none of them a nanosecond early
        (EvenPace(T, 1000.0), 1, [1_000_000, 2_000_000, 3_000_000]),
        # one every ten seconds
        (EvenPace(T, 0.1), 0, [0, 10 * S, 20 * S]),
        # the second of three workers takes arrivals 1, 4, 7 of all
        (EvenPace(T, 1.0, 1, 3), 0, [S, 4 * S, 7 * S]),
        # an hour of 10 million a second in, still to the nanosecond
        (EvenPace(T, 1e7), 36_000_000_000, [3600 * S, 3600 * S + 100, 3600 * S + 200]),
        # a rate of which only a millionth is left is not zero
        (EvenPace(T, 1e-9), 0, [0, 10**15, 2 * 10**15]),
    ],
)
def test_arrivals_are_where_they_belong(pace: EvenPace, first: int, expected_ns: list[int]) -> None:
    """The n-th arrival is at start + n / rate, rounded down to a nanosecond."""
    assert (pace.arrivals(first, len(expected_ns)) - T).tolist() == expected_ns


@pytest.mark.parametrize(
    ("pace", "after_ns", "due"),
    [
        # nothing lies before the start
        (EvenPace(T, 1.0), -S, 0),
        (EvenPace(T, 1.0), 0, 0),
        # the first arrival lies before the moment after the start
        (EvenPace(T, 1.0), 1, 1),
        # an arrival does not lie before its own time
        (EvenPace(T, 1000.0), 3_000_000, 3),
        (EvenPace(T, 1000.0), 3_000_001, 4),
        # of two workers, the second is due half a period later
        (EvenPace(T, 2.0, 1, 2), S // 2, 0),
        (EvenPace(T, 2.0, 1, 2), S // 2 + 1, 1),
        # a day of a million a second
        (EvenPace(T, 1e6), 86_400 * S, 86_400_000_000),
    ],
)
def test_what_is_due_by_a_time(pace: EvenPace, after_ns: int, due: int) -> None:
    """How many arrivals lie before a time."""
    assert pace.due_by(T + after_ns) == due


# --- properties ----------------------------------------------------------------------------------------------------


@given(RATES, SHARES, st.integers(0, 10**9), st.integers(1, 300))
def test_each_arrival_is_computed_by_its_number_alone(
    rate: float, share: tuple[int, int], first: int, count: int
) -> None:
    """After a billion arrivals, or a century, there is no drift, not of a nanosecond."""
    assume((first + count) * share[1] / rate < CENTURY_S)
    arrivals_ns = EvenPace(T, rate, *share).arrivals(first, count)
    assert arrivals_ns.tolist() == [exact_ns(rate, n * share[1] + share[0]) for n in range(first, first + count)]


@given(RATES, SHARES, st.integers(0, 10**9), st.integers(2, 300))
def test_arrivals_never_go_back(rate: float, share: tuple[int, int], first: int, count: int) -> None:
    """A schedule is in order."""
    assume((first + count) * share[1] / rate < CENTURY_S)
    assert (np.diff(EvenPace(T, rate, *share).arrivals(first, count)) >= 0).all()


@given(RATES, st.integers(1, 20), st.integers(1, 40))
def test_shares_are_dealt_from_the_whole(rate: float, shares: int, each: int) -> None:
    """The arrivals of k workers together are those of one, none twice and none missing."""
    whole = EvenPace(T, rate).arrivals(0, shares * each)
    dealt = [EvenPace(T, rate, share, shares).arrivals(0, each) for share in range(shares)]
    assert np.stack(dealt, axis=1).ravel().tolist() == whole.tolist()


@given(RATES, SHARES, st.integers(0, 10**8), st.integers(-2, 2))
def test_due_by_counts_the_arrivals(rate: float, share: tuple[int, int], n: int, off_ns: int) -> None:
    """Around any arrival, what is due is exactly what lies before."""
    assume((n + 2) * share[1] / rate < CENTURY_S)
    pace = EvenPace(T, rate, *share)
    time_ns = int(pace.arrivals(n, 1)[0]) + off_ns
    due = pace.due_by(time_ns)
    around = pace.arrivals(max(due - 1, 0), 2)
    assert due == 0 or int(around[0]) < time_ns
    assert int(around[-1] if due else around[0]) >= time_ns


@given(RATES, st.integers(1, 20), st.integers(0, 10**12))
def test_what_is_due_is_shared_without_rest(rate: float, shares: int, after_ns: int) -> None:
    """At any time, what the workers are to have sent adds up to what one would have."""
    parts = [EvenPace(T, rate, share, shares).due_by(T + after_ns) for share in range(shares)]
    assert sum(parts) == EvenPace(T, rate).due_by(T + after_ns)


def test_no_arrivals_are_an_empty_array() -> None:
    """Asking for none is no error."""
    assert EvenPace(T, 5.0).arrivals(3, 0).tolist() == []


# --- asked rates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "per_s", "unit"),
    [
        ("200/s", 200, "traces"),
        ("1000rps", 1000, "traces"),
        ("1000 rps", 1000, "traces"),
        ("200 traces/s", 200, "traces"),
        ("200traces / s", 200, "traces"),
        ("5000spans/s", 5000, "spans"),
        ("20k spans/s", 20_000, "spans"),
        ("0.5/s", 0.5, "traces"),
        ("1.5M spans/s", 1_500_000, "spans"),
        ("10M/s", 10_000_000, "traces"),
    ],
)
def test_rates_are_read_as_people_write_them(text: str, per_s: float, unit: str) -> None:
    """A number and a unit; traces where nothing else is said."""
    rate = parse_rate(text)
    assert (rate.per_s, rate.unit, rate.text) == (per_s, unit, text)


NO_RATES = ["", "200", "/s", "0/s", "-5/s", "200/m", "200/sec", "1e3/s", "nan/s", "inf/s", "10.1M/s", "5G/s", "5 x/s"]


@pytest.mark.parametrize("text", [*NO_RATES, "9" * 400 + "/s", "200/s 300/s"])
def test_other_rates_are_refused(text: str) -> None:
    """What is no rate, or none that anything could send, is named with its place."""
    with pytest.raises(InputError) as caught:
        parse_rate(text, "--rate")
    assert str(caught.value).startswith(f"--rate: got {text!r}, must be a rate such as 200/s")


def test_rates_convert_by_the_mean_trace() -> None:
    """Spans and traces a second are one rate, seen from two sides."""
    rate = parse_rate("4600 spans/s")
    assert (rate.traces_per_s(46.0), rate.spans_per_s(46.0)) == (100.0, 4600.0)
    assert parse_rate("100/s").spans_per_s(46.0) == 4600.0
