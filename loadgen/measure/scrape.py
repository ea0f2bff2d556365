"""One metrics page fetched, whatever the other side does; increases of counters that may restart."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from loadgen.measure.http import Address, fetch
from loadgen.measure.page import Page, parse_page


class Clock(Protocol):
    """Where time comes from; tests bring their own."""

    def now_s(self) -> float:
        """Seconds since the epoch; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""


class SystemClock:
    """The epoch as read once, carried on by the monotonic clock: a corrected system time moves nothing."""

    def __init__(self) -> None:
        self._epoch_s = time.time() - time.monotonic()

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return self._epoch_s + time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        time.sleep(seconds)


def fetch_page(address: Address, headers: Mapping[str, str], timeout_s: float = 5.0) -> Page:
    """The metrics page at ``address``.

    Raises:
        RemoteError: As :func:`fetch`, or what came is no metrics page.
    """
    return parse_page(fetch(address, headers, timeout_s).decode("utf-8", "replace"), address.url)


def increase(values: Sequence[float]) -> float:
    """What a counter counted from its first value to its last; after a restart it counts from 0.

    What was counted between the last reading before a restart and the restart is lost: a lower bound then.
    """
    return float(sum(now - before if now >= before else now for before, now in pairwise(values)))


def restarts(values: Sequence[float]) -> int:
    """How often a counter fell, which only a restart of its process can do."""
    return sum(now < before for before, now in pairwise(values))
