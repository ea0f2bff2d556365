"""Which choice to recommend: the cheapest that sees rare errors soon enough, within the constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from planner.records import Choice
from planner.request import DEFAULT_ERROR_WITHIN_S, PlanRequest
from planner.text import DAY_S, duration, shown, usd

LEAST_RETENTION_S = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class Advice:
    """The recommended choice, the rule that chose it, why in one clause, and what no choice could meet."""

    index: int
    rule: str
    why: str
    unmet: tuple[str, ...]


def caught_within_s(choice: Choice) -> float:
    """Time within which a 1-in-10,000 error is kept in 95 of 100 cases [s]; infinite if never."""
    high = choice.figures["error_wait_s"].high
    return inf if high is None else high


def price(choice: Choice) -> float:
    """Central price of a month [USD]."""
    value = choice.figures["cost_usd_per_month"].value
    return inf if value is None else value


def retention_to_recommend(retentions_s: Sequence[float]) -> float:
    """The shortest of at least 7 days, which debugging needs, else the longest on offer."""
    return min((r for r in retentions_s if r >= LEAST_RETENTION_S), default=max(retentions_s))


def unmet(choice: Choice, request: PlanRequest) -> tuple[str, ...]:
    """The stated constraints that ``choice`` breaks, one sentence each."""
    broken = []
    within, most = request.error_within_s, request.max_usd_per_month
    if within is not None and caught_within_s(choice) > within:
        seen = caught_within_s(choice)
        found = "never kept" if seen == inf else f"kept within {duration(seen)}"
        broken.append(f"--error-within {duration(within)}: with {choice.sampling} an error is {found}")
    if most is not None and price(choice) > most:
        cost = shown(choice.figures["cost_usd_per_month"])
        broken.append(f"--max-usd {usd(most)}: {choice.sampling} for {duration(choice.retention_s)} costs {cost}")
    return tuple(broken)


def advise(choices: Sequence[Choice], request: PlanRequest) -> Advice:
    """The recommendation among ``choices``.

    The cheapest that keeps a 1-in-10,000 error within the time asked for (5 minutes unless stated) and
    within the price, at the preferred retention or the one nearest to it; where none does, the affordable
    one that keeps it soonest; where none is affordable, the cheapest.
    """
    within = request.error_within_s if request.error_within_s is not None else DEFAULT_ERROR_WITHIN_S
    most = inf if request.max_usd_per_month is None else request.max_usd_per_month
    preferred_s = retention_to_recommend(request.retentions_s)

    def by_retention(index: int) -> float:
        return abs(choices[index].retention_s - preferred_s)

    affordable = [i for i, choice in enumerate(choices) if price(choice) <= most]
    soon = [i for i in affordable if caught_within_s(choices[i]) <= within]
    if soon:
        best = min(soon, key=lambda i: (by_retention(i), price(choices[i])))
    elif affordable:
        best = min(affordable, key=lambda i: (caught_within_s(choices[i]), by_retention(i), price(choices[i])))
    else:
        best = min(range(len(choices)), key=lambda i: price(choices[i]))
    rule = _rule(within, choices[best].retention_s, met=bool(soon), paid=bool(affordable))
    why = _why(choices[best], within, met=bool(soon), paid=bool(affordable))
    return Advice(best, rule, why, unmet(choices[best], request))


def _why(choice: Choice, within_s: float, *, met: bool, paid: bool) -> str:
    """Why this choice, in one clause; how soon it keeps a rare error is part of it."""
    seen_s = caught_within_s(choice)
    if seen_s == inf:
        return "though it never keeps a 1-in-10,000 error" if paid else "the cheapest, as none is within --max-usd"
    kept = f"a 1-in-10,000 error within {duration(within_s if met else seen_s)}"
    if met:
        return f"the cheapest sampling that keeps {kept} (here {duration(seen_s)}, in 95 % of cases)"
    if paid:
        return f"the choice that keeps an error soonest: {kept} in 95 % of cases"
    return f"the cheapest, as none is within --max-usd: it keeps {kept} in 95 % of cases"


def _rule(within_s: float, retention_s: float, *, met: bool, paid: bool) -> str:
    kept = f"keeps a 1-in-10,000 error within {duration(within_s)} in 95 of 100 cases"
    if met:
        chosen = f"the cheapest choice that {kept}"
    elif paid:
        chosen = f"no choice within the constraints {kept}, so the one that keeps it soonest"
    else:
        chosen = "no choice is within --max-usd, so the cheapest"
    retention = f"retention {duration(retention_s)} (at least 7 d for debugging, where offered and affordable)"
    return f"recommended: {chosen}; {retention}; limits it breaks are lifted by the settings named with them"
