"""A worker's part in the runs of its master."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import gevent

from loadgen.errors import HonuaError
from loadgen.user.process import Process
from loadgen.user.rates import UserRates
from loadgen.user.sending import Sending
from loadgen.user.session import Part

log = logging.getLogger("honua")

# What master and worker say to each other besides Locust's reports.
DRAIN, DRAINED, RATE = "honua_drain", "honua_drained", "honua_rate"
# Heartbeats come every second; what is sent without a master is counted by nobody.
MASTER_SILENCE_S = 10.0


class Worker(Process):
    """Sends its part of what the master owns."""

    exit_code = 0

    def __init__(self, environment: Any) -> None:  # noqa: ANN401
        super().__init__(environment)
        self.sending = Sending(environment, self.load, UserRates(environment, master=False))
        self._run_id = ""
        self._parent = os.getppid()

    def enter(self) -> None:
        """Take this worker's part, if there is one."""
        self.sending.stay_away()
        mine = getattr(self.environment.parsed_options, "honua_parts", {}).get(self.runner.client_id)
        self._run_id = Part(*mine).run_id if mine is not None else ""
        if mine is None:
            log.info("this worker has no part in the run: it is idle until the next one")
            return
        try:
            self.sending.join(Part(*mine))
        except HonuaError as error:
            log.error("%s", error)
            self.faults.append(f"took no part: {error}")

    def say(self) -> dict[str, Any]:
        """What the master hears of this worker."""
        report = self.sending.report()
        return report.plain() if report is not None else {}

    def say_last(self) -> None:
        """Come to rest, then say what is left."""
        self.do_once("last word", self._say_last)

    def rest(self) -> None:
        """Stop taking requests."""
        self.sending.rest()

    def tick(self) -> None:
        """Follow the schedule, as long as there is a master to count it."""
        while not self.sending.keep_up():
            gevent.sleep(0)
        heard_s = self.runner.last_heartbeat_timestamp
        if heard_s and time.time() - heard_s > MASTER_SILENCE_S and not self.resting:
            self.resting = True
            self.faults.append(f"heard nothing of the master for {MASTER_SILENCE_S:g} s and stopped sending")
            log.error("this worker %s", self.faults[-1])
            self.rest()
        if self.environment.parsed_options.processes and os.getppid() != self._parent:
            log.error("the master is gone: this worker ends")
            gevent.spawn(self.runner.quit)

    def leave(self) -> None:
        """Count the rest."""
        self.sending.finish()

    def _say_last(self) -> None:
        self.rest()
        if self.is_running:
            self.runner.stop()
            self.end()
        if self._run_id:
            report = self.sending.report(last=True)
            word = {"run_id": self._run_id, "report": report.plain() if report else None, "faults": self.faults}
            self.runner.send_message(DRAINED, word)
        # Locust lets a stopped worker wait this long before it is ready again; its users have ended.
        self.environment.stop_timeout = 0.0
