"""Reading storage blocks: real ones of both formats, merged, damaged, half there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from loadgen.blocks import BlockContents, find_blocks, read_block, read_blocks
from loadgen.blocks import read as reading
from loadgen.blocks.read import unique_counts
from loadgen.errors import InputError

BLOCKS = Path(__file__).parent.parent / "data" / "blocks"


def _by_id(contents: BlockContents) -> dict[str, tuple[int, int, str | None]]:
    columns = (contents.spans.tolist(), contents.unique_spans.tolist(), contents.run_ids)
    ids = [found.tobytes().hex() for found in contents.ids]
    return dict(zip(ids, zip(*columns, strict=True), strict=True))


def _tenant(folder: Path, **blocks: str) -> Path:
    """A backend with the named blocks, each a copy of one of the real ones."""
    for name, source in blocks.items():
        shutil.copytree(BLOCKS / source, folder / "single-tenant" / name)
    return folder


@pytest.mark.parametrize(
    ("block", "traces", "spans"),
    [
        ("vParquet4-deploy", 25, 466),
        ("vParquet5-deploy", 25, 466),
        ("vParquet4-shop", 20, 400),
        ("vParquet4-edges", 10, 49),
    ],
)
def test_real_block(block: str, traces: int, spans: int) -> None:
    """A block of either format gives its traces in order, with their spans, size and format."""
    contents = read_block(BLOCKS / block)

    ids = [found.tobytes() for found in contents.ids]
    size_bytes = (BLOCKS / block / "data.parquet").stat().st_size
    assert (traces, traces, spans) == (contents.objects, len(ids), int(contents.spans.sum()))
    assert sorted(set(ids)) == ids
    assert (size_bytes, block.split("-", maxsplit=1)[0]) == (contents.data_bytes, contents.format)
    assert (np.uint8, np.int64, np.int64) == (
        contents.ids.dtype,
        contents.spans.dtype,
        contents.unique_spans.dtype,
    )


def test_formats_hold_the_same() -> None:
    """The same spans stored as vParquet4 and as vParquet5 read the same."""
    assert _by_id(read_block(BLOCKS / "vParquet4-deploy")) == _by_id(read_block(BLOCKS / "vParquet5-deploy"))


def test_unique_spans_and_runs() -> None:
    """Span ids that come more than once count once, and a trace has the run its resources name, or none."""
    found = _by_id(read_block(BLOCKS / "vParquet4-edges"))

    tree, triple, none = (f"{n:0>32}" for n in ("e5", "f6", "1"))
    assert found[tree] == (16, 15, "run-edges")  # a client and a server of one id
    assert found[triple] == (4, 2, "run-edges")
    assert none not in found
    assert {None} == set(read_block(BLOCKS / "vParquet4-shop").run_ids)


def test_small_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading two rows at a time gives what reading all at once gives."""
    expected = _by_id(read_block(BLOCKS / "vParquet4-edges"))

    monkeypatch.setattr(reading, "BATCH_ROWS", 2)

    assert expected == _by_id(read_block(BLOCKS / "vParquet4-edges"))


def test_trace_in_two_blocks_is_one(tmp_path: Path) -> None:
    """Spans of a trace in two blocks add up, span ids it has in both count once, other traces stay."""
    folder = _tenant(tmp_path, a="vParquet4-deploy", b="vParquet5-deploy", c="vParquet4-edges")

    contents = read_blocks(folder)

    once = _by_id(read_block(BLOCKS / "vParquet4-deploy"))
    doubled = {trace_id: (2 * spans, unique, run) for trace_id, (spans, unique, run) in once.items()}
    assert doubled | _by_id(read_block(BLOCKS / "vParquet4-edges")) == _by_id(contents)
    assert (contents.objects, contents.blocks, contents.format) == (60, 3, "vParquet4+vParquet5")
    assert sum(path.stat().st_size for path in folder.rglob("data.parquet")) == contents.data_bytes


def test_compacted_and_unfinished_blocks_are_skipped(tmp_path: Path) -> None:
    """Only blocks with a meta.json count: not one that compaction replaced, not one still being written."""
    folder = _tenant(tmp_path, a="vParquet4-deploy", b="vParquet4-shop", c="vParquet4-edges") / "single-tenant"
    (folder / "b" / "meta.json").rename(folder / "b" / "meta.compacted.json")
    (folder / "c" / "meta.json").unlink()

    assert [folder / "a"] == find_blocks(folder)
    assert len(read_blocks(folder).ids) == 25


def test_folders_of_every_level(tmp_path: Path) -> None:
    """A backend root, a tenant's folder and a block's folder are all taken."""
    root = _tenant(tmp_path, a="vParquet4-shop")

    found = [read_blocks(path) for path in (root, root / "single-tenant", root / "single-tenant" / "a")]

    assert [len(contents.ids) for contents in found] == [20, 20, 20]


def test_no_blocks_are_no_traces(tmp_path: Path) -> None:
    """An empty folder holds nothing, which is not an error."""
    contents = read_blocks(tmp_path)

    assert (contents.ids.shape, contents.objects, contents.blocks, contents.format) == ((0, 16), 0, 0, "")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """A folder that is not there is an error of the user's, with its path."""
    with pytest.raises(InputError, match="nowhere"):
        read_blocks(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("meta.json", b"{"),
        ("meta.json", b"[]"),
        ("meta.json", b'{"format": "vParquet4"}'),
        ("data.parquet", b""),
        ("data.parquet", b"PAR1 not really PAR1"),
    ],
)
def test_damaged_block_is_named(tmp_path: Path, file: str, content: bytes) -> None:
    """A file of a block that is not what it should be is an error with the file's path."""
    folder = _tenant(tmp_path, a="vParquet4-shop")
    (folder / "single-tenant" / "a" / file).write_bytes(content)

    with pytest.raises(InputError, match=file):
        read_blocks(folder)


def test_cut_off_data_file_is_named(tmp_path: Path) -> None:
    """A data file that lost its middle is an error, not a shorter block."""
    folder = _tenant(tmp_path, a="vParquet4-deploy")
    file = folder / "single-tenant" / "a" / "data.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:30_000] + whole[-25_000:])

    with pytest.raises(InputError, match=r"data\.parquet"):
        read_blocks(folder)


def test_unique_counts() -> None:
    """Equal ids of one owner count once, of two owners twice, and an owner without any counts 0."""
    owner = np.array([0, 2, 0, 2, 0], np.int64)
    span_ids = np.array([7, 7, 7, 8, 2**64 - 1], np.uint64)

    assert unique_counts(owner, span_ids, 4).tolist() == [2, 0, 2, 0]
