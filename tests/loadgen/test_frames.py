"""Tables of a run file as pandas frames and CSV files."""

from pathlib import Path

import pytest

from loadgen.errors import InputError
from loadgen.run import LedgerRow, create_run, open_run
from loadgen.run.frames import TABLES, frame, write_tables


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Path:
    with create_run(tmp_path, "r") as writer:
        writer.ledger([LedgerRow(1.0, 0, "sent", 20, 2, 1, 900), LedgerRow(2.0, 0, "sent", 30, 3, 1, 1300)])
    return tmp_path / "r"


def test_frame_holds_the_rows_of_its_table(run: Path) -> None:
    """Columns are the table's own, numbers stay numbers."""
    with open_run(run) as opened:
        ledger = frame(opened, "ledger")
    assert list(ledger.columns) == ["time_s", "worker", "state", "spans", "traces", "requests", "bytes"]
    assert int(ledger["spans"].sum()) == 50


def test_empty_table_keeps_its_columns(run: Path) -> None:
    """A run without samples gives an empty frame, not an error."""
    with open_run(run) as opened:
        assert list(frame(opened, "samples").columns)[:3] == ["time_s", "source", "quantity"]


def test_unknown_table_is_named(run: Path) -> None:
    """Only the tables of plain rows can be asked for."""
    with open_run(run) as opened, pytest.raises(InputError, match="table: got 'meta', must be one of ledger"):
        frame(opened, "meta")


def test_every_table_is_written(run: Path, tmp_path: Path) -> None:
    """One CSV file a table, with a header line."""
    with open_run(run) as opened:
        written = write_tables(opened, tmp_path / "csv")
    assert [path.stem for path in written] == list(TABLES)
    assert (tmp_path / "csv" / "ledger.csv").read_text().splitlines()[1] == "1.0,0,sent,20,2,1,900"


def test_folder_that_cannot_be_made_is_named(run: Path, tmp_path: Path) -> None:
    """A file in the way of the folder gives place and rule."""
    (tmp_path / "file").write_text("")
    with open_run(run) as opened, pytest.raises(InputError, match="--csv"):
        write_tables(opened, tmp_path / "file")
