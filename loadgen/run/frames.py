"""Tables of a run file as pandas frames, for notebooks and spreadsheets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import InputError
from loadgen.run.file import RunFile

if TYPE_CHECKING:
    from pandas import DataFrame

# Tables whose rows are plain values; times are seconds since the epoch.
TABLES = ("ledger", "lateness", "trouble", "rates", "samples", "gaps")


def frame(run: RunFile, table: str) -> DataFrame:
    """One table of a run, a row a record; an empty table keeps its columns.

    Args:
        run: The run file.
        table: One of TABLES.

    Raises:
        InputError: No such table.
    """
    from pandas import DataFrame  # noqa: PLC0415  (half a second that only tables pay)

    if table not in TABLES:
        raise InputError("table", table, f"must be one of {', '.join(TABLES)}")
    columns = [name for _, name, *_ in run.query(f"PRAGMA table_info({table})")]
    return DataFrame(run.query(f"SELECT * FROM {table}"), columns=columns)  # noqa: S608  (one of TABLES)


def write_tables(run: RunFile, folder: Path) -> list[Path]:
    """Every table of a run as ``folder/TABLE.csv``.

    Raises:
        InputError: The folder cannot be written to.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table in TABLES:
            written.append(folder / f"{table}.csv")
            frame(run, table).to_csv(written[-1], index=False)
    except OSError as error:
        raise InputError("--csv", str(folder), f"must be a folder to write to ({error.strerror})") from error
    return written
