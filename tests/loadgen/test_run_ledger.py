"""The ledger's arithmetic, the verdict on it, and how late sends were."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.run import (
    BROKEN,
    COUNTED,
    HOLDS,
    NOT_VALID,
    OUTCOMES,
    WRONG_USE,
    Counts,
    asked,
    judge,
    ledger_lines,
    sent_ratio,
)
from loadgen.run.lateness import BOUNDS_US, OVER_US, bucket_us, quantile_us

NUMBER = st.integers(0, 10**12)


@st.composite
def ledgers(draw: st.DrawFn) -> Counts:
    """A ledger as honest counting makes it: every span is in one place."""
    waiting, in_flight = draw(NUMBER), draw(NUMBER)
    parts = {name: draw(NUMBER) for name in ("shed", "unfinished", *OUTCOMES)}
    sent = in_flight + sum(parts[name] for name in OUTCOMES)
    return Counts(offered=waiting + sent + parts["shed"] + parts["unfinished"], sent=sent, **parts)


# --- arithmetic ------------------------------------------------------------------------------------------------------


@given(ledgers())
def test_an_honest_ledger_balances(counts: Counts) -> None:
    """Both identities, with what is derived on their right-hand side."""
    assert counts.balances
    assert counts.offered == counts.waiting + counts.sent + counts.shed + counts.unfinished
    assert counts.sent == counts.in_flight + sum(getattr(counts, name) for name in OUTCOMES)


@given(ledgers(), ledgers())
def test_ledgers_add_up(one: Counts, other: Counts) -> None:
    """By state, derived ones included; in any order, and nothing is an empty ledger."""
    total = one + other
    assert total.as_dict() == {state: n + other.as_dict()[state] for state, n in one.as_dict().items()}
    assert (total, total + Counts()) == (other + one, total)


@given(ledgers())
def test_a_settled_ledger_leaves_nothing_open(counts: Counts) -> None:
    """What waited is unfinished, what was in flight unknown, and the totals are as before."""
    settled = counts.settled()
    assert (settled.waiting, settled.in_flight) == (0, 0)
    assert (settled.offered, settled.sent, settled.accepted) == (counts.offered, counts.sent, counts.accepted)
    assert settled.unfinished == counts.unfinished + counts.waiting
    assert settled.unknown == counts.unknown + counts.in_flight
    assert settled.settled() == settled


@given(st.builds(Counts, **{field.name: st.integers(0, 50) for field in fields(Counts)}))
def test_settling_hides_no_imbalance(counts: Counts) -> None:
    """Spans counted twice are still counted twice, and no state becomes negative to make up for them."""
    settled = counts.settled()
    assert settled.balances == counts.balances
    assert min(getattr(settled, name) for name in COUNTED) >= 0
    if not counts.balances:
        assert judge(settled).exit_code == NOT_VALID


def test_states_are_named() -> None:
    """A mapping of states becomes a ledger; a state that is not known is an error."""
    assert Counts.of({"offered": 5, "shed": 1}) == Counts(offered=5, shed=1)
    assert Counts.of({}) == Counts()
    assert tuple(field.name for field in fields(Counts)) == COUNTED
    with pytest.raises(TypeError, match="lost"):
        Counts.of({"lost": 1})


# --- verdict -------------------------------------------------------------------------------------------------------

ALL = Counts(offered=1000, sent=1000, accepted=1000)
ON_SCHEDULE = "holds: all 1,000 spans were sent on schedule and accepted"
BEHIND = "not valid for the asked rate: {} asked spans were sent, {} were shed"
LOST = "broken: of 1,000 sent spans {} refused, {} rejected, {} unknown"
NOTHING = "not valid: nothing was sent"
TWICE = "not valid: the ledger does not balance, spans were counted twice"


@pytest.mark.parametrize(
    ("counts", "silent", "code", "text"),
    [
        # everything arrived
        (ALL, [], HOLDS, ON_SCHEDULE),
        # what was still to end when the run stopped is no shortfall
        (replace(ALL, offered=1500, unfinished=500), [], HOLDS, ON_SCHEDULE),
        # half a percent may be shed, and is said
        (replace(ALL, offered=1005, shed=5), [], HOLDS, "holds: all 1,000 sent spans were accepted, 5 were shed"),
        # more than that is another rate than asked
        (replace(ALL, offered=1006, shed=6), [], NOT_VALID, BEHIND.format("99.4% of 1,006", 6)),
        (replace(ALL, offered=4000, shed=3000), [], NOT_VALID, BEHIND.format("25.0% of 4,000", "3,000")),
        # losses of each kind
        (replace(ALL, accepted=999, refused=1), [], BROKEN, LOST.format(1, 0, 0)),
        (replace(ALL, accepted=998, rejected=2), [], BROKEN, LOST.format(0, 2, 0)),
        (replace(ALL, accepted=0, unknown=1000), [], BROKEN, LOST.format(0, 0, "1,000")),
        # short of the rate and losses: the measurement is not valid, so nothing else is said
        (
            replace(ALL, offered=2000, shed=1000, accepted=0, refused=1000),
            [],
            NOT_VALID,
            BEHIND.format("50.0% of 2,000", "1,000"),
        ),
        # nothing was sent, or asked
        (Counts(), [], NOT_VALID, NOTHING),
        (Counts(offered=5, shed=5), [], NOT_VALID, NOTHING),
        (Counts(offered=5, unfinished=5), [], NOT_VALID, NOTHING),
        # a worker that gave no last word may have sent what nobody knows of
        (ALL, ["w1", "w2"], NOT_VALID, "not valid: no last word from worker w1, w2"),
        (Counts(), ["w1"], NOT_VALID, "not valid: no last word from worker w1"),
        # more answers than requests
        (replace(ALL, accepted=1001), [], NOT_VALID, TWICE),
        (replace(ALL, offered=999), [], NOT_VALID, TWICE),
    ],
)
def test_the_verdict_on_a_run(counts: Counts, silent: list[str], code: int, text: str) -> None:
    """One sentence and an exit code, the worst first."""
    assert judge(counts, silent) == (code, text)


def test_exit_codes_are_the_documented_ones() -> None:
    """0 holds, 1 a stated limit is broken, 2 wrong use, 3 the measurement is not valid."""
    assert (HOLDS, BROKEN, WRONG_USE, NOT_VALID) == (0, 1, 2, 3)


def test_shares_of_nothing_are_nothing() -> None:
    """A ratio where nothing was asked is 0, not an error."""
    assert (asked(Counts()), sent_ratio(Counts())) == (0, 0.0)
    assert sent_ratio(Counts(offered=10, unfinished=2, sent=4)) == 0.5


def test_the_ledger_is_printed_line_by_line() -> None:
    """Every state once, spans beside traces, and whether it balances."""
    spans = Counts(offered=2_000_000, shed=1, sent=1_999_000, accepted=1_998_000)
    lines = ledger_lines(spans, Counts(offered=5, sent=6))
    assert lines == [
        "Ledger",
        "                       spans       traces",
        "  offered          2,000,000            5",
        "  waiting                999           -1",
        "  shed                     1            0",
        "  unfinished               0            0",
        "  sent             1,999,000            6",
        "  in flight            1,000            6",
        "  accepted         1,998,000            0",
        "  refused                  0            0",
        "  rejected                 0            0",
        "  unknown                  0            0",
        "  balances: NO",
    ]
    assert ledger_lines(spans, Counts())[-1] == "  balances: yes"


# --- lateness ------------------------------------------------------------------------------------------------------


def test_buckets_are_a_quarter_of_a_doubling_apart() -> None:
    """From 0.1 ms to over a minute and a half, each at most 19 % wider than the one before; then one for the rest."""
    bounds = BOUNDS_US[:-1]
    assert (bounds[0], BOUNDS_US[-1]) == (100, OVER_US)
    assert bounds[-1] > 80_000_000
    assert all(1.18 < over / under < 1.20 for under, over in itertools.pairwise(bounds))


@given(st.floats(0, 1e9) | st.sampled_from([float(bound) for bound in BOUNDS_US[:-1]]))
def test_a_lateness_falls_in_the_bucket_that_ends_above_it(lateness_us: float) -> None:
    """The bound is the least that is not below it."""
    bound = bucket_us(lateness_us)
    assert bound >= lateness_us
    assert all(other < lateness_us for other in BOUNDS_US if other < bound)


@given(st.lists(st.floats(0, 2e8), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_is_known_to_its_bucket(lateness_us: list[float], q: float) -> None:
    """The bucket of the value at that place of the sorted list."""
    counts: dict[int, int] = {}
    for each in lateness_us:
        counts[bucket_us(each)] = counts.get(bucket_us(each), 0) + 1
    ordered = sorted(lateness_us)
    place = next(i for i in range(len(ordered)) if i + 1 >= q * len(ordered))
    assert quantile_us(counts, q) == bucket_us(ordered[place])


def test_without_a_send_there_is_no_lateness() -> None:
    """No count, and counts of zero, have no quantile."""
    assert quantile_us({}, 0.5) is None
    assert quantile_us({100: 0, 200: 0}, 0.5) is None
    assert quantile_us({100: 0, 200: 3}, 0.0) in (100, 200)
