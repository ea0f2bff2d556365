"""Several storage blocks as one, with the same trace in two blocks counted as one trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadgen.blocks.read import (
    BlockContents,
    Counts,
    Ids,
    as_keys,
    find_blocks,
    read_block,
    span_ids_of,
    unique_counts,
)


def read_blocks(folder: Path) -> BlockContents:
    """The contents of all live blocks under a backend, tenant or block folder; none is no error.

    A trace in several blocks is one: its spans add up, and span ids that it has in more than one
    block count once.

    Raises:
        InputError: There is no such folder, or a block in it cannot be read.
    """
    paths = find_blocks(folder)
    blocks = [read_block(path) for path in paths]
    ids = _stack([block.ids for block in blocks])
    keys, first, place = np.unique(as_keys(ids), return_index=True, return_inverse=True)
    run_ids = [run_id for block in blocks for run_id in block.run_ids]
    return BlockContents(
        ids=ids[first],
        spans=_sums([block.spans for block in blocks], place, len(keys)),
        unique_spans=_unique_spans(paths, blocks, place, len(keys)),
        run_ids=[run_ids[n] for n in first.tolist()],
        data_bytes=sum(block.data_bytes for block in blocks),
        objects=sum(block.objects for block in blocks),
        format="+".join(sorted({block.format for block in blocks})),
        blocks=len(blocks),
    )


def _stack(parts: Sequence[Ids]) -> Ids:
    return np.concatenate([np.empty((0, 16), np.uint8), *parts])


def _sums(parts: Sequence[Counts], place: npt.NDArray[np.intp], traces: int) -> Counts:
    values = np.concatenate([np.empty(0, np.int64), *parts])
    sums = np.zeros(traces, np.int64)
    np.add.at(sums, place, values)
    return sums


def _unique_spans(
    paths: Sequence[Path], blocks: Sequence[BlockContents], place: npt.NDArray[np.intp], traces: int
) -> Counts:
    """Added up, but for traces in more than one block counted from their span ids, which are read again."""
    counts = _sums([block.unique_spans for block in blocks], place, traces)
    several = np.bincount(place, minlength=traces) > 1
    if not several.any():
        return counts
    numbers = np.flatnonzero(several)
    first = np.unique(place, return_index=True)[1]
    wanted = _stack([block.ids for block in blocks])[first][numbers]
    parts = [span_ids_of(path, wanted) for path in paths]
    owner, span_ids = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
    counts[numbers] = unique_counts(owner, span_ids, len(numbers))
    return counts
