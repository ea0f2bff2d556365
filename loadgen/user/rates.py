"""The rate of a run as it changes: asked by an option, or added up from users."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from loadgen.errors import InputError
from loadgen.pace import Rate
from loadgen.user.consent import check_consent
from loadgen.user.options import LoadOptions, read_rate

log = logging.getLogger("honua")


class UserRates:
    """What users offer where no rate is asked.

    Args:
        environment: Locust's.
        master: Whether the users are those that workers report, not this process's own.
    """

    def __init__(self, environment: Any, *, master: bool) -> None:  # noqa: ANN401  (Locust publishes no types)
        self._environment, self._master = environment, master

    def now_per_s(self) -> float:
        """Traces/s of the users there are."""
        runner = self._environment.runner
        counts = runner.reported_user_classes_count if self._master else runner.user_classes_count
        return sum(self._each_per_s().get(name, 0.0) * int(number) for name, number in counts.items())

    def planned_per_s(self) -> float:
        """The most that the users asked for will offer [traces/s]."""
        users = self._environment.runner.target_user_count or self._environment.parsed_options.num_users or 1
        return max(self._each_per_s().values(), default=0.0) * int(users)

    def _each_per_s(self) -> dict[str, float]:
        classes = self._environment.user_classes
        return {user.__name__: float(user.traces_per_s) for user in classes if hasattr(user, "traces_per_s")}


class RateKeeper:
    """Decides on the rate while a run goes on; belongs to the run's owner.

    Args:
        options: What was asked at the start.
        users: What users offer.
        spans_per_trace: Mean.
    """

    def __init__(self, options: LoadOptions, users: UserRates, spans_per_trace: float) -> None:
        self._options, self._users, self._spans_per_trace = options, users, spans_per_trace
        self._complaint = ""
        self.rate: Rate | None = options.rate
        self.capped_per_s: float | None = None

    def total_per_s(self) -> float:
        """The total now [traces/s]."""
        if self.rate is not None:
            return self.rate.traces_per_s(self._spans_per_trace)
        now_per_s = self._users.now_per_s()
        return now_per_s if self.capped_per_s is None else min(now_per_s, self.capped_per_s)

    def planned_per_s(self, rate: Rate | None) -> float:
        """The most that will be offered with this rate [traces/s]."""
        return rate.traces_per_s(self._spans_per_trace) if rate is not None else self._users.planned_per_s()

    def check(self, rate: Rate | None) -> None:
        """Refuse a rate that nobody agreed to.

        Raises:
            InputError: It would load another machine.
        """
        check_consent(self._options, self.planned_per_s(rate) * self._spans_per_trace)

    def follow(self, text: str, tell: Callable[[float | None], None]) -> None:
        """Take the rate that stands in the options now; a wrong one is complained of once and changes nothing.

        Args:
            text: The option ``--rate``.
            tell: Is called with a new total [traces/s], or None where users decide from now on.
        """
        try:
            rate = read_rate(text)
            self.check(rate)
        except InputError as error:
            self._refuse(str(error), tell)
            return
        self._complaint = ""
        if rate != self.rate or self.capped_per_s is not None:
            self.rate, self.capped_per_s = rate, None
            self._options = replace(self._options, rate=rate)
            tell(None if rate is None else self.total_per_s())

    def _refuse(self, complaint: str, tell: Callable[[float | None], None]) -> None:
        if complaint == self._complaint:
            return
        self._complaint = complaint
        log.error("%s; the rate stays as it was", complaint)
        if self.rate is None and self.capped_per_s is None:
            # Users that are still to come must not add to it.
            self.capped_per_s = self._users.now_per_s()
            tell(self.capped_per_s)
