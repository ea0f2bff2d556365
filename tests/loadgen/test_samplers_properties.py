"""Properties of the samplers: arrays decide as a scalar reference does, and higher percentages keep more."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.samplers import (
    MODES,
    AlwaysSample,
    HeadSampler,
    Pipeline,
    Probabilistic,
    Stage,
    TailSampler,
    Traces,
    no_traces,
)

ID_LISTS = st.lists(st.binary(min_size=16, max_size=16), max_size=20)
PERCENTAGES = st.floats(2.0**-30, 150, width=32)


def ids_of(*hexes: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(hexes)), np.uint8).reshape(-1, 16)


def traces_of(ids: np.ndarray, duration_ns: list[int] | None = None, errors: list[bool] | None = None) -> Traces:
    n = len(ids)
    return Traces(
        ids,
        np.array(duration_ns if duration_ns is not None else [0] * n, np.int64),
        np.array(errors if errors is not None else [False] * n, np.bool_),
        np.ones(n, np.int64),
    )


# --- an independent scalar reference, written from the published algorithm ---


def reference_fnv(data: bytes, bits: int) -> int:
    state, prime = {32: (2166136261, 16777619), 64: (14695981039346656037, 1099511628211)}[bits]
    for byte in data:
        state = (state ^ byte) * prime % 2**bits
    return state


def reference_keep(trace_id: bytes, mode: str, percent: float, seed: int) -> bool:
    share = np.float32(min(percent, 100))
    if not any(trace_id):
        return False
    if mode == "hash_seed":
        return reference_fnv(seed.to_bytes(4, "little") + trace_id, 32) % 16384 < int(share * np.float32(163.84))
    randomness = int.from_bytes(trace_id[9:], "big")
    return reference_threshold(float(share) / 100, 4) <= randomness


def reference_threshold(p: float, precision: int) -> int:
    if p == 1:
        return 0
    digits = max(precision + (-math.frexp(p)[1]) // 4, precision + max(0, -math.frexp(1 - p)[1]) // 4)
    unit = 16 ** (14 - min(14, digits))
    exact = 2**56 - math.floor(Fraction(p) * 2**56 + Fraction(1, 2))
    return math.floor(Fraction(exact, unit) + Fraction(1, 2)) * unit


# --- properties ---


@given(ID_LISTS, st.sampled_from(MODES), PERCENTAGES, st.integers(0, 2**32 - 1))
def test_arrays_equal_the_scalar_reference(trace_ids: list[bytes], mode: str, percent: float, seed: int) -> None:
    """Deciding an array is deciding each of its ids alone, for every mode, by either way in."""
    ids = ids_of(*(trace_id.hex() for trace_id in trace_ids))
    sampler = HeadSampler(percent, mode, hash_seed=seed)
    expected = [reference_keep(trace_id, mode, percent, seed) for trace_id in trace_ids]

    assert expected == sampler.keep(ids).tolist()
    assert expected == sampler.decide(ids).keep.tolist()


@given(ID_LISTS, st.floats(0, 120), st.text(max_size=8))
def test_tail_probability_equals_the_scalar_reference(trace_ids: list[bytes], percent: float, salt: str) -> None:
    """The array hash equals the scalar one, and the threshold the exact product to 64 significant bits."""
    ids = ids_of(*(trace_id.hex() for trace_id in trace_ids))
    policy = Probabilistic("p", percent, salt)
    exact = Fraction(percent / 100) * (2**64 - 1)

    assert abs(policy.threshold - min(exact, 2**64 - 1)) <= 1
    hashes = [reference_fnv(salt.encode() + trace_id, 64) for trace_id in trace_ids]
    assert [value <= policy.threshold for value in hashes] == policy.keep(traces_of(ids)).tolist()


@given(ID_LISTS, st.sampled_from(MODES), st.tuples(PERCENTAGES, PERCENTAGES))
def test_a_higher_percentage_keeps_more(trace_ids: list[bytes], mode: str, pair: tuple[float, float]) -> None:
    """Whatever a percentage keeps, a higher one keeps too."""
    ids = ids_of(*(trace_id.hex() for trace_id in trace_ids))
    low, high = (HeadSampler(percent, mode) for percent in sorted(pair))

    assert not (low.keep(ids) & ~high.keep(ids)).any()
    assert low.effective_ratio <= high.effective_ratio


@given(PERCENTAGES, st.integers(1, 14))
@settings(max_examples=300)
def test_thresholds_equal_the_scalar_reference(percent: float, precision: int) -> None:
    """Thresholds are exact halves rounded up at the chosen precision, for any percentage."""
    sampler = HeadSampler(percent, "proportional", sampling_precision=precision)

    assert reference_threshold(float(sampler.percent) / 100, precision) == sampler.threshold


@pytest.mark.parametrize("mode", MODES)
def test_observed_share_is_the_effective_ratio(mode: str) -> None:
    """Over many random ids the kept share lies within 5 standard errors of the exact ratio."""
    ids = np.random.default_rng(3).integers(0, 256, (200_000, 16), dtype=np.uint8)
    sampler = HeadSampler(10, mode)
    error = math.sqrt(sampler.effective_ratio * (1 - sampler.effective_ratio) / len(ids))

    assert abs(sampler.keep(ids).mean() - sampler.effective_ratio) < 5 * error


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fail_closed", [True, False])
def test_ids_of_zeros(mode: str, *, fail_closed: bool) -> None:
    """A trace without an id cannot be judged: fail_closed decides, unless nothing is kept at all."""
    ids = ids_of("00" * 16)

    assert [not fail_closed] == HeadSampler(10, mode, fail_closed=fail_closed).keep(ids).tolist()
    assert HeadSampler(0, mode, fail_closed=fail_closed).keep(ids).tolist() == [False]


def test_nothing_to_decide() -> None:
    """Empty arrays give empty answers everywhere."""
    nothing = no_traces()
    head, tail = HeadSampler(10, "proportional"), TailSampler((Probabilistic("p", 5), AlwaysSample("a")))

    assert len(Pipeline(stages=(Stage("h", head), Stage("t", tail))).keep(nothing)) == 0
    assert [len(HeadSampler(10, mode).keep(nothing.ids)) for mode in MODES] == [0, 0, 0]
