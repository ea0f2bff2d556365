"""Where Locust calls us: options, the parts of a run, worker reports, the end and its exit code.

Facts (Locust 2.47). The master's ``test_stop`` fires before the workers have stopped, and a master
that quits gives them half a second, so their last report is lost: in ``test_stopping`` the master
therefore asks every worker to come to rest and to send its last word, and waits for it. Listeners
registered at module level run after Locust's own in ``quitting``, where the exit code can still be
set; without that, a run whose workers all died ends with 0. On SIGTERM users still run there.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import astuple
from time import monotonic
from typing import Any

import gevent
from locust import events
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from loadgen.errors import HonuaError, InputError
from loadgen.run import Verdict
from loadgen.user.load import Load, monotonic_epoch_ns, one_topology, prepare
from loadgen.user.options import LoadOptions, add_options, check_consent, read_options
from loadgen.user.owner import Owner, refused
from loadgen.user.session import Part, Session

log = logging.getLogger("honua")

ALONE = "0"  # how a single process names itself
DRAIN, DRAINED = "honua_drain", "honua_drained"
# A drained worker answers at most stop_timeout later; this much more for the message itself.
DRAIN_GRACE_S = 2.0


class Wiring:
    """The state of one Locust process."""

    def __init__(self, environment: Any) -> None:  # noqa: ANN401  (Locust publishes no types)
        self.environment = environment
        self.load: Load = prepare(one_topology(environment.user_classes))
        self.owner: Owner | None = None
        self.session: Session | None = None
        self.refusal: Verdict | None = None
        self._sequence = 0
        self._clock: gevent.Greenlet | None = None

    @property
    def runner(self) -> Any:  # noqa: ANN401
        """Locust's runner of this process."""
        return self.environment.runner

    def traces_per_s(self, options: LoadOptions) -> float:
        """The total rate now: as asked, or by the number of users."""
        if options.rate is not None:
            return options.rate.traces_per_s(self.load.spans_per_trace)
        each = max(float(user.traces_per_s) for user in self.environment.user_classes)
        users = self.runner.user_count or self.runner.target_user_count or self.environment.parsed_options.num_users
        return each * max(int(users or 1), 1)

    def begin(self) -> None:
        """Start this process's part of a run."""
        self.refusal = None
        options = read_options(self.environment.parsed_options)
        worker = isinstance(self.runner, WorkerRunner)
        if not worker:
            self._own(options)
        parts = self.environment.parsed_options.honua_parts
        mine = parts.get(self.runner.client_id if worker else ALONE)
        self.session = self._session(options, Part(*mine)) if mine is not None else None
        self.environment.honua_session = self.session
        self._sequence = 0
        self._clock = gevent.spawn(self._every_second)

    def _own(self, options: LoadOptions) -> None:
        distributed = isinstance(self.runner, MasterRunner)
        senders = sorted(self.runner.clients) if distributed else [ALONE]
        self.owner = Owner(self.load, options, senders, self.traces_per_s(options), distributed=distributed)
        # The workers see this in their own test_start: Locust sends options, as plain values, with the start.
        self.environment.parsed_options.honua_parts = {
            name: list(astuple(part)) for name, part in self.owner.parts.items()
        }
        for line in self._announcement(options, self.owner):
            log.info(line)

    def _announcement(self, options: LoadOptions, owner: Owner) -> list[str]:
        traces_per_s = self.traces_per_s(options)
        spans_per_s = traces_per_s * self.load.spans_per_trace
        duration = self.environment.parsed_options.run_time
        lines = [
            f"sending {traces_per_s:,.4g} traces/s ({spans_per_s:,.0f} spans/s) of {self.load.topology.name} to "
            f"{options.endpoint.url} {f'for {duration} s' if duration else 'until stopped'}; "
            f"seed {owner.seed}, run file {owner.path}/run.sqlite"
        ]
        if self.load.long_traces_ratio > 0:
            lines.append(
                f"doubt: {self.load.long_traces_ratio:.0%} of these traces last over 30 s and are delivered whole, "
                "when they end; Tempo's generator ignores spans that ended earlier than that"
            )
        return lines

    def _session(self, options: LoadOptions, part: Part) -> Session:
        rate = self.traces_per_s(options)
        return Session(self.load.pieces, self.load.spans_per_trace, options, part, rate, monotonic_epoch_ns)

    def _every_second(self) -> None:
        """Follow the options, shed what is overdue, write what was counted; ends with the run."""
        wrong = ""
        while True:
            gevent.sleep(1.0)
            try:
                self._follow_options()
                wrong = ""
            except InputError as error:
                if str(error) != wrong:
                    log.error("%s; the rate stays as it was", error)
                wrong = str(error)
            if self.session is not None:
                self.session.shed_overdue()
            if self.owner is not None:
                self._hear_self()
                gevent.get_hub().threadpool.apply(self.owner.flush)

    def _follow_options(self) -> None:
        options = read_options(self.environment.parsed_options)
        traces_per_s = self.traces_per_s(options)
        check_consent(options, traces_per_s * self.load.spans_per_trace)
        if self.session is not None:
            self.session.change_rate(traces_per_s)
        if self.owner is not None:
            self.owner.rate_changed(options, traces_per_s)

    def _hear_self(self, *, last: bool = False) -> None:
        if self.owner is not None and self.session is not None:
            self.owner.heard(ALONE, self._next(), self.session.hand_over(), last=last)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def report(self) -> dict[str, Any]:
        """What a worker says: a numbered increment."""
        if self.session is None:
            return {}
        return {
            "run_id": self.session.part.run_id,
            "sequence": self._next(),
            "tally": self.session.hand_over().plain(),
        }

    def hear(self, worker: str, report: dict[str, Any], *, last: bool = False) -> None:
        """Take a worker's report, if it is of this run."""
        owner = self.owner
        if owner is None or owner.verdict is not None or report.get("run_id") != owner.run_id:
            return
        owner.heard(worker, report["sequence"], report["tally"], last=last)

    def rest(self) -> None:
        """Stop taking requests; what is in flight may end."""
        if self.session is not None:
            self.session.stopping = True

    def drain_workers(self) -> None:
        """Ask every worker for its last word and wait until all have spoken or can no longer be expected to."""
        owner = self.owner
        if owner is None or owner.verdict is not None:
            return
        self.runner.send_message(DRAIN)
        deadline = monotonic() + float(self.environment.stop_timeout or 0) + DRAIN_GRACE_S
        while (missing := owner.seen - owner.last_word) and monotonic() < deadline:
            if all(self._is_lost(worker) for worker in missing):
                break
            gevent.sleep(0.05)

    def _is_lost(self, worker: str) -> bool:
        node = self.runner.clients.get(worker)
        return node is None or node.state == STATE_MISSING

    def end(self) -> None:
        """Count the rest, judge, print the ledger; only once a run."""
        if self._clock is not None:
            self._clock.kill()
            self._clock = None
        if self.session is not None:
            self.session.finish()
        owner = self.owner
        if owner is None or owner.verdict is not None:
            return
        self._hear_self(last=True)
        verdict = owner.end()
        print("\n".join([*owner.ledger(), f"Verdict: {verdict.text}", f"Run: {owner.path}"]), flush=True)

    def last_word(self) -> None:
        """A worker's answer to the master's DRAIN: come to rest, then say what is left."""
        self.rest()
        self.runner.stop()
        if self.session is not None:
            self.session.finish()
            self.runner.send_message(DRAINED, self.report())

    @property
    def exit_code(self) -> int | None:
        """The process's exit code, None where Locust's own is right."""
        if isinstance(self.runner, WorkerRunner):
            return 0
        verdict = self.refusal or (self.owner.verdict if self.owner is not None else None)
        return verdict.exit_code if verdict is not None else None


def wiring_of(environment: Any) -> Wiring | None:  # noqa: ANN401
    """The wiring of a Locust environment, None where the locustfile sends no traces."""
    return getattr(environment, "honua_wiring", None)


def _guarded(environment: Any, step: Callable[[], None]) -> None:  # noqa: ANN401
    """Run a step; what the user got wrong ends the run with one line and exit code 2."""
    wiring = wiring_of(environment)
    try:
        step()
    except HonuaError as error:
        log.error("%s", error)
        if wiring is not None:
            wiring.refusal = refused(error)
        stop = environment.runner.stop if environment.web_ui else environment.runner.quit
        gevent.spawn(stop)


@events.init_command_line_parser.add_listener
def _options(parser: Any, **_: object) -> None:  # noqa: ANN401
    add_options(parser)


@events.init.add_listener
def _init(environment: Any, runner: Any, **_: object) -> None:  # noqa: ANN401
    if not any(hasattr(user, "topology") for user in environment.user_classes):
        return
    try:
        wiring = environment.honua_wiring = Wiring(environment)
        # Timers count from the loop's last turn: without this, --run-time would be short by what compiling took.
        gevent.get_hub().loop.update_now()
    except HonuaError as error:
        print(error, file=sys.stderr, flush=True)
        raise SystemExit(2) from error
    if isinstance(runner, WorkerRunner):
        runner.register_message(DRAIN, lambda **_: wiring.last_word(), concurrent=True)
        environment.events.report_to_master.add_listener(lambda data, **_: data.update(honua=wiring.report()))
    elif isinstance(runner, MasterRunner):
        runner.register_message(DRAINED, lambda msg, **_: wiring.hear(msg.node_id, msg.data, last=True))
        environment.events.worker_report.add_listener(
            lambda client_id, data: wiring.hear(client_id, data.get("honua") or {})
        )


@events.test_start.add_listener
def _begin(environment: Any, **_: object) -> None:  # noqa: ANN401
    wiring = wiring_of(environment)
    if wiring is not None:
        _guarded(environment, wiring.begin)


@events.test_stopping.add_listener
def _rest(environment: Any, **_: object) -> None:  # noqa: ANN401
    wiring = wiring_of(environment)
    if wiring is None:
        return
    wiring.rest()
    if isinstance(environment.runner, MasterRunner):
        wiring.drain_workers()


@events.test_stop.add_listener
def _end(environment: Any, **_: object) -> None:  # noqa: ANN401
    wiring = wiring_of(environment)
    if wiring is not None:
        wiring.end()


@events.quitting.add_listener
def _judge(environment: Any, **_: object) -> None:  # noqa: ANN401
    wiring = wiring_of(environment)
    if wiring is None:
        return
    environment.runner.quit()  # on SIGTERM the users still run; a second call does nothing
    wiring.end()
    if wiring.exit_code is not None:
        environment.process_exit_code = wiring.exit_code
