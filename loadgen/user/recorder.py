"""Writes the run file on the process that owns it: the master, or the only one."""

from __future__ import annotations

import os
import platform
import secrets
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import loadgen
from loadgen.pace import Rate
from loadgen.run import Counts, RunWriter, create_run
from loadgen.topology import Topology
from loadgen.user.options import LoadOptions
from loadgen.user.tally import Tally


def new_run_id(topology: str, now_s: float) -> str:
    """A name that sorts by time and says what was run: ``20260131-235959-checkout-3f9a``."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now_s))}-{topology[:24]}-{secrets.token_hex(2)}"


def new_seed() -> int:
    """A seed for a run that was given none."""
    return secrets.randbits(48)


def utc(now_s: float) -> str:
    """A time as text in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))


def circumstances() -> dict[str, Any]:
    """Versions and machine, as every run file has them."""
    names = ("locust", "numpy", "gevent")
    return {
        "versions": {"honua": loadgen.__version__, "python": platform.python_version()}
        | {name: version(name) for name in names},
        "host": {
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "kernel": platform.release(),
        },
    }


class Recorder:
    """The run file of the run that goes on, and the ledger's totals so far."""

    def __init__(
        self, options: LoadOptions, run_id: str, seed: int, topology: Topology, facts: Mapping[str, Any]
    ) -> None:
        self.path = Path(options.runs_dir) / run_id
        self.totals: dict[str, list[int]] = {}
        self.workers: set[int] = set()
        self._writer: RunWriter = create_run(
            Path(options.runs_dir),
            run_id,
            created_utc=utc(time.time()),
            command=" ".join(Path(arg).name if i == 0 else arg for i, arg in enumerate(sys.argv)),
            seed=str(seed),
            topology_name=topology.name,
            options=plain_options(options),
            note=options.note,
            delivery=options.delivery,
            spans_per_request=options.spans_per_request,
            grouping="by resource within a request",
            **circumstances(),
            **facts,
        )

    def rate(self, rate: Rate | None, traces_per_s: float, spans_per_trace: float) -> None:
        """Record the asked rate from now on."""
        text = rate.text if rate is not None else "by users"
        self._writer.rate(time.time(), traces_per_s, traces_per_s * spans_per_trace, text)

    def write(self, worker: int, tally: Tally) -> None:
        """Append what a worker counted."""
        self.workers.add(worker)
        for state, increments in tally.counts.items():
            row = self.totals.setdefault(state, [0, 0, 0, 0])
            for i, increment in enumerate(increments):
                row[i] += increment
        tally.write(self._writer, time.time(), worker)

    def counts(self, column: int = 0) -> Counts:
        """Totals in spans (0), traces (1) or requests (2)."""
        return Counts.of({state: row[column] for state, row in self.totals.items()})

    def close(self, **facts: object) -> None:
        """Write the run's last facts and close."""
        self._writer.meta(finished_utc=utc(time.time()), workers=sorted(self.workers), **facts)
        self._writer.close()


def plain_options(options: LoadOptions) -> dict[str, Any]:
    """The options as JSON values; no option holds a secret."""
    rate = options.rate.text if options.rate is not None else ""
    named = {name: getattr(options, name) for name in LoadOptions.__dataclass_fields__}
    return named | {
        "endpoint": options.endpoint.url + options.endpoint.path,
        "rate": rate,
        "seed": str(options.seed),
    }
