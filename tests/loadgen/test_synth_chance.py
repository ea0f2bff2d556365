"""What is drawn has the frequencies that the topology asks for, independently of each other.

The seed is fixed, so a test here gives the same answer every time; the level is strict enough that
a wrong distribution has no chance and a right one passed once and for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import exp, log
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from loadgen.synth import Program, SpanBatch, compile_topology, draw
from loadgen.synth.pools import alias_table
from loadgen.synth.streams import Stream, stream_key, threshold
from loadgen.topology import Topology

Draw = Callable[..., tuple[Program, SpanBatch]]
Make = Callable[..., Topology]
LEVEL = 1e-3  # a chi-square less probable than this is a wrong distribution


def check_frequencies(
    observed: Sequence[int] | NDArray[np.int64],
    expected: Sequence[float | np.floating[Any]] | NDArray[np.floating[Any]],
) -> None:
    """Counts against probabilities by Pearson's chi-square, cells of no probability left out."""
    counts, shares = np.asarray(observed), np.asarray(expected, np.float64)
    assert counts[shares == 0].sum() == 0
    counts, shares = counts[shares > 0], shares[shares > 0]
    wanted = shares / shares.sum() * counts.sum()
    assert wanted.min() >= 5, "too few draws for this table"
    assert len(counts) == 1 or stats.chisquare(counts, wanted).pvalue > LEVEL


def values_of(program: Program, batch: SpanBatch, key: str) -> NDArray[np.uint64]:
    """The numbers drawn for an attribute."""
    slots = [i for i, slot in enumerate(program.slots.slots) if slot.key == key]
    return batch.number[np.isin(batch.slot, slots)]


# --- calls -------------------------------------------------------------------------------------------------------

OPTIONAL = {"a": 0.5, "b": 0.1, "c": 0.9, "d": 0.3, "e": 0.02, "f": 0.7}


def test_optional_calls_are_independent_over_a_million_traces(make: Make) -> None:
    """Each of the 64 combinations of six optional calls is as frequent as the product of their probabilities."""
    calls = [{"call": f"s/{name}", "probability": p} for name, p in OPTIONAL.items()]
    program = compile_topology(make({"o": {"calls": calls}} | {name: {} for name in OPTIONAL}))
    observed = np.zeros(64, np.int64)
    for block in range(16):
        batch = draw(program, 20260131, "run", block, np.full(2**16, 10**18))
        bits = np.where(batch.operation > 0, 1 << (batch.operation - 1), 0)
        observed += np.bincount(np.bincount(batch.trace, weights=bits).astype(np.int64), minlength=64)
    assert observed.sum() == 2**20
    combinations = [reversed(bits) for bits in product((0, 1), repeat=6)]
    shares = [
        np.prod([p if bit else 1 - p for bit, p in zip(bits, OPTIONAL.values(), strict=True)]) for bits in combinations
    ]
    check_frequencies(observed, shares)


def test_calls_of_different_parents_are_independent(drawn: Draw) -> None:
    """What one branch does says nothing about another, though both are drawn of one stream."""
    optional = [{"call": "s/x", "probability": 0.4}]
    tree = {"o": {"calls": ["s/a", "s/b"]}, "a": {"calls": optional}, "b": {"calls": optional}, "x": {}}
    _, batch = drawn(tree, 60_000)
    under = np.bincount(batch.trace, weights=(batch.operation == 3) * (1 + (batch.operation[batch.parent] == 2)))
    check_frequencies(np.bincount(under.astype(np.int64), minlength=4), [0.36, 0.24, 0.24, 0.16])


def test_neighbouring_blocks_and_seeds_are_independent(make: Make) -> None:
    """Numbers that differ by one open streams that share nothing."""
    program = compile_topology(make({"o": {"calls": [{"call": "s/a", "probability": 0.5}]}, "a": {}}))
    streams = [(1, 0), (1, 1), (2, 0), (1, 2**40)]
    made = [draw(program, seed, "run", block, np.full(60_000, 10**18)).spans_per_trace() - 1 for seed, block in streams]
    for other in made[1:]:
        check_frequencies(np.bincount(made[0] + 2 * other, minlength=4), [0.25] * 4)


def test_times_are_uniform_between_least_and_most(drawn: Draw) -> None:
    """``times: [2, 5]`` makes two, three, four or five calls, each as often."""
    _, batch = drawn({"o": {"calls": [{"call": "s/a", "times": [2, 5]}]}, "a": {}}, 50_000)
    check_frequencies(np.bincount(batch.spans_per_trace() - 1, minlength=6), [0, 0, 1, 1, 1, 1])


def test_whether_and_how_often_are_independent(drawn: Draw) -> None:
    """One word decides both, by its two halves."""
    _, batch = drawn({"o": {"calls": [{"call": "s/a", "times": [1, 3], "probability": 0.3}]}, "a": {}}, 50_000)
    check_frequencies(np.bincount(batch.spans_per_trace() - 1, minlength=4), [0.7, 0.1, 0.1, 0.1])


def test_attempts_fail_independently(drawn: Draw) -> None:
    """With failures in half of the attempts, half of the calls need one, a quarter two, the rest all three."""
    tree = {"o": {"calls": [{"call": "s/a", "retries": 2}]}, "a": {"failures": [{"rate": 0.5, "type": "E"}]}}
    _, batch = drawn(tree, 40_000)
    check_frequencies(np.bincount(batch.spans_per_trace() - 1, minlength=4), [0, 0.5, 0.25, 0.25])
    assert stats.binomtest(int((batch.cause[batch.first_span[:-1]] >= 0).sum()), 40_000, 0.125).pvalue > LEVEL


def test_entries_have_their_weights(make: Make) -> None:
    """Where a trace begins is drawn by weight."""
    tree = make(
        {name: {} for name in "abc"},
        entries=[{"operation": f"s/{n}", "weight": w} for n, w in zip("abc", (1, 2.5, 6.5), strict=True)],
    )
    batch = draw(compile_topology(tree), 1, "run", 0, np.full(50_000, 10**18))
    check_frequencies(np.bincount(batch.operation), [0.1, 0.25, 0.65])


def test_failures_have_their_rates_and_say_which(drawn: Draw) -> None:
    """Failures exclude each other; what is left succeeds."""
    failures = [{"rate": 0.02, "type": "A"}, {"rate": 0.3, "type": "B"}, {"rate": 0.08, "type": "C"}]
    program, batch = drawn({"o": {"failures": failures, "calls": ["s/a"]}, "a": {}}, 100_000)
    roots = batch.form[batch.first_span[:-1]]
    said = [form.failure.type if form.failure else "" for form in program.forms]
    counts = [np.isin(roots, [i for i, text in enumerate(said) if text == name]).sum() for name in ("A", "B", "C", "")]
    check_frequencies(counts, [0.02, 0.3, 0.08, 0.6])


def test_failing_does_not_depend_on_lasting(drawn: Draw) -> None:
    """One word decides both, by its two halves: slow spans fail as often as fast ones."""
    _, batch = drawn(
        {"o": {"latency": {"p50": "1ms", "p95": "3ms"}, "failures": [{"rate": 0.2, "type": "E"}]}}, 100_000
    )
    slow = batch.duration_ns() > np.median(batch.duration_ns())
    check_frequencies(np.bincount(slow + 2 * (batch.cause >= 0), minlength=4), [0.4, 0.4, 0.1, 0.1])


# --- instances and variables -----------------------------------------------------------------------------------------


def two_services(instances: tuple[int, int], attributes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A calls B twice, and itself."""
    body: dict[str, Any] = {"latency": "1ms", "attributes": attributes or {}}
    a = {"o": body | {"calls": ["b/x", "a/y", "b/x"]}, "y": body}
    services = {
        "a": {"instances": instances[0], "operations": a},
        "b": {"instances": instances[1], "operations": {"x": body}},
    }
    return {"name": "t", "entries": [{"operation": "a/o"}], "services": services}


def test_one_instance_serves_a_trace(drawn: Draw) -> None:
    """All spans of a service in a trace are of one instance; instances share the traces evenly and independently."""
    _, batch = drawn(two_services((3, 4)), 60_000)
    resource = batch.resource.reshape(-1, 4)  # o, x, y, x
    assert (resource[:, 0] == resource[:, 2]).all()
    assert (resource[:, 1] == resource[:, 3]).all()
    pairs = resource[:, 0] * 4 + resource[:, 1] - 3
    check_frequencies(np.bincount(pairs, minlength=12), [1 / 12] * 12)


VARIABLES = {
    "hex": {"hex": 20},
    "zipf": {"zipf": {"cardinality": 50}},
    "few": {"integer": {"min": 5, "max": 9}},
    "many": {"integer": {"min": 70_000, "max": 900_000}},
    "text": {"text": {"cardinality": 9, "min": 3, "max": 30}},
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_one_value_in_a_trace(drawn: Draw, name: str) -> None:
    """Wherever a trace says it, in any service and beside any other attribute, it says the same."""
    attributes = {"own": {"hex": 9}, "shared": {"variable": name}, "other": {"variable": "hex"}}
    program, batch = drawn(two_services((1, 1), attributes) | {"variables": VARIABLES}, 3000)
    shared = values_of(program, batch, "shared").reshape(-1, 4)
    assert (shared == shared[:, :1]).all()
    assert len(np.unique(shared[:, 0])) > 3
    assert len(np.unique(values_of(program, batch, "own"))) == batch.spans


def test_a_variable_is_drawn_as_it_says(drawn: Draw) -> None:
    """A variable's value has the variable's distribution, not that of the attribute that shows it."""
    variables = {"v": {"choice": {"a": 1, "b": 3}}}
    program, batch = drawn(two_services((1, 1), {"x": {"variable": "v"}}) | {"variables": variables}, 40_000)
    check_frequencies(np.bincount(values_of(program, batch, "x")[::4].astype(np.int64)), [1, 3])


# --- values ----------------------------------------------------------------------------------------------------------

N = 200_000


def spread(drawn: Draw, rule: object, others: dict[str, object] | None = None) -> tuple[Program, NDArray[np.uint64]]:
    program, batch = drawn({"o": {"attributes": {"x": rule} | (others or {})}}, N)
    return program, values_of(program, batch, "x")


# What else a span draws must not matter: values from pools alone take a short cut.
BESIDE = [{}, {"y": {"hex": 5}}, {"y": {"integer": {"min": 3, "max": 10**6}}}]


@pytest.mark.parametrize("beside", BESIDE)
def test_choices_have_their_weights(drawn: Draw, beside: dict[str, object]) -> None:
    """Weights need not add up to anything."""
    weights = {"a": 60, "b": 22.5, "c": 0.5, "d": 17}
    program, numbers = spread(drawn, {"choice": weights}, beside)
    assert program.slots.slots[0].values == tuple(weights)
    check_frequencies(np.bincount(numbers.astype(np.int64)), list(weights.values()))


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.6])
def test_zipf_values_have_the_frequencies_of_their_rank(
    drawn: Draw, exponent: float, beside: dict[str, object]
) -> None:
    """The k-th value has weight k ** -exponent."""
    program, numbers = spread(drawn, {"zipf": {"cardinality": 300, "exponent": exponent, "pattern": "u{n}"}}, beside)
    assert program.slots.slots[0].values[:2] == ("u0", "u1")
    check_frequencies(np.bincount(numbers.astype(np.int64), minlength=300), np.arange(1, 301) ** -exponent)


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize(("least", "most"), [(0, 6), (7, 7), (100, 4195), (4, 260)])
def test_narrow_integers_are_uniform(drawn: Draw, least: int, most: int, beside: dict[str, object]) -> None:
    """A small range is a pool of its numbers, from the least to the most."""
    program, numbers = spread(drawn, {"integer": {"min": least, "max": most}}, beside)
    assert program.slots.slots[0].values == tuple(range(least, most + 1))
    check_frequencies(np.bincount(numbers.astype(np.int64)), [1] * (most - least + 1))


@pytest.mark.parametrize(("least", "most"), [(0, 4096), (70_000, 900_000), (0, 2**32 - 1), (2**32 - 5000, 2**32 - 1)])
def test_wide_integers_are_uniform(drawn: Draw, least: int, most: int) -> None:
    """A large range is drawn as digits, both ends included."""
    _, numbers = spread(drawn, {"integer": {"min": least, "max": most}}, {"y": {"choice": ["a", "b"]}})
    assert least <= numbers.min() <= numbers.max() <= most
    place = (numbers.astype(np.float64) - least) / (most - least + 1)
    check_frequencies(np.bincount((place * 100).astype(np.int64), minlength=100), np.diff(cell_edges(least, most)))


def cell_edges(least: int, most: int) -> NDArray[np.float64]:
    """How many whole numbers of a range lie below each hundredth of it."""
    size = most - least + 1
    return np.array([-(-i * size // 100) for i in range(101)], np.float64)


def test_both_ends_of_a_wide_range_are_reached(drawn: Draw) -> None:
    """The range just too wide for a pool reaches its first and its last number."""
    _, numbers = spread(drawn, {"integer": {"min": 1, "max": 4097}})
    assert (numbers.min(), numbers.max()) == (1, 4097)


UNIFORM = {"cardinality": 240, "pattern": "10.0.0.{n}"}
TEXTS = {"cardinality": 240, "min": 5, "max": 50}


@pytest.mark.parametrize("rule", [{"uniform": UNIFORM}, {"text": TEXTS}])
def test_uniform_values_and_texts_are_alike_frequent(drawn: Draw, rule: dict[str, object]) -> None:
    """Each of the values as often as any other."""
    _, numbers = spread(drawn, rule)
    check_frequencies(np.bincount(numbers.astype(np.int64)), [1] * 240)


def test_attributes_of_one_span_are_independent(drawn: Draw) -> None:
    """Two attributes of the same rule are drawn each for itself."""
    rule = {"choice": {"a": 1, "b": 2}}
    program, batch = drawn({"o": {"attributes": {"x": rule, "y": rule}}}, 60_000)
    pairs = values_of(program, batch, "x") + 2 * values_of(program, batch, "y")
    check_frequencies(np.bincount(pairs.astype(np.int64)), [1, 2, 2, 4])


def test_texts_have_the_lengths_and_letters_asked_for(make: Make) -> None:
    """Lengths between the two ends, letters of the alphabet, nothing padded; two attributes do not say the same."""
    rules = {
        name: {"text": {"cardinality": 400, "min": 3, "max": 60, "alphabet": name}}
        for name in ("words", "hex", "base64")
    }
    program = compile_topology(make({"o": {"attributes": rules | {"more": rules["words"]}}}))
    texts = {slot.key: [str(value) for value in slot.values] for slot in program.slots.slots}
    for values in texts.values():
        assert {min(map(len, values)), max(map(len, values))} == {3, 60}
    assert set("".join(texts["hex"])) == set("0123456789abcdef")
    assert len(set("".join(texts["base64"]))) == 64
    assert not any(text != text.strip() or "  " in text for text in texts["words"])
    assert set(texts["words"]) != set(texts["more"])


# --- latencies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p50", "p95"), [(1_000_000, 3_000_000), (250_000, 260_000), (5_000_000_000, 600_000_000_000)])
def test_latencies_are_log_normal_with_the_quantiles_asked_for(drawn: Draw, p50: int, p95: int) -> None:
    """Median and 95th percentile within half a percent of spread, and the whole shape by Kolmogorov and Smirnov."""
    _, batch = drawn({"o": {"latency": {"p50": f"{p50}ns", "p95": f"{p95}ns"}}}, N)
    sigma = log(p95 / p50) / stats.norm.ppf(0.95)
    durations_ns = batch.duration_ns()
    for q, wanted in ((0.5, p50), (0.95, p95)):
        tolerance = 4 * sigma * np.sqrt(q * (1 - q) / N) / stats.norm.pdf(stats.norm.ppf(q))  # of the logarithm
        assert abs(log(np.quantile(durations_ns, q) / wanted)) < tolerance
    assert stats.kstest(durations_ns, stats.lognorm(sigma, scale=p50).cdf).pvalue > LEVEL


def test_the_mean_of_a_latency_is_that_of_its_distribution(drawn: Draw) -> None:
    """Cutting the last 0.006 % of the tail costs less than half a percent of the mean."""
    _, batch = drawn({"o": {"latency": {"p50": "1ms", "p95": "4ms"}}}, N)
    sigma = log(4) / stats.norm.ppf(0.95)
    assert batch.duration_ns().mean() == pytest.approx(1e6 * exp(sigma**2 / 2), rel=0.01)


# --- the tables behind all this ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "weights", [[1.0], [1, 1, 1], [1e12, 1], [0.1] * 10, [3, 1, 4, 1, 5, 9, 2, 6], list(np.arange(1, 3000) ** -1.1)]
)
def test_alias_tables_say_the_weights_exactly(weights: list[float]) -> None:
    """What the columns give away and keep adds up to each weight, to a part in four thousand million."""
    accept, alias = alias_table(weights)
    n = len(weights)
    shares = np.bincount(np.arange(n), accept, n) + np.bincount(alias.astype(np.int64), 2.0**32 - accept, n)
    assert shares / (n * 2.0**32) == pytest.approx(np.array(weights) / sum(weights), abs=n * 2.0**-33)


@pytest.mark.parametrize(("probability", "below"), [(1.0, 2**32), (0.5, 2**31), (2**-33 + 2**-40, 1), (0.1, 429496730)])
def test_probabilities_become_whole_thresholds(probability: float, below: int) -> None:
    """A threshold is the nearest of four thousand million and one."""
    assert threshold(probability) == below


def test_streams_are_philox_words_keyed_by_purpose() -> None:
    """The words are those of a published generator, at a place that block and purpose name."""
    key = stream_key(7, "run", "ids")
    reference = np.random.Philox(key=key[0] + (key[1] << 64), counter=5 << 64)
    assert (Stream(key, 5).words(1000) == reference.random_raw(1000)).all()
    assert len({stream_key(7, *purpose) for purpose in [("a", "b"), ("ab",), ("b", "a"), ("a",), ()]}) == 5
