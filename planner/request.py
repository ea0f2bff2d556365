"""What a plan is asked for: the traffic, the choices to compare and the constraints."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loadgen.errors import InputError
from planner.sampling import DEFAULT_SAMPLINGS, Sampling
from planner.text import DAY_S
from planner.traffic import parse_traffic

DEFAULT_RETENTIONS_S = (DAY_S, 7 * DAY_S, 30 * DAY_S, 90 * DAY_S)
DEFAULT_ERROR_WITHIN_S = 300.0
_UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": DAY_S, "w": 7 * DAY_S}
_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What to plan for.

    Attributes:
        traffic: Mean traffic in the user's words; see :func:`planner.traffic.parse_traffic`.
        topology_place: Where the topology stands, for the first line.
        peak_factor: Peak over mean, at least 1; RAM, CPU and limits are planned for the peak.
        samplings: Sampling choices to compare.
        retentions_s: Retentions to compare [s].
        max_usd_per_month: Constraint on the price; None: none.
        error_within_s: Constraint: a 1-in-10,000 error is kept within this time in 95 of 100 cases; None: the
            default rule's 5 minutes, which no traffic is refused for.
        circumstances: Further facts for the plan's record, e.g. versions.
    """

    traffic: str
    topology_place: str
    peak_factor: float = 1.0
    samplings: tuple[Sampling, ...] = DEFAULT_SAMPLINGS
    retentions_s: tuple[float, ...] = DEFAULT_RETENTIONS_S
    max_usd_per_month: float | None = None
    error_within_s: float | None = None
    circumstances: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        parse_traffic(self.traffic)
        if not 1 <= self.peak_factor <= 1000:
            raise InputError("--peak-factor", self.peak_factor, "must be 1 (mean = peak) to 1000")
        if not self.samplings or not self.retentions_s:
            raise InputError("plan", "no choice", "needs at least one sampling and one retention")
        if any(retention_s < 0 for retention_s in self.retentions_s):
            raise InputError("--retention", min(self.retentions_s), "must not be negative")
        if self.max_usd_per_month is not None and not self.max_usd_per_month > 0:
            raise InputError("--max-usd", self.max_usd_per_month, "must be more than 0")


def parse_duration(text: str, place: str) -> float:
    """Seconds in e.g. ``24h``, ``7d``, ``5m``, ``90s``, ``2w``.

    Raises:
        InputError: Another form, or no time at all.
    """
    found = _TIME.fullmatch(text.lower())
    if found is None or found[2] not in _UNITS_S or float(found[1]) <= 0:
        raise InputError(place, text, "must be a time over 0 with its unit, such as 24h, 7d, 5m or 90s")
    seconds = float(found[1]) * _UNITS_S[found[2]]
    if seconds > 100 * 365 * DAY_S:
        raise InputError(place, text, "must be at most 100 years")
    return seconds
