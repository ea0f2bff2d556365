"""What can be looked at while a run goes on: a metrics page, a process, the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from loadgen.errors import RemoteError
from loadgen.measure.host import PROC, read_host, read_process
from loadgen.measure.http import Address
from loadgen.measure.names import System
from loadgen.measure.page import Page
from loadgen.measure.quantities import identify, read, read_version
from loadgen.measure.scrape import Clock, fetch_page
from loadgen.run.file import SampleRow

TIMEOUT_S = 5.0


class Taken(NamedTuple):
    """What one look gave: rows, or the reason why there are none; both after a restart."""

    time_s: float
    source: str
    rows: tuple[SampleRow, ...] = ()
    gap: str | None = None


class Probe(Protocol):
    """Something that can be looked at again and again."""

    def take(self, clock: Clock) -> Taken:
        """Look once; trouble on the other side is a gap, not an error."""


@dataclass(slots=True)
class PageProbe:
    """Looks at one metrics page and remembers whose it was and since when its process runs."""

    system: System
    address: Address
    headers: Mapping[str, str]
    timeout_s: float = TIMEOUT_S
    _source: str = field(default="", init=False)
    _since_s: float | None = field(default=None, init=False)

    def take(self, clock: Clock) -> Taken:
        """Look once."""
        time_s = clock.now_s()
        try:
            page = fetch_page(self.address, self.headers, self.timeout_s)
            self._source = self._identified(page)
        except RemoteError as error:
            return Taken(time_s, self._source or self.system, gap=f"{error.seen}; expected {error.expected}")
        rows = tuple(self._rows(page, time_s))
        return Taken(time_s, self._source, rows, self._restart(rows))

    def _identified(self, page: Page) -> str:
        found = identify(page)
        if found in {self.system, "sink"}:
            return str(found)
        seen = f"the page of the other system ({found})" if found else "a page without its names"
        raise RemoteError(self.address.url, seen, f"the {self.system}'s metrics")

    def _rows(self, page: Page, time_s: float) -> Iterator[SampleRow]:
        # The embedded stack shows both systems on one page: `as` keeps what it says for each apart,
        # and what it says of its one process is told once.
        mark = {"as": self.system} if self._source == "sink" else {}
        told = bool(mark) and self.system == "tempo"
        for quantity, labels, value in read(page, self.system):
            if told and quantity.absent is None:
                continue
            yield SampleRow(time_s, self._source, quantity.name, {**labels, **mark}, value, quantity.unit)
        version = read_version(page)
        if version:
            yield SampleRow(time_s, self._source, "version", {"version": version, **mark}, 1.0, "release")

    def _restart(self, rows: Sequence[SampleRow]) -> str | None:
        values = {row.quantity: row.value for row in rows}
        since_s = values.get("start_s", -values["uptime_s"] if "uptime_s" in values else None)
        before_s, self._since_s = self._since_s, since_s
        restarted = before_s is not None and since_s is not None and since_s > before_s
        return "restarted since the last look; its counters began again at 0" if restarted else None


@dataclass(slots=True)
class ProcessProbe:
    """Looks at one process of this machine; another process under the same pid is not it."""

    pid: int
    proc: Path = PROC
    _started_s: float | None = field(default=None, init=False)

    def take(self, clock: Clock) -> Taken:
        """Look once."""
        time_s = clock.now_s()
        try:
            use = read_process(self.pid, self.proc)
        except RemoteError as error:
            return Taken(time_s, "process", gap=f"{self.pid}: {error.seen}; expected {error.expected}")
        if self._started_s not in {None, use.started_s}:
            return Taken(time_s, "process", gap=f"{self.pid}: is another process now")
        self._started_s = use.started_s
        labels = {"pid": str(self.pid), "name": use.name}
        rss = SampleRow(time_s, "process", "rss_bytes", labels, use.rss_bytes, "bytes")
        return Taken(time_s, "process", (rss, SampleRow(time_s, "process", "cpu_s", labels, use.cpu_s, "s")))


@dataclass(slots=True)
class HostProbe:
    """Looks at the machine this runs on."""

    proc: Path = PROC

    def take(self, clock: Clock) -> Taken:
        """Look once."""
        time_s = clock.now_s()
        try:
            use = read_host(self.proc)
        except RemoteError as error:
            return Taken(time_s, "host", gap=f"{error.seen}; expected {error.expected}")
        units = {"memory_bytes": "bytes", "available_bytes": "bytes", "cores": "cores", "cpu_busy_s": "s"}
        rows = (SampleRow(time_s, "host", name, {}, getattr(use, name), unit) for name, unit in units.items())
        return Taken(time_s, "host", tuple(rows))
