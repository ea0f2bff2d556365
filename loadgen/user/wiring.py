"""Where Locust calls us: its events, its messages, its signals.

Facts (Locust 2.47). The master's ``test_stop`` fires before the workers have stopped, and a master
that quits gives them half a second, so their last report is lost: in ``test_stopping`` the master
therefore asks every worker to come to rest and to send its last word, and waits for it. ``quitting``
calls the listener that was registered last first: those of ``init`` come before Locust's own, which
tell the other side that we are gone, those of this module after them, and there the exit code can
still be set; without that, a run whose workers all died ends with 0. On SIGTERM users still run there.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from time import monotonic
from typing import Any

import gevent
from locust import events, runners

from loadgen.errors import HonuaError
from loadgen.user.consent import is_loopback
from loadgen.user.help import HelpLoad
from loadgen.user.options import add_options
from loadgen.user.roles import Master, Single
from loadgen.user.worker import DRAIN, DRAINED, RATE, Worker

log = logging.getLogger("honua")

# A worker's last report is what a kill -9 leaves of it: more often than Locust's 3 s.
REPORT_INTERVAL_S = 1.0
INTERRUPTED = 130


Role = Single | Master | Worker


def process_of(environment: Any) -> Role | None:  # noqa: ANN401
    """Our part of a Locust environment, None where the locustfile sends no traces."""
    return getattr(environment, "honua_process", None)


@events.init_command_line_parser.add_listener
def _options(parser: Any, **_: object) -> None:  # noqa: ANN401
    add_options(parser)
    parser.add_argument(
        "--help-load", action=HelpLoad, nargs=0, default=argparse.SUPPRESS, include_in_web_ui=False,
        help="Show the options of the trace load and exit",
    )  # fmt: skip


@events.init.add_listener
def _init(environment: Any, runner: Any, web_ui: Any, **_: object) -> None:  # noqa: ANN401
    if not any(hasattr(user, "topology") for user in environment.user_classes):
        return
    forked = isinstance(runner, runners.WorkerRunner) and environment.parsed_options.processes
    try:
        process = environment.honua_process = _role(environment)
    except HonuaError as error:
        if forked:  # the master finds the same fault and says so
            raise SystemExit(0) from error
        print(error, file=sys.stderr, flush=True)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    # Timers count from the loop's last turn: without this, --run-time would be short by what compiling took.
    gevent.get_hub().loop.update_now()
    _exchange(environment, process)
    _take_signals(process)
    environment.events.quitting.add_listener(lambda **_: _before_quitting(process))
    _warn_of_strangers(environment.parsed_options, web=web_ui is not None, master=isinstance(process, Master))
    if isinstance(process, Worker) and runner.worker_state != runners.STATE_INIT:
        # Who joins a run that goes on is sent the start right after the greeting, which may be before all this.
        _begin(environment)


def _role(environment: Any) -> Role:  # noqa: ANN401
    if isinstance(environment.runner, runners.WorkerRunner):
        return Worker(environment)
    return Master(environment) if isinstance(environment.runner, runners.MasterRunner) else Single(environment)


def _exchange(environment: Any, process: Role) -> None:  # noqa: ANN401
    """What master and workers say to each other."""
    register = environment.runner.register_message
    if isinstance(process, Worker):
        worker = process
        runners.WORKER_REPORT_INTERVAL = REPORT_INTERVAL_S
        register(DRAIN, lambda **_: worker.say_last(), concurrent=True)
        register(RATE, lambda msg, **_: worker.sending.tell_rate(msg.data["traces_per_s"]))
        environment.events.report_to_master.add_listener(lambda data, **_: data.update(honua=worker.say()))
    elif isinstance(process, Master):
        master = process
        register(DRAINED, lambda msg, **_: master.hear_last(msg.node_id, msg.data))
        environment.events.worker_report.add_listener(
            lambda client_id, data, **_: master.hear(client_id, data.get("honua") or {})
        )


def _take_signals(process: Role) -> None:
    """Let Ctrl-C arrive where Locust waits for it, never in the midst of a request that is being counted."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # whoever started us wants Ctrl-C ignored, or took it
    seen: list[int] = []

    def interrupt() -> None:
        if seen:
            log.error("interrupted twice: what is not yet in the run file is lost")
            raise SystemExit(INTERRUPTED)
        seen.append(signal.SIGINT)
        process.stop_reason = process.stop_reason or "Ctrl-C"
        hub = gevent.get_hub()
        # From the loop into the main greenlet, where Locust waits; raised here, gevent would print it first.
        hub.loop.run_callback(hub.parent.throw, KeyboardInterrupt)

    gevent.signal_handler(signal.SIGINT, interrupt)


def _warn_of_strangers(parsed: Any, *, web: bool, master: bool) -> None:  # noqa: ANN401
    """Say when others can reach what has no login and no encryption."""
    if web and not is_loopback(parsed.web_host):
        log.warning("anyone who can reach %s:%s can start and stop this load", parsed.web_host or "*", parsed.web_port)
    if master and not parsed.processes and not is_loopback(parsed.master_bind_host):
        log.warning("anyone who can reach port %s can join as a worker and sees all options", parsed.master_bind_port)


@events.test_start.add_listener
def _begin(environment: Any, **_: object) -> None:  # noqa: ANN401
    process = process_of(environment)
    if process is None:
        return
    try:
        process.begin()
    except HonuaError as error:
        if not isinstance(process, Worker):
            process.refuse(error)
            gevent.spawn(_call_off, environment)
    except Exception:
        gevent.spawn(_call_off, environment)
        raise  # Locust shows it, and ends with exit code 2


def _call_off(environment: Any) -> None:  # noqa: ANN401
    """Stop what Locust starts after its ``test_start``, which cannot be refused."""
    runner, deadline_s = environment.runner, monotonic() + 5
    while runner.state not in (runners.STATE_SPAWNING, runners.STATE_RUNNING) and monotonic() < deadline_s:
        gevent.sleep(0.02)
    if environment.web_ui:
        runner.stop()
    else:
        runner.quit()


@events.test_stopping.add_listener
def _rest(environment: Any, **_: object) -> None:  # noqa: ANN401
    process = process_of(environment)
    if process is not None:
        process.stop_reason = process.stop_reason or _reason(environment)
        process.resting = True
        process.rest()


def _reason(environment: Any) -> str:  # noqa: ANN401
    runner, run_time_s = environment.runner, environment.parsed_options.run_time
    if isinstance(runner, runners.MasterRunner) and runner.worker_count <= 0:
        return "no worker left"
    if run_time_s and environment.honua_process.age_s >= run_time_s - 1:
        return "run time"
    return "stopped"


@events.test_stop.add_listener
def _end(environment: Any, **_: object) -> None:  # noqa: ANN401
    process = process_of(environment)
    if process is not None:
        process.end()
        process.resting = False


def _before_quitting(process: Role) -> None:
    process.stop_reason = process.stop_reason or "SIGTERM"
    process.say_last()


@events.quitting.add_listener
def _judge(environment: Any, **_: object) -> None:  # noqa: ANN401
    process = process_of(environment)
    if process is None:
        return
    if not isinstance(process, Master):  # whose own listener has just done it, and it takes half a second
        environment.runner.quit()  # on SIGTERM the users still run
    process.end()
    if process.exit_code is not None:
        environment.process_exit_code = process.exit_code
