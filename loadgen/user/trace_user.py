"""The Locust user that sends traces: one concurrent sender, one request a task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import gevent
from gevent import GreenletExit
from locust import User, task

from loadgen.deliver import Planned
from loadgen.transport import Outcome
from loadgen.user.session import Session

IDLE_S = 0.2
PREPARE_NS = 5_000_000  # what making the bytes of a large request takes, with room to spare
REQUEST_TYPE, REQUEST_NAME = "OTLP", "/v1/traces"


class ExportError(Exception):
    """An export request that was not accepted; few texts exist, so Locust's error table stays short."""


_ERRORS: dict[str, ExportError] = {}


def export_error(cause: str) -> ExportError:
    """The one error object of a cause."""
    return _ERRORS.setdefault(cause, ExportError(cause))


def _wait_until(due_ns: int, now_ns: Callable[[], int]) -> None:
    """Return when it is due, and let others run at least once.

    gevent's timers count from the start of the loop's turn, so after some milliseconds of work a sleep ends too soon.
    """
    gevent.sleep(max(0.0, (due_ns - now_ns()) / 1e9))
    while (left_ns := due_ns - now_ns()) > 0:
        gevent.sleep(left_ns / 1e9)


class TraceUser(User):
    """A sender of traces of one topology; subclass it in a locustfile and name the topology.

    Users are concurrent senders: how much is sent follows from ``--rate``, not from their number. Without
    ``--rate`` every user adds ``traces_per_s``, so that user counts and load shapes change the load.

    Attributes:
        topology: A path, or the name of a shipped scenario.
        traces_per_s: What each user adds where no rate is asked.
        host: Named so that Locust's form does not ask for one; ``--otlp-endpoint`` decides.
    """

    abstract = True
    host = ""
    topology: ClassVar[str | Path] = "checkout"
    traces_per_s: ClassVar[float] = 1.0

    @task
    def send_next(self) -> None:
        """Take the next request, make its bytes shortly before it is due, send it when it is."""
        session: Session | None = getattr(self.environment, "honua_session", None)
        planned = session.take() if session is not None else None
        if session is None or planned is None:
            gevent.sleep(IDLE_S)
            return
        try:
            # Just in time: bytes made long before they leave have left the processor's caches by then.
            _wait_until(planned.due_ns - PREPARE_NS, session.now_ns)
            body = session.body(planned)
            _wait_until(planned.due_ns, session.now_ns)
        except GreenletExit:
            session.put_back(planned)
            raise
        except BaseException as error:
            session.give_up(planned, type(error).__name__)
            raise
        if session.stopping:
            session.give_up(planned)
            return
        self._send(session, planned, body)

    def _send(self, session: Session, planned: Planned, body: bytearray) -> None:
        sender = session.borrow_sender(gevent.sleep)
        session.start_sending(planned, len(body))
        outcome = Outcome("unknown", "stopped while in flight")
        try:
            outcome = sender.send(body)
        finally:
            # Also when the user is killed in mid-request: what was sent has an outcome, if only an unknown one.
            session.settle(planned, outcome)
            session.return_sender(sender)
        self._report(outcome, (session.now_ns() - planned.due_ns) / 1e6, planned.due_ns, len(body))

    def _report(self, outcome: Outcome, latency_ms: float, due_ns: int, size_bytes: int) -> None:
        """One row of Locust's table; latency counts from the intended send."""
        whole = outcome.state == "accepted" and not outcome.rejected_spans
        self.environment.events.request.fire(
            request_type=REQUEST_TYPE,
            name=REQUEST_NAME,
            response_time=latency_ms,
            response_length=size_bytes,
            start_time=due_ns / 1e9,
            context={},
            response=None,
            url=None,
            exception=None if whole else export_error(outcome.cause),
        )
