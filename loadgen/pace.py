"""When traces are intended to arrive: schedules as pure functions of the trace's number.

The n-th arrival is computed, never accumulated, so an hour of pacing drifts by nothing; and a
schedule is shared exactly among workers by dealing its arrivals out: worker i of k takes
arrivals i, i + k, i + 2k, ...
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.errors import InputError

NS_PER_S = 1_000_000_000
FORMS = "must be a rate such as 200/s, 1000rps, 200 traces/s or 5000 spans/s, above 0"
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kM]?)\s*(?:(rps)|(traces|spans)?\s*/\s*s)\s*")
_SUFFIX = {"": 1, "k": 1_000, "M": 1_000_000}
HIGHEST_PER_S = 10_000_000
_MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """An asked rate: ``per_s`` of ``unit`` (``traces`` or ``spans``), and the text it was given as."""

    per_s: float
    unit: str
    text: str

    def traces_per_s(self, spans_per_trace: float) -> float:
        """Traces a second, given the mean number of spans a trace."""
        return self.per_s if self.unit == "traces" else self.per_s / spans_per_trace

    def spans_per_s(self, spans_per_trace: float) -> float:
        """Spans a second, given the mean number of spans a trace."""
        return self.per_s if self.unit == "spans" else self.per_s * spans_per_trace


def parse_rate(text: str, place: str = "--rate") -> Rate:
    """The rate that ``text`` asks for.

    Raises:
        InputError: Not a number and unit, zero, or over ten million a second.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise InputError(place, text, FORMS)
    per_s = float(match[1]) * _SUFFIX[match[2]]
    if not 0 < per_s <= HIGHEST_PER_S:
        raise InputError(place, text, f"{FORMS} and at most {HIGHEST_PER_S:,}/s")
    return Rate(per_s, match[4] or "traces", text.strip())


@dataclass(frozen=True, slots=True)
class EvenPace:
    """Evenly spaced arrivals: the n-th at ``start_ns + n / rate``, of which one worker takes its share.

    Attributes:
        start_ns: When the schedule begins [ns since the epoch].
        traces_per_s: The total rate of all workers.
        share: This worker's number, 0 <= share < shares.
        shares: How many workers the arrivals are dealt to.
    """

    start_ns: int
    traces_per_s: float
    share: int = 0
    shares: int = 1

    def arrivals(self, first: int, count: int) -> NDArray[np.int64]:
        """This worker's arrivals ``first`` .. ``first + count``, int64[count] [ns since the epoch]."""
        n = np.arange(first, first + count, dtype=np.int64) * self.shares + self.share
        # n * 10**15 would not fit, so the quotient is made in steps: whole seconds, tens of us, ns. All are exact,
        # so that due_by() counts what lies before a time to the last one.
        per_megaseconds = self._per_megaseconds
        seconds, rest = np.divmod(n * _MEGA, per_megaseconds)
        tens_of_us, rest = np.divmod(rest * 100_000, per_megaseconds)
        after_ns: NDArray[np.int64] = seconds * NS_PER_S + tens_of_us * 10_000 + rest * 10_000 // per_megaseconds
        return self.start_ns + after_ns

    def due_by(self, time_ns: int) -> int:
        """How many of this worker's arrivals lie before ``time_ns``."""
        total = max(0, time_ns - self.start_ns) * self._per_megaseconds
        upto = -(-total // (_MEGA * NS_PER_S))
        return max(0, -(-(upto - self.share) // self.shares))

    @property
    def _per_megaseconds(self) -> int:
        """The rate as a whole number: arrivals in a million seconds."""
        return max(1, round(self.traces_per_s * _MEGA))
