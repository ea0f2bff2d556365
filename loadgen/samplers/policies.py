"""The policies of the Collector's ``tail_sampling`` decided here, one class and one table entry each.

Bit-exact with contrib v0.161.0, processor/tailsamplingprocessor/internal/sampling, provided every
span of the trace is there when the decision falls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Protocol

import numpy as np

from loadgen.errors import InputError
from loadgen.samplers.hashing import fnv1a_64
from loadgen.samplers.section import Section
from loadgen.samplers.traces import Bools, Traces

_MOST = 2**64 - 1
_STATUS_CODES = ("OK", "ERROR", "UNSET")
DEFAULT_SALT = "default-hash-seed"


class Policy(Protocol):
    """One policy: a trace it matches is kept."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    def keep(self, traces: Traces) -> Bools:
        """Which of n traces it matches, bool[n]."""

    def describe(self) -> str:
        """What it matches, in words."""


@dataclass(frozen=True, slots=True)
class AlwaysSample:
    """Matches every trace."""

    name: str

    def keep(self, traces: Traces) -> Bools:
        """True for each trace."""
        return np.ones(len(traces.ids), np.bool_)

    def describe(self) -> str:
        """What it matches, in words."""
        return "every trace"


@dataclass(frozen=True, slots=True)
class ErrorStatus:
    """Matches traces with a span of status ERROR."""

    name: str

    def keep(self, traces: Traces) -> Bools:
        """True where a span has status ERROR."""
        return traces.has_error

    def describe(self) -> str:
        """What it matches, in words."""
        return "errors"


@dataclass(frozen=True, slots=True)
class Latency:
    """Matches traces that take longer than ``threshold_ms``.

    The Collector cuts the duration to whole milliseconds before it compares, so the shortest
    trace matched takes ``threshold_ms + 1`` ms.
    """

    name: str
    threshold_ms: int

    def keep(self, traces: Traces) -> Bools:
        """True where the duration in whole milliseconds exceeds the threshold."""
        kept: Bools = traces.duration_ns // 1_000_000 > self.threshold_ms
        return kept

    def describe(self) -> str:
        """What it matches, in words."""
        return f"longer than {self.threshold_ms} ms"


@dataclass(frozen=True, slots=True)
class Probabilistic:
    """Matches traces whose salted 64-bit hash is low enough; independent of the head sampler's hash."""

    name: str
    sampling_percentage: float
    hash_salt: str = DEFAULT_SALT

    @property
    def threshold(self) -> int:
        """The greatest hash kept: (2^64 - 1) x ratio to 64 significant bits, ties to even, then cut."""
        exact = Fraction(self.sampling_percentage / 100) * _MOST
        spare = exact.numerator.bit_length() - exact.denominator.bit_length() - 64
        unit = Fraction(2) ** spare
        # The estimate of the binary exponent may be one short; then the quotient has 65 bits.
        unit *= 2 if exact / unit >= 2**64 else 1
        return min(_MOST, int(round(exact / unit) * unit))

    @property
    def effective_ratio(self) -> float:
        """The share of uniformly random ids it matches [0-1]."""
        return (self.threshold + 1) / 2**64

    def keep(self, traces: Traces) -> Bools:
        """True where the hash of salt and id is at most the threshold."""
        return fnv1a_64(self.hash_salt.encode(), traces.ids) <= np.uint64(self.threshold)

    def describe(self) -> str:
        """What it matches, in words."""
        return f"{self.sampling_percentage:g} % of all"


def _always(name: str, _: Section) -> Policy:
    return AlwaysSample(name)


def _status_code(name: str, section: Section) -> Policy:
    section.only("status_codes")
    codes, place = section.texts("status_codes"), section.at("status_codes")
    unknown = [code for code in codes if code not in _STATUS_CODES]
    if not codes or unknown:
        raise InputError(place, codes, f"must be a list of {', '.join(_STATUS_CODES)}")
    if set(codes) == set(_STATUS_CODES):
        return AlwaysSample(name)
    if set(codes) != {"ERROR"}:
        rule = "needs each span's status; only whether one is ERROR is known; list ERROR alone, or all three"
        raise InputError(place, codes, rule)
    return ErrorStatus(name)


def _latency(name: str, section: Section) -> Policy:
    section.only("threshold_ms", "upper_threshold_ms")
    upper = section.whole("upper_threshold_ms", 0)
    if upper:
        # The Collector tests the bounds after each span it looks at: a trace longer than the upper
        # bound is kept if the spans seen so far happened to lie between the two.
        rule = "cannot be predicted: beyond it the Collector's answer depends on the order of the spans"
        raise InputError(section.at("upper_threshold_ms"), upper, rule)
    return Latency(name, section.whole("threshold_ms", 0))


def _probabilistic(name: str, section: Section) -> Policy:
    section.only("sampling_percentage", "hash_salt")
    percent = section.number("sampling_percentage", 0)
    if percent < 0:
        raise InputError(section.at("sampling_percentage"), percent, "must be 0 or more [%]")
    return Probabilistic(name, percent, section.text("hash_salt", "") or DEFAULT_SALT)


#: Policy type -> what builds it from its name and its own section.
MODELLED: Mapping[str, Callable[[str, Section], Policy]] = MappingProxyType(
    {
        "always_sample": _always,
        "status_code": _status_code,
        "latency": _latency,
        "probabilistic": _probabilistic,
    }
)
#: Types the Collector v0.161.0 knows besides, and why each cannot be predicted from a trace's id and outcome.
UNMODELLED: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("rate_limiting", "bytes_limiting", "composite"), "depends on when each span arrives")
    | dict.fromkeys(("numeric_attribute", "string_attribute", "boolean_attribute"), "needs attribute values")
    | dict.fromkeys(("span_count", "trace_state", "trace_flags", "ottl_condition"), "is not modelled yet")
    | dict.fromkeys(("and", "not", "drop"), "is not modelled yet")
)


def read_policy(section: Section) -> Policy:
    """The policy a configuration's entry describes.

    Args:
        section: One entry of ``policies``.

    Raises:
        InputError: An unknown key or type, a type that is not modelled, or a value out of range.
    """
    section.only("name", "type", *MODELLED, *UNMODELLED)
    kind, name = section.text("type", ""), section.text("name", "")
    if not name:
        raise InputError(section.at("name"), name, "must name the policy")
    if kind in UNMODELLED:
        raise InputError(section.at("type"), kind, f"{UNMODELLED[kind]}, so what it keeps cannot be predicted")
    if kind not in MODELLED:
        raise InputError(section.at("type"), kind, f"must be one of {', '.join(MODELLED)}")
    return MODELLED[kind](name, section.section(kind))
