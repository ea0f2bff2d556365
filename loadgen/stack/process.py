"""One child process: its log in a file, its readiness awaited, its end certain."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from loadgen.errors import RemoteError
from loadgen.measure.http import fetch, parse_address

Ports = Mapping[str, int]

LOOPBACK = "127.0.0.1"
NAP_S = 0.05
ATTEMPTS = 3  # a free port may be taken by another process before ours opens it


def free_ports(number: int) -> list[int]:
    """That many different TCP ports of the loopback address nobody listens on right now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]


class Child:
    """A running child process; leaving the ``with`` block ends it."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches us alone, and we end it in order.
            self._process = subprocess.Popen(  # noqa: S603 - programs the user named or installed
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def stop(self, grace_s: float = 10.0) -> int:
        """Its exit code after SIGTERM and, ``grace_s`` [s] later, SIGKILL; a second call only tells it."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_words(self, lines: int = 6) -> str:
        """The end of its log on one line."""
        told = [line.strip() for line in self.log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return " | ".join(told[-lines:]) or "no word in its log"


def answers(url: str) -> bool:
    """Whether a GET of ``url`` gives HTTP 200 within a second."""
    try:
        fetch(parse_address(url, "/"), {}, timeout_s=1.0)
    except RemoteError:
        return False
    return True


def accepts(port: int) -> bool:
    """Whether somebody listens on this port of the loopback address."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


class _PortTakenError(RemoteError):
    """Another process took a port between our finding it free and the child's opening it."""


def await_ready(child: Child, ready: Callable[[], bool], ready_s: float) -> None:
    """Return once ``ready`` holds.

    Raises:
        RemoteError: The child ended or was not ready within ``ready_s`` [s]; it holds the log's last lines.
    """
    give_up_s = time.monotonic() + ready_s
    while True:
        # In this order: what answers after the child ended is not the child.
        if ready() and child.exit_code is None:
            return
        ended = child.exit_code
        if ended is not None or time.monotonic() > give_up_s:
            seen = "not ready" if ended is None else f"ended with code {ended}"
            words = child.last_words()
            kind = _PortTakenError if "address already in use" in words else RemoteError
            raise kind(str(child.log), f"{seen}: {words}", f"ready within {ready_s:g} s")
        time.sleep(NAP_S)


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a program that takes its ports from environment variables named ``port_variables``."""

    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    port_variables: Sequence[str]

    def start(self, ready: Callable[[Ports], bool], ready_s: float) -> tuple[Child, Ports]:
        """The running child once ``ready``, and its ports by variable.

        Raises:
            RemoteError: It ended or was not ready within ``ready_s`` [s].
        """
        for _ in range(ATTEMPTS - 1):
            with suppress(_PortTakenError):
                return self._start(ready, ready_s)
        return self._start(ready, ready_s)

    def _start(self, ready: Callable[[Ports], bool], ready_s: float) -> tuple[Child, Ports]:
        ports = dict(zip(self.port_variables, free_ports(len(self.port_variables)), strict=True))
        shown = {variable: str(port) for variable, port in ports.items()}
        child = Child(self.arguments, self.log, {**shown, **self.environment})
        try:
            await_ready(child, lambda: ready(ports), ready_s)
        except BaseException:
            child.stop()
            raise
        return child, ports
