"""What is in storage blocks: traces, their spans and the runs they belong to.

Reads vParquet4 and vParquet5, Tempo's own or this product's. Only three columns are decoded, a
thousand rows at a time, so that memory grows with the number of traces and not with the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loadgen.blocks.meta import DATA_FILE, META_FILE, read_meta
from loadgen.errors import InputError

RUN_ATTRIBUTE = "loadtest.run.id"
BATCH_ROWS = 1000

ID, SPANS = "TraceID", "rs.ss.Spans.SpanID"
KEYS, VALUES = "rs.Resource.Attrs.Key", "rs.Resource.Attrs.Value"

Ids = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockContents:
    """The k traces of one block, or of several with each trace once; sorted by trace id.

    Attributes:
        ids: Trace ids, uint8[k, 16].
        spans: Spans stored of each trace, int64[k]; a span stored twice counts twice.
        unique_spans: Different span ids of each trace, int64[k].
        run_ids: The resource attribute ``loadtest.run.id`` of each trace, None where it has none.
        data_bytes: Size of the data files, bloom filters and metas left out.
        objects: Rows; more than k where a trace has a row in more than one block.
        format: Row format, e.g. ``vParquet4``; several joined by ``+``.
        blocks: Number of blocks.
    """

    ids: Ids
    spans: Counts
    unique_spans: Counts
    run_ids: list[str | None]
    data_bytes: int
    objects: int
    format: str
    blocks: int = 1


class _Rows(NamedTuple):
    """Some consecutive rows of a block: every span's row and id."""

    ids: Ids
    row_of_span: Counts
    span_ids: npt.NDArray[np.uint64]
    run_ids: list[str | None]


def read_block(path: Path) -> BlockContents:
    """The contents of the block in folder ``path``.

    Raises:
        InputError: No meta.json there, or the data file is not such a block's, or not all of it.
    """
    meta = read_meta(path)
    _check_size(path / DATA_FILE, meta.size_bytes)
    parts = list(_counted(path / DATA_FILE))
    return BlockContents(
        ids=np.concatenate([part[0] for part in parts]) if parts else np.empty((0, 16), np.uint8),
        spans=np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.int64),
        unique_spans=np.concatenate([part[2] for part in parts]) if parts else np.empty(0, np.int64),
        run_ids=[run_id for part in parts for run_id in part[3]],
        data_bytes=meta.size_bytes,
        objects=sum(len(part[0]) for part in parts),
        format=meta.format,
    )


def _check_size(file: Path, expected_bytes: int) -> None:
    found_bytes = file.stat().st_size if file.is_file() else 0
    if found_bytes != expected_bytes:
        raise InputError(str(file), f"{found_bytes} bytes", f"must be {expected_bytes}, as its meta.json says")


def _counted(file: Path) -> Iterator[tuple[Ids, Counts, Counts, list[str | None]]]:
    for rows in _read(file, [ID, SPANS, KEYS, VALUES]):
        count = len(rows.ids)
        spans = np.bincount(rows.row_of_span, minlength=count)
        yield rows.ids, spans, unique_counts(rows.row_of_span, rows.span_ids, count), rows.run_ids


def unique_counts(owner: Counts, span_ids: npt.NDArray[np.uint64], owners: int) -> Counts:
    """How many different span ids each owner has.

    Args:
        owner: Number of each span's owner, int64[n].
        span_ids: Each span's id, uint64[n].
        owners: Number of owners.
    """
    order = np.lexsort((span_ids, owner))
    sorted_owner, sorted_ids = owner[order], span_ids[order]
    first = np.ones(len(order), bool)
    first[1:] = (sorted_owner[1:] != sorted_owner[:-1]) | (sorted_ids[1:] != sorted_ids[:-1])
    return np.bincount(sorted_owner[first], minlength=owners)


def span_ids_of(path: Path, wanted: Ids) -> tuple[Counts, npt.NDArray[np.uint64]]:
    """Every span of the wanted traces that the block in folder ``path`` holds.

    Args:
        path: The block's folder.
        wanted: Sorted trace ids, uint8[w, 16].

    Returns:
        For each span the number of its trace in ``wanted``, and its id.
    """
    keys = as_keys(wanted)
    owners, found = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for rows in _read(path / DATA_FILE, [ID, SPANS]):
        ids = as_keys(rows.ids)
        place = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
        hit = (keys[place] == ids)[rows.row_of_span]
        owners.append(place[rows.row_of_span][hit])
        found.append(rows.span_ids[hit])
    return np.concatenate(owners), np.concatenate(found)


def as_keys(ids: Ids) -> npt.NDArray[np.void]:
    """Trace ids as one sortable value each, in the order of their bytes."""
    # A 16-byte void does not compare; two big-endian halves compare as the bytes do.
    return np.ascontiguousarray(ids).view([("high", ">u8"), ("low", ">u8")]).reshape(-1)


def find_blocks(folder: Path) -> list[Path]:
    """The live blocks under a block, tenant or backend folder, in order of path.

    A block is live while it has a meta.json: one without is still being written, one with
    meta.compacted.json was replaced by another.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no folder", "must be a backend, tenant or block folder")
    depths = (META_FILE, f"*/{META_FILE}", f"*/*/{META_FILE}")
    return sorted(file.parent for pattern in depths for file in folder.glob(pattern))


def _read(file: Path, columns: list[str]) -> Iterator[_Rows]:
    try:
        with pq.ParquetFile(file) as parquet:
            names = {_plain(name): name for name in _leaf_paths(parquet)}
            for batch in parquet.iter_batches(BATCH_ROWS, columns=[names[column] for column in columns]):
                yield _rows(batch, with_runs=KEYS in columns)
    except (OSError, KeyError, pa.ArrowException, ValueError) as error:
        raise InputError(
            str(file),
            f"{type(error).__name__}: {error}",
            "must be a vParquet4 or vParquet5 block's data file",
        ) from error


def _leaf_paths(parquet: pq.ParquetFile) -> list[str]:
    return [parquet.schema.column(n).path for n in range(len(parquet.schema))]


def _plain(path: str) -> str:
    """A column's path without what lists are wrapped in, which differs between the formats."""
    return path.replace(".list.element", "")


def _rows(batch: pa.RecordBatch, *, with_runs: bool) -> _Rows:
    groups = batch.column("rs")
    scopes = groups.values.field("ss")
    spans = scopes.values.field("Spans")
    owner = _owners(groups)
    span_row = owner[_owners(scopes)][_owners(spans)]
    runs = _run_ids(groups, owner, len(batch)) if with_runs else []
    ids = _fixed(batch.column(ID), 16).reshape(-1, 16)
    span_ids = _fixed(spans.values.field("SpanID"), 8).view(">u8").astype(np.uint64)
    return _Rows(ids, span_row, span_ids, runs)


def _owners(lists: pa.ListArray) -> Counts:
    """For each element the number of the list it is in."""
    offsets = lists.offsets.to_numpy()
    if len(offsets) and (offsets[0], offsets[-1]) != (0, len(lists.values)):
        raise ValueError("list elements outside of any list")
    return np.repeat(np.arange(len(lists)), np.diff(offsets))


def _fixed(column: pa.BinaryArray, width: int) -> Ids:
    """The bytes of a column whose every value is ``width`` bytes long."""
    lengths = pc.binary_length(column)
    if pc.any(pc.not_equal(lengths, width)).as_py():
        raise ValueError(f"an id that is not {width} bytes long")
    return np.frombuffer(b"".join(column.to_pylist()), np.uint8)


def _run_ids(groups: pa.ListArray, owner: Counts, rows: int) -> list[str | None]:
    attributes = groups.values.field("Resource").field("Attrs")
    keys, values = attributes.values.field("Key"), attributes.values.field("Value")
    at = np.flatnonzero(pc.equal(keys, RUN_ATTRIBUTE).to_numpy(zero_copy_only=False))
    row, first = np.unique(owner[_owners(attributes)[at]], return_index=True)
    found: list[str | None] = [None] * rows
    for n, value in zip(row.tolist(), values.take(pa.array(at[first])).to_pylist(), strict=True):
        found[n] = value[0] if value else None
    return found
