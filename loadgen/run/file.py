"""One SQLite file per run, written as the run goes on and readable at any moment.

Several processes may write to it (the load, the observer, an audit): SQLite's write-ahead
log keeps readers and writers apart, and a kill loses at most the second not yet written.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from loadgen.errors import InputError
from loadgen.run.ledger import COUNTED, Counts
from loadgen.run.schema import FORMAT, SCHEMA

Starts = np.ndarray[tuple[int], np.dtype[np.int64]]


class BlockRow(NamedTuple):
    """A block of traces that was drawn: who drew it, its number, its size and intended starts [ns]."""

    worker: int
    block: int
    spans: int
    starts_ns: Starts


class LedgerRow(NamedTuple):
    """What one worker counted in one state during the interval that ended at ``time_s``."""

    time_s: float
    worker: int
    state: str
    spans: int
    traces: int
    requests: int
    bytes: int


class TroubleRow(NamedTuple):
    """Traces [first, first + traces) of a block that ended in ``state``, and why."""

    worker: int
    block: int
    first: int
    traces: int
    spans: int
    state: str
    cause: str


class SampleRow(NamedTuple):
    """One scraped value; ``labels`` as given by the target."""

    time_s: float
    source: str
    quantity: str
    labels: Mapping[str, str]
    value: float
    unit: str


def pack_starts(starts_ns: Starts) -> bytes:
    """Intended starts as compressed differences; even pacing shrinks to almost nothing."""
    return zlib.compress(np.diff(starts_ns, prepend=0).astype("<i8").tobytes(), 1)


def unpack_starts(packed: bytes) -> Starts:
    """The inverse of :func:`pack_starts`."""
    return np.cumsum(np.frombuffer(zlib.decompress(packed), "<i8"), dtype=np.int64)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=10,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA busy_timeout = 10000")
    return connection


class RunWriter:
    """Appends to a run file; each call is one transaction, so a kill between two calls loses neither."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = _connect(path, "rw")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    def _many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk can fail the commit as well; only what is still open can be rolled back.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def meta(self, **values: object) -> None:
        """Set named facts of the run; values are stored as JSON."""
        rows = [(key, json.dumps(value, sort_keys=True)) for key, value in values.items()]
        self._many("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def blocks(self, rows: Iterable[BlockRow]) -> None:
        """Record drawn blocks; a block number seen twice is an error."""
        packed = [(r.worker, r.block, len(r.starts_ns), r.spans, pack_starts(r.starts_ns)) for r in rows]
        self._many("INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", packed)

    def ledger(self, rows: Iterable[LedgerRow]) -> None:
        """Append ledger increments."""
        self._many("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def lateness(self, rows: Iterable[tuple[float, int, int, int]]) -> None:
        """Append lateness counts: (time_s, worker, bucket upper bound in us, requests)."""
        self._many("INSERT INTO lateness VALUES (?, ?, ?, ?)", rows)

    def trouble(self, rows: Iterable[TroubleRow]) -> None:
        """Append traces that did not simply arrive."""
        self._many("INSERT INTO trouble VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def rate(self, time_s: float, traces_per_s: float, spans_per_s: float, text: str) -> None:
        """Record the asked total rate from ``time_s`` on."""
        self._many("INSERT INTO rates VALUES (?, ?, ?, ?)", [(time_s, traces_per_s, spans_per_s, text)])

    def samples(self, rows: Iterable[SampleRow]) -> None:
        """Append scraped values."""
        flat = [
            (r.time_s, r.source, r.quantity, json.dumps(dict(r.labels), sort_keys=True), r.value, r.unit) for r in rows
        ]
        self._many("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?)", flat)

    def gap(self, time_s: float, source: str, reason: str) -> None:
        """Record that a target could not be read."""
        self._many("INSERT INTO gaps VALUES (?, ?, ?)", [(time_s, source, reason)])

    def audit(self, time_s: float, result: Mapping[str, object]) -> None:
        """Append an audit's result."""
        self._many("INSERT INTO audits VALUES (?, ?)", [(time_s, json.dumps(result, sort_keys=True))])


class RunFile:
    """Reads a run file, finished or not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = _connect(path, "ro")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of any SELECT; for pandas, pass the result to ``DataFrame``.

        Raises:
            InputError: The file is damaged, or not what its format says.
        """
        try:
            return self._db.execute(statement, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        return InputError("RUN", str(self.path), f"is damaged ({error})")

    def _plain(self, text: str) -> Any:  # noqa: ANN401  (JSON)
        try:
            return json.loads(text)
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def meta(self) -> dict[str, Any]:
        """All named facts of the run."""
        return {key: self._plain(value) for key, value in self.query("SELECT key, value FROM meta")}

    def blocks(self) -> list[BlockRow]:
        """Every block drawn, in order of its number."""
        rows = self.query("SELECT worker, block, spans, starts FROM blocks ORDER BY block")
        try:
            return [BlockRow(worker, block, spans, unpack_starts(starts)) for worker, block, spans, starts in rows]
        except (zlib.error, ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def counts(self, column: str = "spans") -> Counts:
        """The ledger's totals in ``spans``, ``traces`` or ``requests``."""
        if column not in {"spans", "traces", "requests", "bytes"}:
            raise InputError("column", column, "must be spans, traces, requests or bytes")
        totals = dict(self.query(f"SELECT state, SUM({column}) FROM ledger GROUP BY state"))  # noqa: S608
        return Counts.of({state: totals.get(state, 0) for state in COUNTED})

    def trouble(self) -> list[TroubleRow]:
        """Traces that did not simply arrive."""
        return [TroubleRow(*row) for row in self.query("SELECT * FROM trouble ORDER BY block, first")]

    def samples(self, source: str, quantity: str) -> list[SampleRow]:
        """One scraped series, in time order."""
        rows = self.query("SELECT * FROM samples WHERE source = ? AND quantity = ? ORDER BY time_s", source, quantity)
        return [SampleRow(t, s, q, self._plain(labels), value, unit) for t, s, q, labels, value, unit in rows]

    def audits(self) -> list[dict[str, Any]]:
        """Results of audits, oldest first."""
        return [self._plain(result) for (result,) in self.query("SELECT result FROM audits ORDER BY time_s")]


def create_run(folder: Path, run_id: str, **meta: object) -> RunWriter:
    """A new run file ``folder/run_id/run.sqlite`` with its first facts written.

    Raises:
        InputError: The run exists already, or no file can be made there.
    """
    path = folder / run_id / "run.sqlite"
    try:
        if path.exists():
            raise InputError(str(path), run_id, "exists already; a run is never written over")
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _connect(path, "rwc")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)
        connection.close()
    except (OSError, sqlite3.OperationalError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("runs directory", str(folder), f"must be a directory to write to ({reason})") from error
    writer = RunWriter(path)
    writer.meta(format=FORMAT, run_id=run_id, **meta)
    return writer


def _locate(run: Path) -> Path:
    return run / "run.sqlite" if run.is_dir() else run


def open_run(run: Path) -> RunFile:
    """The run at ``run``: its folder or its file.

    Raises:
        InputError: No file there, not a run file, or of a format this release does not know.
    """
    path = _locate(run)
    if not path.is_file():
        raise InputError("RUN", str(run), "must be a run's folder or its run.sqlite")
    try:
        with RunFile(path) as probe:
            found = probe.meta().get("format")
    except (sqlite3.DatabaseError, InputError) as error:
        raise InputError("RUN", str(run), f"is not a run file ({error.__cause__ or error})") from error
    if found != FORMAT:
        raise InputError(f"{run}: format", found, f"must be {FORMAT}")
    return RunFile(path)
