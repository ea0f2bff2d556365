"""What a plan says: frozen records with every number's range, basis, source and working.

Renderers format these and compute nothing. ``Plan.as_dict`` is the JSON twin; its
``schema_version`` changes when a name or a meaning does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

SCHEMA_VERSION = 1


class Basis(StrEnum):
    """Where a planned number comes from."""

    COMPUTED = "computed"  # follows exactly from the inputs
    MEASURED = "measured"  # from a run or a calibration of this product
    PUBLISHED = "published"  # from figures that others published
    EXTRAPOLATED = "extrapolated"  # outside the range in which it was measured
    ASSUMED = "assumed"  # a stated choice, e.g. a headroom factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One planned number.

    Attributes:
        value: The central value in ``unit``; None where it is not known, and then ``reason`` says why.
        low: Lower end of the range that ``source`` names; equal to ``value`` where exact.
        high: Upper end.
        unit: ``bytes``, ``bytes/s``, ``bytes/day``, ``spans/s``, ``traces/s``, ``cores``, ``USD/month``,
            ``ratio``, ``s`` or ``traces``.
        basis: Kind of origin.
        source: The fit, table or run it rests on, with its conditions and what the range means.
        working: The formula with this plan's inputs in it, printed by the code that computed it.
        reason: Why there is no value.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    basis: Basis
    source: str
    working: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One sampling choice with one retention, and every figure that follows.

    ``figures`` has, under these names: kept_ratio, kept_traces_per_s, kept_spans_per_s, stored_bytes_per_day,
    at_rest_bytes, collector_rss_bytes, collector_cores, tempo_rss_bytes, tempo_cores, storage_usd_per_month,
    compute_usd_per_month, cost_usd_per_month, error_wait_s (mean wait until a 1-in-10,000 error is kept) and
    error_rate_halfwidth_ratio (95 % half-width of a 0.1 % error rate over 5 minutes, relative to the rate).
    """

    sampling: str
    sampling_kind: str
    configured_ratio: float
    retention_s: float
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Rates at one place on the path, for the recommended choice."""

    place: str
    traces_per_s: float
    spans_per_s: float
    bytes_per_s: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit of the stack against what the plan expects there."""

    name: str
    component: str
    limit: float
    expected: float
    unit: str
    remedy: str
    source: str

    @property
    def margin_ratio(self) -> float:
        """What is left of the limit, as a share of it; negative where it is broken."""
        return 1 - self.expected / self.limit

    @property
    def holds(self) -> bool:
        """Whether the expected value stays within the limit."""
        return self.expected <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What to set for one component: replicas, and request and limit of each replica."""

    component: str
    replicas: int
    cpu_request_cores: float
    memory_request_bytes: int
    memory_limit_bytes: int
    working: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Something that could change the answer: what, by how much, and what to do about it."""

    what: str
    effect: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A measured run on a curve."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A figure against a rate, with its range, the measured points and where they end."""

    name: str
    x_unit: str
    y_unit: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    points: tuple[Point, ...]
    valid_from: float
    valid_to: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole answer.

    ``first_line`` names topology, spans per trace and bytes per span; ``verdict`` is the one sentence that
    stands first on the terminal, in the JSON and on the page.
    """

    first_line: str
    verdict: str
    traffic: Mapping[str, Figure]
    shape: Mapping[str, Figure]
    choices: tuple[Choice, ...]
    recommended: int
    path: tuple[Hop, ...]
    limits: tuple[Limit, ...]
    settings: tuple[Setting, ...]
    doubts: tuple[Doubt, ...]
    curves: tuple[Curve, ...]
    assumptions: tuple[str, ...]
    not_counted: tuple[str, ...]
    circumstances: Mapping[str, str]
    schema_version: int = field(default=SCHEMA_VERSION)

    @property
    def chosen(self) -> Choice:
        """The recommended choice."""
        return self.choices[self.recommended]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, in the records' own names."""
        return asdict(self)
