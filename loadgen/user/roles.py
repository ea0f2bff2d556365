"""The processes that own a run: a single one, which also sends, and a master."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

import gevent
from locust.runners import STATE_MISSING, MasterRunner

from loadgen.errors import HonuaError, InputError
from loadgen.run import WRONG_USE
from loadgen.user.owner import Owner
from loadgen.user.owning import Owning
from loadgen.user.process import Process
from loadgen.user.rates import UserRates
from loadgen.user.report import Report
from loadgen.user.sending import Sending
from loadgen.user.worker import DRAIN, RATE

log = logging.getLogger("honua")

ALONE = "0"  # how a single process names itself
# A drained worker answers at most stop_timeout later; this much more for the message itself.
DRAIN_GRACE_S = 2.0


class OwningProcess(Process):
    """A process that owns its runs."""

    def __init__(self, environment: Any) -> None:  # noqa: ANN401
        super().__init__(environment)
        self.users = UserRates(environment, master=isinstance(self.runner, MasterRunner))
        self.owning = Owning(environment, self.load, self.users)

    @property
    def owner(self) -> Owner | None:
        """The run that goes on or went last."""
        return self.owning.owner

    def refuse(self, error: HonuaError) -> None:
        """Let no run begin."""
        log.error("%s", error)
        self.exit_code = WRONG_USE

    def tell(self) -> None:
        """Print how it goes."""
        self.owning.tell()

    def judge(self) -> None:
        """End the run: its verdict is the process's exit code."""
        raised = [str(row["msg"]) for row in self.runner.exceptions.values()]
        if raised:
            self.faults.append(f"users raised exceptions ({len(raised)} kinds), the first: {raised[0]}")
        verdict = self.owning.end(self.stop_reason or "stopped", self.faults)
        if verdict is not None:
            self.exit_code = verdict.exit_code


class Single(OwningProcess):
    """The only process: owns the run and sends."""

    def __init__(self, environment: Any) -> None:  # noqa: ANN401
        super().__init__(environment)
        self.sending = Sending(environment, self.load, self.users)

    def enter(self) -> None:
        """Own the run, and have all of it as part."""
        self.sending.stay_away()
        owner = self.owning.begin([ALONE], distributed=False)
        self.sending.join(owner.parts[ALONE])

    def rest(self) -> None:
        """Stop taking requests."""
        self.sending.rest()

    def tick(self) -> None:
        """Follow the rate and the schedule."""
        if not self.resting:
            self.owning.follow_rate(self.sending.tell_rate)
        while not self.sending.keep_up():
            gevent.sleep(0)

    def each_second(self) -> None:
        """Write what was counted."""
        report = self.sending.report()
        if report is not None and self.owner is not None:
            self.owner.hear(ALONE, report)
        self.owning.flush()

    def leave(self) -> None:
        """Count the rest and judge."""
        self.sending.finish()
        if self.owner is not None:
            self.owner.hear_last(ALONE, self.sending.report(last=True))
        self.judge()


class Master(OwningProcess):
    """Owns the run and sends nothing."""

    def begin(self) -> None:
        """Start a run.

        Raises:
            HonuaError: The run cannot begin.
        """
        if self.resting:
            # Its workers are about to leave and come back, so there is nobody to deal the run to.
            raise InputError("start", "the run before is still being stopped", "must wait until it has ended")
        super().begin()

    def enter(self) -> None:
        """Own the run, and deal it to the workers there are."""
        clients = self.runner.clients
        active = (*clients.ready, *clients.spawning, *clients.running)
        self.owning.begin(sorted(client.id for client in active), distributed=True)

    def hear(self, worker: str, plain: dict[str, Any]) -> None:
        """Take what a worker says; an empty report says nothing."""
        if self.owner is not None and plain:
            self.owner.hear(worker, Report.of(plain))

    def hear_last(self, worker: str, word: dict[str, Any]) -> None:
        """Take a worker's last word of a run."""
        if self.owner is not None and word["run_id"] == self.owner.run_id:
            report = Report.of(word["report"]) if word["report"] else None
            self.owner.hear_last(worker, report, [str(fault) for fault in word["faults"]])

    def rest(self) -> None:
        """Ask every worker for its last word and wait until all have spoken or can no longer be expected to."""
        owner = self.owner
        if owner is None or owner.verdict is not None:
            return
        owner.come_to_rest()
        self.runner.send_message(DRAIN)
        deadline_s = monotonic() + float(self.environment.stop_timeout or 0) + DRAIN_GRACE_S
        while not all(map(self._is_lost, owner.awaited)) and monotonic() < deadline_s:
            gevent.sleep(0.05)

    def tick(self) -> None:
        """Follow the rate."""
        if not self.resting:
            self.owning.follow_rate(lambda total_per_s: self.runner.send_message(RATE, {"traces_per_s": total_per_s}))

    def each_second(self) -> None:
        """Note who is gone, write what was heard."""
        self._watch()
        self.owning.flush()

    def leave(self) -> None:
        """Judge what was heard."""
        self._watch()
        self.judge()
        if self.environment.parsed_options.headless and self.runner.worker_count <= 0:
            gevent.spawn(self.runner.quit)  # Locust would wait for ever where its last worker died

    def _watch(self) -> None:
        if self.owner is not None:
            for worker in filter(self._is_lost, self.owner.awaited):
                self.owner.lost(worker)

    def _is_lost(self, worker: str) -> bool:
        node = self.runner.clients.get(worker)
        return node is None or node.state == STATE_MISSING
