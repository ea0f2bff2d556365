"""From live traces to storage blocks: the sink's thread-safe memory, and the thread that empties it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from loadgen.blocks import (
    TENANT,
    BlockMeta,
    Piece,
    build_rows,
    combine,
    find_blocks,
    find_trace,
    read_meta,
    restore,
    write_block,
)
from loadgen.sink.live import Head, LiveTraces
from loadgen.sink.settings import SinkSettings

LOG = logging.getLogger(__name__)
TICK_S = 1.0


class StoreState(NamedTuple):
    """A store at one moment; traces cut twice count twice, as rows do.

    ``blocks``, their bytes and rows are of all in the folder, ``blocks_written`` of this store's own.
    """

    live_traces: int
    live_bytes: int
    held_bytes: int
    traces_cut: int
    blocks: int
    blocks_written: int
    block_bytes: int
    block_rows: int
    failed_writes: int


class Store:
    """Kept spans, from arrival to block. Safe to call from any thread.

    Args:
        settings: Limits and ages.
        folder: Backend root.
        clock: Monotonic seconds.

    Raises:
        OSError: The folder cannot be made.
        InputError: A block that is in it already is damaged.
    """

    def __init__(self, settings: SinkSettings, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        (folder / TENANT).mkdir(parents=True, exist_ok=True)
        self._settings, self._clock = settings, clock
        self._lock = threading.Lock()  # guards what follows; held for moments
        self._live, self._head, self._writing = LiveTraces(), Head(), Head()
        self._blocks = [read_meta(path) for path in find_blocks(folder / TENANT)]
        self._traces_cut = self._written = self._failed_writes = 0
        self._write_lock = threading.Lock()  # one block at a time; held while a block is written
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sink-store")

    def start(self) -> None:
        """Starts cutting and writing."""
        self._thread.start()

    def close(self) -> None:
        """Stops the thread and writes what is left.

        Raises:
            OSError: It could not be written.
        """
        self._stop.set()
        self._thread.join()
        self.flush()

    def add(self, pieces: Iterable[tuple[bytes, Piece]]) -> int:
        """Takes spans of kept traces and returns how many bytes they hold."""
        with self._lock:
            return self._live.add(pieces, self._clock())

    def state(self) -> StoreState:
        """The figures of this moment."""
        with self._lock:
            return StoreState(
                live_traces=len(self._live),
                live_bytes=self._live.held_bytes,
                held_bytes=self._held_bytes(),
                traces_cut=self._traces_cut,
                blocks=len(self._blocks),
                blocks_written=self._written,
                block_bytes=sum(meta.size_bytes for meta in self._blocks),
                block_rows=sum(meta.total_objects for meta in self._blocks),
                failed_writes=self._failed_writes,
            )

    @property
    def held_bytes(self) -> int:
        """Encoded bytes of everything that is in memory and not yet in a block."""
        with self._lock:
            return self._held_bytes()

    def _held_bytes(self) -> int:
        return self._live.held_bytes + self._head.held_bytes + self._writing.held_bytes

    def flush(self) -> None:
        """Writes everything into a block now.

        Raises:
            OSError: The block could not be written; nothing is lost, the next attempt has it again.
        """
        with self._write_lock:
            with self._lock:
                self._cut(self._live.cut_all())
            self._write_head()

    def find(self, trace_id: bytes) -> TracesData | None:
        """The trace of a 16-byte id, from memory and blocks; None if there is none."""
        with self._lock:
            places = (self._live, self._head, self._writing)
            pieces = [piece for place in places for piece in place.pieces_of(trace_id)]
        parts = [restore(row) for row in build_rows([(trace_id, pieces)] if pieces else []).to_pylist()]
        stored = [find_trace(path, trace_id) for path in find_blocks(self.folder / TENANT)]
        parts += [trace for trace in stored if trace is not None]
        return combine(parts) if parts else None

    def _run(self) -> None:
        while not self._stop.wait(min(TICK_S, self._settings.block_seconds)):
            try:
                self.tick()
            except OSError as error:
                LOG.error("storage block not written, will be tried again: %s", error)

    def tick(self) -> None:
        """Cuts what is idle or old, and writes a block if one is due.

        Raises:
            OSError: As ``flush``.
        """
        with self._write_lock:
            now_s = self._clock()
            with self._lock:
                settings = self._settings
                self._cut(self._live.cut(now_s - settings.trace_idle_s, now_s - settings.trace_live_s))
                head = self._head
                due = head.held_bytes >= settings.block_bytes or now_s - head.opened_s >= settings.block_seconds
            if due:
                self._write_head()

    def _cut(self, traces: list[tuple[bytes, list[Piece]]]) -> None:
        self._traces_cut += len(traces)
        self._head.add(traces, self._clock())

    def _write_head(self) -> None:
        """Writes one block; its traces stay findable meanwhile and go back if that fails."""
        with self._lock:
            if not self._head.traces:
                return
            self._writing, self._head = self._head, Head()
        meta: BlockMeta | None = None
        try:
            meta = write_block(self.folder, build_rows(self._writing.traces))
        finally:
            with self._lock:
                self._settle(meta)

    def _settle(self, meta: BlockMeta | None) -> None:
        if meta is None:
            self._failed_writes += 1
            self._writing.add(self._head.traces, self._head.opened_s)
            self._head = self._writing
        else:
            self._written += 1
            self._blocks.append(meta)
        self._writing = Head()
