"""Rows -> a block's folder, with the pages laid out as near to Tempo's as pyarrow allows."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loadgen.blocks.meta import DATA_FILE, FORMAT, META_FILE, BlockMeta, utc_of_ns
from loadgen.blocks.schema import DICT, LEAVES

TENANT = "single-tenant"
PAGE_BYTES = 256 * 1024  # parquet-go's default page buffer

# Data page version 2 leaves repetition and definition levels uncompressed, as Tempo's blocks have them.
_LAYOUT: dict[str, Any] = {
    "version": "2.6",
    "data_page_version": "2.0",
    "data_page_size": PAGE_BYTES,
    "dictionary_pagesize_limit": 1 << 30,  # parquet-go never falls back from a dictionary
    "store_schema": False,
    "write_page_index": True,
    "compression": {path: leaf.packing.codec for path, leaf in LEAVES.items()},
    "use_dictionary": [path for path, leaf in LEAVES.items() if leaf.packing.encoding == DICT.encoding],
    "column_encoding": {
        path: leaf.packing.encoding for path, leaf in LEAVES.items() if leaf.packing.encoding != DICT.encoding
    },
}


def write_block(folder: Path, rows: pa.Table, tenant: str = TENANT) -> BlockMeta:
    """Writes ``<folder>/<tenant>/<uuid>/``: data.parquet, then the meta.json that makes it a block.

    Args:
        folder: Backend root; made if missing.
        rows: At least one row in vParquet4 schema, sorted by trace id, as ``build_rows`` makes them.
        tenant: Tenant the block is filed under.

    Raises:
        OSError: The folder cannot be written; what was begun is gone again.
    """
    block_id = str(uuid.uuid4())
    path = folder / tenant / block_id
    path.mkdir(parents=True)
    try:
        return _write(path, rows, block_id, tenant)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)  # attempts on a full disk must not add up
        raise


def _write(path: Path, rows: pa.Table, block_id: str, tenant: str) -> BlockMeta:
    pq.write_table(rows, path / DATA_FILE, row_group_size=max(1, len(rows)), **_LAYOUT)
    meta = _meta_of(path / DATA_FILE, rows, block_id, tenant)
    unfinished = path / f"{META_FILE}.tmp"
    unfinished.write_text(meta.as_json())
    unfinished.replace(path / META_FILE)  # at once: a reader never sees half of it
    return meta


def _meta_of(file: Path, rows: pa.Table, block_id: str, tenant: str) -> BlockMeta:
    footer = pq.read_metadata(file)
    return BlockMeta(
        format=FORMAT,
        block_id=block_id,
        tenant_id=tenant,
        start_utc=utc_of_ns(pc.min(rows["StartTimeUnixNano"]).as_py()),
        end_utc=utc_of_ns(pc.max(rows["EndTimeUnixNano"]).as_py()),
        total_objects=len(rows),
        size_bytes=file.stat().st_size,
        row_groups=footer.num_row_groups,
        footer_bytes=footer.serialized_size,
    )
