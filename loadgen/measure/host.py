"""Memory and CPU of processes and of the machine, as Linux tells them under /proc.

Source: proc(5).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from loadgen.errors import RemoteError

PROC = Path("/proc")


class ProcessUse(NamedTuple):
    """What one process holds and has used; ``started_s`` [s since boot] tells a reused pid apart."""

    name: str
    rss_bytes: int
    cpu_s: float
    started_s: float


class HostUse(NamedTuple):
    """What the machine has and has used, over all cores."""

    memory_bytes: int
    available_bytes: int
    cores: int
    cpu_busy_s: float


def parse_process(stat: str, page_bytes: int, ticks_per_s: int) -> ProcessUse:
    """The use of a process from its ``stat``.

    Raises:
        ValueError: Not such a text.
    """
    # The name stands in brackets and may hold blanks and brackets itself: the last one ends it.
    before, _, after = stat.rpartition(")")
    fields = after.split()
    if len(fields) < 22:
        raise ValueError(stat)
    user, system, started, pages = (int(fields[i]) for i in (11, 12, 19, 21))
    return ProcessUse(
        before.partition("(")[2], pages * page_bytes, (user + system) / ticks_per_s, started / ticks_per_s
    )


def parse_memory(meminfo: str) -> tuple[int, int]:
    """Total and available memory [bytes] from ``meminfo``.

    Raises:
        ValueError: A line is missing or holds no number.
    """
    rows = {key: value.split() for key, _, value in (line.partition(":") for line in meminfo.splitlines())}
    try:
        return int(rows["MemTotal"][0]) * 1024, int(rows["MemAvailable"][0]) * 1024
    except (KeyError, IndexError) as error:
        raise ValueError(meminfo) from error


def parse_cpu(stat: str, ticks_per_s: int) -> tuple[int, float]:
    """Cores and the seconds they were busy since boot, from the machine's ``stat``.

    Raises:
        ValueError: Not such a text.
    """
    lines = [line.split() for line in stat.splitlines() if line.startswith("cpu")]
    if not lines or len(lines[0]) < 9:
        raise ValueError(stat)
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in lines[0][1:9])
    return len(lines) - 1, (user + nice + system + irq + softirq + steal) / ticks_per_s


def _ticks_per_s() -> int:
    return os.sysconf("SC_CLK_TCK")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise RemoteError(str(path), error.strerror or "unreadable", "a process or machine under /proc") from error


def read_process(pid: int, proc: Path = PROC) -> ProcessUse:
    """What process ``pid`` holds and has used.

    Raises:
        RemoteError: No such process, or no /proc here.
    """
    path = proc / str(pid) / "stat"
    try:
        return parse_process(_text(path), os.sysconf("SC_PAGE_SIZE"), _ticks_per_s())
    except ValueError as error:
        raise RemoteError(str(path), "another form", "the fields of proc(5)") from error


def read_host(proc: Path = PROC) -> HostUse:
    """What the machine has and has used.

    Raises:
        RemoteError: No /proc here.
    """
    try:
        cores, busy_s = parse_cpu(_text(proc / "stat"), _ticks_per_s())
        return HostUse(*parse_memory(_text(proc / "meminfo")), cores, busy_s)
    except ValueError as error:
        raise RemoteError(str(proc), "another form", "the fields of proc(5)") from error
