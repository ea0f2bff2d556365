"""The run file behind a queue: what is said on the event loop is written off it, in order, and again if it failed."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path

from loadgen.run import RunWriter

Write = Callable[[RunWriter], None]
# Some minutes of a disk that takes nothing; what comes after is lost, and said to be.
MOST_WAITING = 2000


class Book:
    """A run file that is written to by :meth:`flush`, from any one thread at a time.

    Args:
        writer: The open run file.
        most: Writes that may wait.
    """

    def __init__(self, writer: RunWriter, most: int = MOST_WAITING) -> None:
        self._writer = writer
        self._most = most
        self._waiting: deque[Write] = deque()
        self._file = _identity(writer.path)
        self._lost = 0
        self.trouble = ""

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._writer.path.parent

    def add(self, write: Write) -> None:
        """Have something written at the next flush; a write that failed is done again, so it must bear that."""
        if len(self._waiting) < self._most:
            self._waiting.append(write)
        else:
            self._lost += 1

    def flush(self) -> None:
        """Write what waits; what hinders it is kept in ``trouble``, empty again once all is written."""
        try:
            while self._waiting:
                self._waiting[0](self._writer)
                self._waiting.popleft()
            self.trouble = self._missing()
        except (sqlite3.Error, OSError) as error:
            self.trouble = f"cannot be written ({error})"

    def incomplete(self) -> str:
        """What the file lacks, in words; empty where it has all."""
        if self._lost:
            return f"{self._lost} writes were lost: {self.trouble or 'it could not be written for too long'}"
        return self.trouble or ("not all is written" if self._waiting else self._missing())

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush()
        self._writer.close()

    def _missing(self) -> str:
        # SQLite goes on writing to a file that has lost its name.
        return "" if _identity(self._writer.path) == self._file else "has been deleted or replaced"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
