"""What every Locust process does with a run, whatever its role: begin it once, tick while it goes on, end it once.

Facts (Locust 2.47). ``test_stopping``, ``test_stop`` and ``quitting`` may each come twice, at the same
time, from greenlets that Locust kills in between (SIGTERM during a stop, the last worker leaving), and
a start may be killed half-way. So what must happen once, and whole, happens in a greenlet of its own,
which all of them wait for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from loadgen.errors import HonuaError
from loadgen.user.headers import otlp_headers
from loadgen.user.load import one_topology, prepare

log = logging.getLogger("honua")

TICK_S, SECOND_S, TELL_S = 0.25, 1.0, 2.0
STOP_GRACE_S = 5.0


class Process:
    """The part of one process in the runs that it lives to see; its role fills in the steps.

    Args:
        environment: Locust's.

    Raises:
        InputError: What this process was started with cannot be used.

    Attributes:
        exit_code: The process's, None where Locust's own is right.
        stop_reason: What ends the run, once that is known.
        resting: Whether Locust is stopping a run.
        faults: What went wrong in the generator itself.
    """

    exit_code: int | None = None

    def __init__(self, environment: Any) -> None:  # noqa: ANN401  (Locust publishes no types)
        self.environment, self.runner = environment, environment.runner
        otlp_headers()
        self.load = prepare(one_topology(environment.user_classes))
        self.stop_reason = ""
        self.resting = False
        self.faults: list[str] = []
        self._begun_s = 0.0
        self._clock: gevent.Greenlet | None = None
        self._beginning: gevent.Greenlet | None = None
        self._refusal: HonuaError | None = None
        self._once: dict[str, gevent.Greenlet] = {}
        self._busy = BoundedSemaphore(1)

    @property
    def is_running(self) -> bool:
        """Whether a run has begun and not ended."""
        return self._clock is not None

    @property
    def age_s(self) -> float:
        """Seconds since the run began."""
        return monotonic() - self._begun_s

    def begin(self) -> None:
        """Start this process's part of a run.

        Raises:
            HonuaError: The run cannot begin.
        """
        self._await_stop()
        self.end()
        self._once.clear()
        self.faults.clear()
        self.stop_reason, self.resting, self._refusal = "", False, None
        self._begun_s = monotonic()
        self._beginning = gevent.spawn(self._begin)
        self._beginning.join()
        if self._refusal is not None:
            raise self._refusal
        if self._beginning.exception is not None:
            raise self._beginning.exception

    def end(self) -> None:
        """Count the rest and, where this process owns the run, judge it; returns when that is done."""
        if self._beginning is not None:
            self._beginning.join()
        if self.is_running or "end" in self._once:
            self.do_once("end", self._end)

    def rest(self) -> None:
        """Come to rest: no more requests are taken, what is in flight may end."""

    def say_last(self) -> None:
        """Before this process quits: say what others would miss."""

    def do_once(self, name: str, step: Callable[[], None]) -> None:
        """Do a step of the run unless it has been done, and return when it is."""
        if name not in self._once:
            self._once[name] = gevent.spawn(step)
        self._once[name].join()

    def enter(self) -> None:
        """The role's own start.

        Raises:
            HonuaError: The run cannot begin.
        """
        raise NotImplementedError

    def leave(self) -> None:
        """The role's own end."""
        raise NotImplementedError

    def tick(self) -> None:
        """What is to be done four times a second."""

    def each_second(self) -> None:
        """What is to be done every second; the run does not end in the midst of it."""

    def tell(self) -> None:
        """Say how it goes."""

    def _await_stop(self) -> None:
        """Locust starts a run though it is still stopping the one before, whose ``test_stop`` would end the new one."""
        deadline_s = monotonic() + float(self.environment.stop_timeout or 0) + STOP_GRACE_S
        while self.resting and monotonic() < deadline_s:
            gevent.sleep(TICK_S / 10)

    def _begin(self) -> None:
        try:
            self.enter()
        except HonuaError as error:
            self._refusal = error
            return
        self._clock = gevent.spawn(self._run_clock)
        self._clock.link_exception(lambda clock: self.faults.append(f"the generator failed: {clock.exception!r}"))

    def _run_clock(self) -> None:
        second_s = tell_s = monotonic()
        while True:
            gevent.sleep(TICK_S)
            self.tick()
            if (now_s := monotonic()) >= second_s + SECOND_S:
                second_s = now_s - (now_s - second_s) % SECOND_S  # what was missed is not made up for
                with self._busy:
                    self.each_second()
            if (now_s := monotonic()) >= tell_s + TELL_S:
                tell_s = now_s - (now_s - tell_s) % TELL_S
                self.tell()

    def _end(self) -> None:
        with self._busy:
            if self._clock is not None:
                self._clock.kill()
                self._clock = None
        self.leave()
