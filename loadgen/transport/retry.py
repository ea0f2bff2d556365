"""How long to wait before the next attempt of a refused request, as the OTLP specification asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Jittered exponential backoff within a budget.

    Attributes:
        attempts: Most sends of one request.
        initial_s: Wait before the second send; it doubles from there.
        longest_s: No single wait is longer: a target that asks for more ends the request, for to come back sooner
            than it asked would add to its load.
        budget_s: Waits of one request together; what does not fit ends the request.
    """

    attempts: int = 4
    initial_s: float = 0.1
    longest_s: float = 5.0
    budget_s: float = 10.0

    def wait_s(
        self, attempt: int, waited_s: float, asked_s: float | None, uniform: Callable[[], float]
    ) -> float | None:
        """Seconds to wait after failed send number ``attempt`` (from 1), None when the request has had its chances.

        Args:
            attempt: Sends so far.
            waited_s: Waits so far.
            asked_s: What Retry-After asked for.
            uniform: Draws from [0, 1): waits are spread over half to full length, so that senders do not retry in step.
        """
        if attempt >= self.attempts:
            return None
        backoff_s = min(self.initial_s * 2 ** (attempt - 1), self.longest_s) * (0.5 + uniform() / 2)
        wait_s = max(asked_s or 0.0, backoff_s)
        return wait_s if wait_s <= self.longest_s and waited_s + wait_s <= self.budget_s else None
