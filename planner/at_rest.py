"""Bytes at rest once the retention has filled up: on the object store, and on Tempo's own disk.

Besides the blocks within the retention there are blocks that wait for the next retention pass, blocks
already merged into others, bloom filters of full size however few traces, and local copies.
Source: Tempo v3.0.3 source and defaults, each named in the shipped figures.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.figures import Range, ends_of, figure, weakest
from planner.records import Basis, Figure
from planner.shipped import Shipped
from planner.text import DAY_S, duration, number, size


@dataclass(frozen=True, slots=True)
class AtRest:
    """What lies where.

    Attributes:
        backend: Bytes on the object store: live and compacted blocks, bloom filters.
        local: Bytes on Tempo's own disk: completed blocks and the write-ahead log.
        total: Both.
        blocks: Blocks on the object store.
    """

    backend: Figure
    local: Figure
    total: Figure
    blocks: Range


def blocks_kept(retention_s: float, shipped: Shipped) -> tuple[Range, Range]:
    """Live blocks (merged by window, fresh ones still single) and the inputs that merges leave.

    Returns:
        (live, leftovers) as numbers of blocks.
    """
    window = shipped["compaction_window_s"].value
    fresh, windows = window / shipped["block_duration_s"].value, retention_s / window
    live = Range(windows + fresh / 2, windows, windows + fresh)
    return live, Range(1.5 * fresh, fresh, 2 * fresh)


def live_seconds(retention_s: float, shipped: Shipped) -> Range:
    """How much traffic [s] the live blocks hold: the retention and what waits for the next pass over it."""
    interval, poll = shipped["retention_interval_s"].value, shipped["blocklist_poll_s"].value
    block = shipped["block_duration_s"].value
    return Range(retention_s + interval / 2 + poll / 2, retention_s, retention_s + interval + poll + block)


def at_rest(per_day: Figure, traces_per_s: float, retention_s: float, shipped: Shipped) -> AtRest:
    """Bytes at rest after one retention of steady traffic.

    Args:
        per_day: Bytes that a day adds to the blocks.
        traces_per_s: Mean rate of kept traces.
        retention_s: Retention of blocks [s].
        shipped: The shipped figures.
    """
    per_s = ends_of(per_day).times(1 / DAY_S)
    basis = weakest(per_day.basis, Basis.PUBLISHED)
    source = f"{per_day.source}; Tempo v3.0.3 defaults for slack, compaction and local copies"
    backend, working, blocks = _backend(per_s, traces_per_s, retention_s, shipped)
    local_s = shipped["wal_s"].amount.plus(shipped["local_block_s"].value)
    local = per_s.times(local_s)
    held = f"{size(per_s.value)}/s x {duration(local_s.value)} of blocks and log"
    local_working = f"local disk: {held} = {size(local.value)}"
    return AtRest(
        figure(backend, "bytes", basis, source, working),
        figure(local, "bytes", basis, source, local_working),
        figure(backend.plus(local), "bytes", basis, source, f"{working}; {local_working}"),
        blocks,
    )


def _backend(per_s: Range, traces_per_s: float, retention_s: float, shipped: Shipped) -> tuple[Range, str, Range]:
    """Bytes on the object store, their working, and how many blocks they are."""
    seconds = live_seconds(retention_s, shipped)
    live = per_s.times(seconds)
    merged_s = shipped["compaction_levels"].amount.times(shipped["compacted_block_retention_s"].value)
    leftovers = per_s.times(merged_s)
    bloom, blocks = _bloom(traces_per_s, retention_s, seconds, shipped)
    rate = f"{size(per_s.value)}/s"
    working = (
        f"live {rate} x ({duration(retention_s)} + {duration(seconds.value - retention_s)} until deleted) "
        f"= {size(live.value)}; compacted leftovers {rate} x {duration(merged_s.value)} "
        f"= {size(leftovers.value)}; bloom filters of {number(blocks.value)} blocks = {size(bloom.value)}"
    )
    return live.plus(leftovers).plus(bloom), working, blocks


def _bloom(traces_per_s: float, retention_s: float, live_s: Range, shipped: Shipped) -> tuple[Range, Range]:
    if traces_per_s == 0:
        return Range.exact(0.0), Range.exact(0.0)
    live, leftovers = blocks_kept(retention_s, shipped)
    blocks = live.plus(leftovers)
    per_shard = shipped["bloom_traces_per_shard"].value
    # A block has at least one shard, whatever it holds; a full one adds shards with its traces.
    shards = Range(*(max(b, traces_per_s * s / per_shard) for b, s in zip(blocks, live_s, strict=True)))
    return shards.times(shipped["bloom_shard_bytes"].value), blocks
