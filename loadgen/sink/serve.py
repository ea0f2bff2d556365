"""A sink from start to end, in the background or the foreground."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from loadgen.errors import InputError
from loadgen.sink.http import Route, Server
from loadgen.sink.pipeline import Pipeline, Tally
from loadgen.sink.routes import routes
from loadgen.sink.settings import NO_FAULTS, Faults, SinkSettings
from loadgen.sink.store import Store, StoreState

POLL_S = 0.05


class Sink:
    """A running sink; use it in a ``with`` statement or call ``close``.

    Attributes:
        url: ``http://host:port`` it listens on.
        folder: Backend root of its storage blocks.
    """

    def __init__(self, settings: SinkSettings, faults: Faults = NO_FAULTS) -> None:
        with ExitStack() as opened:
            self.folder = settings.data_dir or Path(
                opened.enter_context(tempfile.TemporaryDirectory(prefix="honua-sink-"))
            )
            self._store = _store(settings, self.folder)
            self._pipeline = Pipeline(settings, self._store)
            table = routes(self._pipeline, self._store, time.monotonic())
            self._server = _bind(settings, self._pipeline, table, faults)
            self._opened = opened.pop_all()
        self.url = f"http://{settings.host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="sink-http")
        self._store.start()
        self._thread.start()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def tally(self) -> Tally:
        """What has come through so far."""
        return self._pipeline.tally

    @property
    def state(self) -> StoreState:
        """What is in memory and in blocks."""
        return self._store.state()

    def flush(self) -> None:
        """Writes what is in memory into a block now.

        Raises:
            OSError: It could not be written.
        """
        self._store.flush()

    def close(self) -> None:
        """Answers requests in work, writes what is left, and ends; a second call does nothing.

        Raises:
            OSError: What was left could not be written.
        """
        if self._closed:
            return
        self._closed = True
        with self._opened:
            self._server.stop()
            self._thread.join()
            self._store.close()


def serve_sink(settings: SinkSettings, faults: Faults = NO_FAULTS) -> Sink:
    """A sink that runs in threads of this process.

    Args:
        settings: Where to listen, what to keep, how much to hold.
        faults: Misbehaviour for tests of senders.

    Raises:
        InputError: The address cannot be listened on (names host and port), or the data folder not made.
    """
    return Sink(settings, faults)


def run_sink(settings: SinkSettings, on_ready: Callable[[str], None]) -> None:
    """Runs a sink until SIGTERM or SIGINT, then writes what is left; call it from the main thread.

    Args:
        settings: As for ``serve_sink``.
        on_ready: Called with the URL once the sink takes requests.

    Raises:
        InputError: As for ``serve_sink``.
        OSError: What was left could not be written.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with serve_sink(settings) as sink:
            on_ready(sink.url)
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _store(settings: SinkSettings, folder: Path) -> Store:
    try:
        return Store(settings, folder)
    except OSError as error:
        raise InputError("sink", str(folder), f"must be a folder to write to ({error.strerror})") from error


def _bind(settings: SinkSettings, pipeline: Pipeline, table: list[Route], faults: Faults) -> Server:
    try:
        return Server((settings.host, settings.port), pipeline, table, faults)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        raise InputError("sink", place, f"must be an address free to listen on ({error.strerror})") from error
