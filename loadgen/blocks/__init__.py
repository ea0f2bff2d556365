"""Tempo's storage blocks: spans -> rows -> Parquet, and real blocks read back."""

from loadgen.blocks.merge import read_blocks
from loadgen.blocks.meta import BlockMeta, read_meta
from loadgen.blocks.read import BlockContents, find_blocks, read_block
from loadgen.blocks.regroup import Piece, pieces, trace_ids
from loadgen.blocks.restore import combine, find_trace, restore
from loadgen.blocks.rows import build_rows
from loadgen.blocks.schema import LEAVES, SCHEMA
from loadgen.blocks.write import TENANT, write_block

__all__ = [
    "LEAVES", "SCHEMA", "TENANT", "BlockContents", "BlockMeta", "Piece", "build_rows", "combine", "find_blocks",
    "find_trace", "pieces", "read_block", "read_blocks", "read_meta", "restore", "trace_ids", "write_block",
]  # fmt: skip
