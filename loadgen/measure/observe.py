"""Watches Collector, Tempo, processes and the machine while a run goes on, and writes it into the run file.

A target that is down, slow or answers nonsense leaves a gap in the record and is asked again next time.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from loadgen.errors import InputError
from loadgen.measure.http import headers_from, parse_address
from loadgen.measure.names import System
from loadgen.measure.probes import TIMEOUT_S, HostProbe, PageProbe, Probe, ProcessProbe, Taken
from loadgen.measure.scrape import Clock, SystemClock
from loadgen.run import RunWriter, open_run

NAP_S = 0.2  # how late a stop may be noticed


class Target(NamedTuple):
    """A metrics page to read, and whose it should be."""

    system: System
    url: str


def _nap_until(time_s: float, stop: Callable[[], bool], clock: Clock) -> None:
    while not stop() and (left_s := time_s - clock.now_s()) > 0:
        clock.sleep(min(left_s, NAP_S))


def _write(writer: RunWriter, taken: Sequence[Taken]) -> None:
    writer.samples(row for one in taken for row in one.rows)
    for one in taken:
        if one.gap:
            writer.gap(one.time_s, one.source, one.gap)


def watch(run: Path, probes: Sequence[Probe], interval_s: float, stop: Callable[[], bool], clock: Clock) -> None:
    """Look at every probe each ``interval_s`` [s] until ``stop``, and once more after it.

    The last look is the one that sees what the stack had counted when the load had ended. Looks that
    fall due while one is still going on are left out.
    """
    with RunWriter(_file(run)) as writer, ThreadPoolExecutor(max_workers=max(1, len(probes))) as pool:
        due_s = clock.now_s()
        while True:
            last = stop()
            # All at once: a silent target must not make the others' looks late.
            _write(writer, list(pool.map(lambda probe: probe.take(clock), probes)))
            if last:
                return
            due_s += interval_s * (1 + max(0.0, clock.now_s() - due_s) // interval_s)
            _nap_until(due_s, stop, clock)


def _file(run: Path) -> Path:
    with open_run(run) as opened:
        return opened.path


def _going_on(run: Path) -> Path:
    with open_run(run) as opened:
        ended = opened.meta().get("finished_utc")
        if ended is not None:
            raise InputError(str(run), f"ended at {ended}", "must be a run that goes on")
        return opened.path


def _has_ended(path: Path) -> bool:
    with open_run(path) as opened:
        return bool(opened.query("SELECT 1 FROM meta WHERE key = 'finished_utc'"))


def _page_probes(targets: Sequence[Target], interval_s: float) -> list[Probe]:
    if not interval_s > 0:
        raise InputError("--interval", interval_s, "must be more than 0 s")
    headers, timeout_s = headers_from(), min(TIMEOUT_S, max(1.0, interval_s))
    return [PageProbe(target.system, parse_address(target.url), headers, timeout_s) for target in targets]


def observe(run: Path, targets: Sequence[Target], interval_s: float, stop: Callable[[], bool], clock: Clock) -> None:
    """Write what ``targets`` show each ``interval_s`` [s] into ``run`` until ``stop`` and once after it.

    Raises:
        InputError: No such run, not a URL, an interval that is none.
    """
    watch(run, _page_probes(targets, interval_s), interval_s, stop, clock)


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    stopped = threading.Event()
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in wanted]
    try:
        yield stopped
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)


def run_observer(
    run: Path,
    collector_url: str | None,
    tempo_url: str | None,
    pids: Sequence[int] = (),
    interval_s: float = 1.0,
) -> None:
    """Observe in the foreground until SIGTERM, SIGINT or the end of the run or of the parent; main thread only.

    Raises:
        InputError: Nothing to observe, no such run, one that has ended, not a URL, an interval that is none.
    """
    asked: dict[System, str | None] = {"collector": collector_url, "tempo": tempo_url}
    targets = [Target(system, url) for system, url in asked.items() if url]
    if not targets and not pids:
        raise InputError("observe", "no target", "needs a Collector's or Tempo's URL, or a pid")
    probes = [*_page_probes(targets, interval_s), *map(ProcessProbe, pids), HostProbe()]
    path = _going_on(run)
    with RunWriter(path) as writer:
        shown = {target.system: target.url.partition("?")[0] for target in targets}  # a query may hold a secret
        writer.meta(observe={"targets": shown, "pids": list(pids), "interval_s": interval_s})
    parent = os.getppid()
    with _stopped_by_signals() as stopped:
        over = lambda: stopped.is_set() or os.getppid() != parent or _has_ended(path)  # noqa: E731
        watch(run, probes, interval_s, over, SystemClock())
