"""The Collector's ``probabilistic_sampler``, decided for whole arrays of traces at once.

Bit-exact with contrib v0.161.0, processor/probabilisticsamplerprocessor. ``hash_seed`` compares
14 bits of a hash of the id with a rate in 1/16384ths; ``proportional`` and ``equalizing`` compare
56 bits of randomness with a threshold and respect sampling done before (W3C tracestate).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadgen.errors import InputError
from loadgen.samplers.hashing import fnv1a_32
from loadgen.samplers.threshold import (
    ALWAYS,
    DIGITS,
    NEVER,
    ONE,
    randomness_of,
    ratio_of,
    threshold_hex,
    threshold_of,
)
from loadgen.samplers.traces import Bools, Ids, Words, are_zero
from loadgen.samplers.tracestate import ABSENT, TraceStates, no_tracestates

MODES = ("hash_seed", "proportional", "equalizing")
_BUCKETS = 16384
_BUCKET_MASK = np.uint32(_BUCKETS - 1)


class Decided(NamedTuple):
    """Which traces pass, bool[n], and the state they leave with, valid where they pass and it was legible."""

    keep: Bools
    states: TraceStates


@dataclass(frozen=True, slots=True)
class HeadSampler:
    """One probabilistic_sampler.

    Args:
        sampling_percentage: Percent to keep, used as a float32; 100 and more keep all, 0 keeps none.
        mode: One of ``MODES``.
        hash_seed: Seed of the hash, 0-4294967295; only ``hash_seed`` mode uses it.
        sampling_precision: Hex digits of the threshold in the other modes, 1-14; 0 means 14.
        fail_closed: Whether a trace that cannot be judged is dropped: no id, a malformed
            tracestate, one that contradicts itself, or, in hash_seed mode, any sampling state.

    Raises:
        InputError: A value outside its range.
    """

    sampling_percentage: float
    mode: str = "hash_seed"
    hash_seed: int = 0
    sampling_precision: int = 4
    fail_closed: bool = True

    def __post_init__(self) -> None:
        percent = float(np.float32(self.sampling_percentage))
        if not math.isfinite(percent) or percent < 0 or 0 < percent / 100 * ONE < 1:
            raise InputError("sampling_percentage", self.sampling_percentage, "must be 0, or from 2^-56 of all up [%]")
        if self.mode not in MODES:
            raise InputError("mode", self.mode, f"must be one of {', '.join(MODES)}")
        if not 0 <= self.hash_seed < 2**32:
            raise InputError("hash_seed", self.hash_seed, "must be 0-4294967295")
        if not 0 <= self.sampling_precision <= DIGITS:
            raise InputError("sampling_precision", self.sampling_precision, "must be 1-14 hex digits")

    @property
    def percent(self) -> np.float32:
        """The percentage as the Collector holds it: float32, at most 100."""
        return min(np.float32(self.sampling_percentage), np.float32(100))

    @property
    def configured_ratio(self) -> float:
        """The share asked for [0-1]."""
        return float(self.percent) / 100

    @property
    def buckets(self) -> int:
        """The hash buckets of 16384 that hash_seed mode keeps: a float32 product, then cut."""
        return int(self.percent * np.float32(163.84))

    @property
    def threshold(self) -> int:
        """The threshold for traces without earlier sampling, 0 (all) to 2^56 (none)."""
        if self.mode == "hash_seed":
            return (_BUCKETS - self.buckets) << 42
        return threshold_of(self.configured_ratio, self.sampling_precision) if self.percent else NEVER

    @property
    def threshold_hex(self) -> str:
        """The ``th`` that kept spans leave with; empty if none are kept."""
        return threshold_hex(self.threshold)

    @property
    def effective_ratio(self) -> float:
        """The share of uniformly random ids kept, e.g. 1638/16384 for 10 % in hash_seed mode [0-1]."""
        return ratio_of(self.threshold)

    def keep(self, ids: Ids) -> Bools:
        """Which of n traces without earlier sampling pass.

        Args:
            ids: Trace ids, uint8[n, 16].
        """
        if self.threshold == NEVER:
            return np.zeros(len(ids), np.bool_)
        if self.mode == "hash_seed":
            kept = (fnv1a_32(self._seed_bytes, ids) & _BUCKET_MASK) < np.uint32(self.buckets)
        else:
            kept = randomness_of(ids) >= np.uint64(self.threshold)
        return np.where(are_zero(ids), not self.fail_closed, kept)

    def needed_ratio(self, ids: Ids) -> npt.NDArray[np.float64]:
        """The smallest effective ratio at which this mode and seed keep each of n ids, float64[n] [0-1]."""
        if self.mode == "hash_seed":
            return ((fnv1a_32(self._seed_bytes, ids) & _BUCKET_MASK) + np.uint32(1)) / _BUCKETS
        return (np.uint64(ONE) - randomness_of(ids)) / float(ONE)

    def decide(self, ids: Ids, states: TraceStates | None = None) -> Decided:
        """Which of n traces pass, given the sampling state they arrive with, and the state they leave with.

        Args:
            ids: Trace ids, uint8[n, 16].
            states: Their sampling state on arrival; None if they carry none.
        """
        arrived = no_tracestates(len(ids)) if states is None else states
        if self.threshold == NEVER:
            return Decided(arrived.malformed & (not self.fail_closed), arrived)
        return self._by_hash(ids, arrived) if self.mode == "hash_seed" else self._by_randomness(ids, arrived)

    def describe(self) -> str:
        """Its settings and what it keeps, in one line."""
        asked, kept = self.configured_ratio * 100, self.effective_ratio * 100
        seed = f" seed {self.hash_seed}" if self.mode == "hash_seed" else ""
        return f"{self.mode}{seed}, {asked:g} % asked, {kept:.6g} % kept"

    @property
    def _seed_bytes(self) -> bytes:
        return self.hash_seed.to_bytes(4, "little")

    def _by_hash(self, ids: Ids, arrived: TraceStates) -> Decided:
        unsampled = (arrived.th == ABSENT) & (arrived.rv == ABSENT) & ~arrived.malformed
        zero = are_zero(ids)
        # An id of zeros gets the greatest randomness, as the Collector's "missing" does.
        own = np.where(zero, np.uint64(ONE - 1), _randomness_of_hash(fnv1a_32(self._seed_bytes, ids)))
        keep = np.where(unsampled & ~zero, own >= np.uint64(self.threshold), not self.fail_closed)
        written = np.where(zero, np.uint64(ALWAYS), np.uint64(self.threshold))
        th = np.where(unsampled, written, arrived.th)
        return Decided(keep, TraceStates(th, np.where(unsampled, own, arrived.rv), arrived.malformed))

    def _by_randomness(self, ids: Ids, arrived: TraceStates) -> Decided:
        explicit, came = arrived.rv != ABSENT, arrived.th != ABSENT
        randomness = np.where(explicit, arrived.rv, randomness_of(ids))
        missing = (~explicit & are_zero(ids)) | arrived.malformed
        contradicts = ~missing & came & (arrived.th > randomness)
        thresholds = self._thresholds(arrived.th)
        keep = np.where(missing | contradicts, not self.fail_closed, thresholds <= randomness)
        # A threshold that came is only ever raised; what fails open counts as kept with certainty.
        floor = np.where(came & ~contradicts, arrived.th, np.uint64(ALWAYS))
        th = np.maximum(floor, np.where(missing | contradicts, np.uint64(ALWAYS), thresholds))
        return Decided(keep, TraceStates(np.where(arrived.malformed, ABSENT, th), arrived.rv, arrived.malformed))

    def _thresholds(self, arrived: Words) -> Words:
        if self.mode == "equalizing":
            own = np.uint64(self.threshold)
            raised: Words = np.where(arrived == ABSENT, own, np.maximum(arrived, own))
            return raised
        # Few different thresholds arrive at one collector, so each is worked out once, exactly.
        different, which = np.unique(arrived, return_inverse=True)
        scaled = np.array([self._scaled(int(th)) for th in different], np.uint64)
        spread: Words = np.take(scaled, which)
        return spread

    def _scaled(self, arrived: int) -> int:
        incoming = 1.0 if arrived == ABSENT else ratio_of(arrived)
        return threshold_of(incoming * self.configured_ratio, self.sampling_precision)


def _randomness_of_hash(hashes: npt.NDArray[np.uint32]) -> Words:
    """56 bits made of the hash so that T <= R holds exactly where the bucket is below the rate, uint64[n]."""
    wide = hashes.astype(np.uint64)
    bucket = wide & np.uint64(_BUCKETS - 1)
    top = wide >> np.uint64(18)
    mixed = top ^ (top << np.uint64(10))
    randomness: Words = (np.uint64(_BUCKETS - 1) - bucket) << np.uint64(42)
    randomness |= (mixed << np.uint64(14)) | bucket
    return randomness
