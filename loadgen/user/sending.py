"""The sending half of a Locust process: its sessions, one after the other, and what it says of them."""

from __future__ import annotations

import logging
from typing import Any

from loadgen.errors import InputError
from loadgen.user.load import Load, epoch_clock
from loadgen.user.options import read_options
from loadgen.user.rates import UserRates
from loadgen.user.report import Report
from loadgen.user.session import Part, Session

log = logging.getLogger("honua")


class Sending:
    """What this process sends in the run that goes on or went last.

    Args:
        environment: Locust's; its users find the session there.
        load: What is sent.
        users: What users of this process offer.

    Attributes:
        session: None where this process takes no part.
    """

    def __init__(self, environment: Any, load: Load, users: UserRates) -> None:  # noqa: ANN401
        self._environment, self._load, self._users = environment, load, users
        self.session: Session | None = None
        self._told_per_s: float | None = None
        self._runs: set[str] = set()
        self._sequence = 0
        self._silent = True

    def stay_away(self) -> None:
        """Take no part in the run that begins."""
        self.session = self._environment.honua_session = None
        self._silent = True

    def join(self, part: Part) -> None:
        """Take a part in the run that begins.

        Raises:
            InputError: The part is of another load than this process has, or was had before, or an option is wrong.
        """
        if part.fingerprint != self._load.fingerprint:
            raise InputError(self._load.place, self._load.fingerprint, f"must be the master's ({part.fingerprint})")
        if part.run_id in self._runs:
            raise InputError("run", part.run_id, "has been here before: its block numbers must not be used again")
        options = read_options(self._environment.parsed_options, self._environment.host)
        self._told_per_s = options.rate.traces_per_s(self._load.spans_per_trace) if options.rate is not None else None
        self._runs.add(part.run_id)
        self._sequence, self._silent = 0, False
        session = Session(
            self._load.pieces, self._load.spans_per_trace, options, part, self._rate_per_s(part), epoch_clock()
        )
        self.session = self._environment.honua_session = session

    def tell_rate(self, traces_per_s: float | None) -> None:
        """Follow a total rate [traces/s]; None where users decide."""
        self._told_per_s = traces_per_s

    def keep_up(self) -> bool:
        """Follow the rate, draw and shed what no user comes for; False where more is left to do."""
        session = self.session
        if session is None:
            return True
        if not session.stopping:
            session.change_rate(self._rate_per_s(session.part))
        return session.catch_up()

    def rest(self) -> None:
        """Stop taking requests; what is in flight may end."""
        if self.session is not None:
            self.session.rest()

    def finish(self) -> None:
        """Count what will not be sent any more."""
        if self.session is not None:
            self.session.finish()

    def report(self, *, last: bool = False) -> Report | None:
        """What was counted since the last report; None where there is nothing to say, or the last word is said."""
        if self.session is None or self._silent:
            return None
        self._silent = last
        self._sequence += 1
        return Report(self.session.part.run_id, self._sequence - 1, self.session.hand_over())

    def _rate_per_s(self, part: Part) -> float:
        """The total rate as a session takes it, of which what users here offer is this process's share."""
        return self._told_per_s if self._told_per_s is not None else self._users.now_per_s() * part.shares
