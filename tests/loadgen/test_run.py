"""The run file: written as a run goes on, readable at any moment, and after anything that ends the writer."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.errors import InputError
from loadgen.run import (
    FORMAT,
    BlockRow,
    Counts,
    LedgerRow,
    RunFile,
    RunWriter,
    SampleRow,
    TroubleRow,
    create_run,
    open_run,
)
from loadgen.run.file import pack_starts, unpack_starts

T = 1_800_000_000 * 10**9
BLOCKS = [
    BlockRow(0, 0, 46, np.arange(3, dtype=np.int64) * 10**6 + T),
    BlockRow(1, 2**40 + 5, 1, np.array([T], np.int64)),
    BlockRow(2, 2**62, 7, np.array([T + 5, T + 5, T + 2**61], np.int64)),
]
LEDGER = [
    LedgerRow(1.0, 0, "offered", 100, 10, 3, 0),
    LedgerRow(1.0, 0, "sent", 80, 8, 2, 5000),
    LedgerRow(2.0, 1, "accepted", 70, 7, 2, 0),
    LedgerRow(2.5, 0, "unknown", 5, 0, 1, 0),
    LedgerRow(2.5, 0, "offered", 11, 1, 0, 0),
]
TROUBLE = [TroubleRow(0, 2**62, 1, 2, 6, "refused", "HTTP 503"), TroubleRow(0, 0, 0, 1, 3, "shed", "backlog full")]
SAMPLES = [
    SampleRow(2.0, "collector", "accepted_spans", {"receiver": "otlp", "ü": "\n"}, 5.0, "spans"),
    SampleRow(1.0, "collector", "accepted_spans", {}, 2.0**53, "spans"),
    SampleRow(1.0, "tempo", "accepted_spans", {}, 0.0, "spans"),
]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder for runs that is not there yet, with a name that a URI must quote."""
    return tmp_path / "runs of 100% #1?"


def plain(row: BlockRow) -> tuple[int, int, int, list[int]]:
    """A block's row as values that compare."""
    return row.worker, row.block, row.spans, row.starts_ns.tolist()


# --- round trip ----------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(runs: Path) -> None:
    """Facts, blocks, ledger, trouble, samples and audits come back as they went in."""
    with create_run(runs, "r1", seed="123", options={"rate": "5/s", "gzip": True}) as writer:
        writer.blocks(BLOCKS)
        writer.ledger(LEDGER)
        writer.trouble(TROUBLE)
        writer.samples(SAMPLES)
        writer.lateness([(1.0, 0, 100, 5), (2.0, 0, 100, 2)])
        writer.rate(0.5, 10.0, 460.0, "10/s")
        writer.gap(1.5, "tempo", "down")
        writer.audit(9.0, {"lost": 0})
        writer.audit(10.0, {"lost": 1})
        writer.meta(seed="124", note="two\nlines ü")
    with open_run(runs / "r1") as run:
        facts = {"format": FORMAT, "run_id": "r1", "options": {"rate": "5/s", "gzip": True}}
        assert run.meta() == facts | {"seed": "124", "note": "two\nlines ü"}
        assert list(map(plain, run.blocks())) == list(map(plain, BLOCKS))
        assert run.trouble() == [TROUBLE[1], TROUBLE[0]]
        assert run.samples("collector", "accepted_spans") == [SAMPLES[1], SAMPLES[0]]
        assert run.query("SELECT SUM(requests) FROM lateness WHERE le_us = ?", 100) == [(7,)]
        assert run.query("SELECT * FROM rates") == [(0.5, 10.0, 460.0, "10/s")]
        assert run.query("SELECT * FROM gaps") == [(1.5, "tempo", "down")]
        assert run.audits() == [{"lost": 0}, {"lost": 1}]


def test_the_ledger_adds_up_over_workers_and_time(runs: Path) -> None:
    """Totals in each of the things that are counted; a state that nobody counted is 0."""
    with create_run(runs, "r1") as writer:
        writer.ledger(LEDGER)
    with open_run(runs / "r1") as run:
        assert run.counts() == Counts(offered=111, sent=80, accepted=70, unknown=5)
        assert run.counts("traces") == Counts(offered=11, sent=8, accepted=7)
        assert run.counts("requests") == Counts(offered=3, sent=2, accepted=2, unknown=1)
        assert run.counts("bytes") == Counts(sent=5000)
        with pytest.raises(InputError, match="column: got 'state'"):
            run.counts("state")


def test_an_empty_run_is_a_run(runs: Path) -> None:
    """A run that was stopped before it sent anything says so by what is not there."""
    create_run(runs, "r1").close()
    with open_run(runs / "r1") as run:
        assert (run.counts(), run.blocks(), run.trouble(), run.audits()) == (Counts(), [], [], [])


@given(st.lists(st.integers(-(2**40), 2**62), max_size=200))
def test_starts_survive_packing(starts: list[int]) -> None:
    """Any intended starts come back to the nanosecond."""
    packed = pack_starts(np.array(starts, np.int64))
    assert unpack_starts(packed).tolist() == starts


def test_even_starts_pack_to_almost_nothing() -> None:
    """Ten thousand starts of an even schedule take half a kilobyte."""
    assert len(pack_starts(np.arange(10_000, dtype=np.int64) * 1_000_000 + T)) < 512


def test_a_run_is_opened_by_folder_or_file(runs: Path) -> None:
    """Both name the same run."""
    create_run(runs, "r1").close()
    for path in (runs / "r1", runs / "r1" / "run.sqlite"):
        with open_run(path) as run:
            assert run.meta()["run_id"] == "r1"


def test_reading_changes_nothing(runs: Path) -> None:
    """A reader cannot write, whatever statement it is given."""
    create_run(runs, "r1").close()
    with open_run(runs / "r1") as run, pytest.raises(InputError, match="readonly"):
        run.query("DELETE FROM meta")
    with open_run(runs / "r1") as run:
        assert run.meta()["run_id"] == "r1"


# --- while it is written, and after a kill ---------------------------------------------------------------------------


def test_a_run_is_readable_while_it_is_written(runs: Path) -> None:
    """Each call is seen by a reader that was open before it."""
    with create_run(runs, "r1") as writer, open_run(runs / "r1") as run:
        assert run.counts() == Counts()
        writer.ledger(LEDGER)
        assert run.counts().offered == 111
        writer.ledger([LedgerRow(3.0, 0, "offered", 9, 1, 0, 0)])
        assert run.counts().offered == 120


def test_a_call_is_written_whole_or_not_at_all(runs: Path) -> None:
    """Rows before the one that fails are not kept, and the writer goes on."""
    with create_run(runs, "r1") as writer:
        writer.blocks(BLOCKS[:1])
        with pytest.raises(sqlite3.IntegrityError):
            writer.blocks([BLOCKS[1], BLOCKS[0]])
        writer.blocks(BLOCKS[1:])
    with open_run(runs / "r1") as run:
        assert [row.block for row in run.blocks()] == [0, 2**40 + 5, 2**62]


WRITES = """
import sys
from pathlib import Path
from loadgen.run import LedgerRow, BlockRow, RunWriter
import numpy as np

writer = RunWriter(Path(sys.argv[1]))
worker, steps = int(sys.argv[2]), int(sys.argv[3])
for step in range(steps):
    spans = {"offered": 100, "sent": 90, "accepted": 80, "refused": 5, "shed": 4}
    writer.blocks([BlockRow(worker, worker * 2**40 + step, 100, np.arange(10) + step)])
    writer.ledger(LedgerRow(step, worker, state, n, n // 10, 1, n) for state, n in spans.items())
    if step == 5:
        print("going", flush=True)
print("done", flush=True)
"""


def write_elsewhere(path: Path, worker: int, steps: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITES, str(path), str(worker), str(steps)]
    root = Path(__file__).parent.parent.parent
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


def test_a_killed_writer_leaves_a_run_that_balances(runs: Path) -> None:
    """Kill -9 in the middle of a run: the file opens, and its ledger balances up to the last call that was done."""
    writer = create_run(runs, "r1")
    writer.close()
    with write_elsewhere(writer.path, 0, 10**6) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with open_run(runs / "r1") as run:
        counts, blocks = run.counts(), run.blocks()
        assert counts.offered >= 600
        assert counts.balances
        assert (counts.waiting, counts.in_flight) == (counts.offered // 100 * 6, counts.offered // 100 * 5)
        assert 0 <= len(blocks) - counts.offered // 100 <= 1
        assert counts.settled().unknown == counts.in_flight


def test_a_killed_run_goes_on_being_written(runs: Path) -> None:
    """An audit is appended to what a kill left."""
    writer = create_run(runs, "r1")
    writer.close()
    with write_elsewhere(writer.path, 0, 10**6) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    with RunWriter(writer.path) as again:
        again.audit(1.0, {"lost": 5})
    with open_run(runs / "r1") as run:
        assert (run.audits(), run.counts().balances) == ([{"lost": 5}], True)


def test_processes_write_to_one_run(runs: Path) -> None:
    """Load, observer and audit at the same time: nobody's row is lost, nobody fails over the other."""
    writer = create_run(runs, "r1")
    processes = [write_elsewhere(writer.path, worker, 60) for worker in range(3)]
    with writer:
        for i in range(60):
            writer.samples([SampleRow(i, "tempo", "x", {}, i, "1")])
    assert [process.communicate(timeout=60)[0] for process in processes] == ["going\ndone\n"] * 3
    with open_run(runs / "r1") as run:
        assert run.counts().offered == 3 * 60 * 100
        assert (len(run.blocks()), len(run.samples("tempo", "x"))) == (180, 60)


def test_threads_have_writers_of_their_own(runs: Path) -> None:
    """Writers in one process wait for each other, too."""
    path = create_run(runs, "r1").path
    errors: list[BaseException] = []

    def write(worker: int) -> None:
        try:
            with RunWriter(path) as writer:
                for i in range(40):
                    writer.ledger([LedgerRow(i, worker, "offered", 1, 1, 1, 1)])
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with open_run(runs / "r1") as run:
        assert (errors, run.counts().offered) == ([], 160)


# --- what is no run --------------------------------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_run(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_that_is_not_there_is_named(runs: Path) -> None:
    """A wrong path, an empty folder and a folder of runs are not runs."""
    runs.mkdir()
    rule = "must be a run's folder or its run.sqlite"
    for path in (runs / "none", runs, runs / "none" / "run.sqlite"):
        assert refused(path) == f"RUN: got {str(path)!r}, {rule}"


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (x)")
    database.close()


def meta_of(value: str | None) -> Callable[[Path], None]:
    """Writes a database with a meta table that gives the format so."""

    def write(path: Path) -> None:
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            if value is not None:
                database.execute("INSERT INTO meta VALUES ('format', ?)", (value,))
        database.close()

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "is not a run file (no such table: meta)"),
        (lambda path: path.write_text("hello" * 1000), "is not a run file (file is not a database)"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(4096)), "is not a run file ("),
        (other_database, "is not a run file (no such table: meta)"),
        (meta_of("no JSON"), "is not a run file (Expecting value"),
        (meta_of(None), "format: got None, must be 1"),
        (meta_of("2"), "format: got 2, must be 1"),
        (meta_of('"1"'), "format: got '1', must be 1"),
    ],
)
def test_another_file_is_no_run(tmp_path: Path, write: Callable[[Path], object], message: str) -> None:
    """Any file that this release cannot read says what is wrong with it, and is let go of."""
    path = tmp_path / "run.sqlite"
    write(path)
    assert message in refused(path)
    path.unlink()


def test_a_damaged_run_says_so(runs: Path) -> None:
    """A file that breaks off is refused where it is read, without a traceback."""
    with create_run(runs, "r1") as writer:
        writer.trouble([TroubleRow(0, i, 0, 1, 3, "shed", "x" * 500) for i in range(2000)])
    path = runs / "r1" / "run.sqlite"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"RUN: got .*, is (damaged|not a run file) \("), open_run(path) as run:
        run.trouble()


DAMAGES = [
    ("UPDATE meta SET value = '{' WHERE key = 'note'", RunFile.meta),
    ("UPDATE blocks SET starts = x'00'", RunFile.blocks),
    ("UPDATE blocks SET starts = 'text'", RunFile.blocks),
    ("UPDATE audits SET result = 'text'", RunFile.audits),
    ("DROP TABLE audits", RunFile.audits),
    ("DROP TABLE ledger", RunFile.counts),
]


@pytest.mark.parametrize(("damage", "read"), DAMAGES)
def test_nonsense_in_a_run_is_damage(runs: Path, damage: str, read: Callable[[RunFile], object]) -> None:
    """A run from another hand, or of a fault, is refused by what cannot be read in it."""
    with create_run(runs, "r1", note="x") as writer:
        writer.blocks(BLOCKS)
        writer.audit(1.0, {})
    with sqlite3.connect(writer.path) as database:
        database.execute(damage)
    database.close()
    with RunFile(writer.path) as run, pytest.raises(InputError, match=r"RUN: got .*, is damaged \("):
        read(run)


def test_a_run_is_never_written_over(runs: Path) -> None:
    """The same name twice is an error, and the first run stays."""
    create_run(runs, "r1", note="first").close()
    with pytest.raises(InputError, match="exists already; a run is never written over"):
        create_run(runs, "r1", note="second")
    with open_run(runs / "r1") as run:
        assert run.meta()["note"] == "first"


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, place: str) -> None:
    """A runs directory that is a file, or on a file system that takes none, is wrong use."""
    (tmp_path / "file").write_text("")
    folder = tmp_path / place
    with pytest.raises(InputError) as caught:
        create_run(folder, "r1")
    assert str(caught.value).startswith(f"runs directory: got {str(folder)!r}, must be a directory to write to (")


PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
FACTS = st.dictionaries(st.text(max_size=5), st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3)))


@given(FACTS)
@settings(max_examples=20)
def test_facts_are_json(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, object]) -> None:
    """Any JSON value may be a fact of a run, under any name."""
    folder = tmp_path_factory.mktemp("runs")
    with create_run(folder, "r1") as writer:
        writer.meta(**{f"x{key}": value for key, value in facts.items()})
    with RunFile(folder / "r1" / "run.sqlite") as run:
        found = {key[1:]: value for key, value in run.meta().items() if key.startswith("x")}
    assert json.dumps(found, sort_keys=True) == json.dumps(facts, sort_keys=True)
