"""A target in memory: keeps what it is sent and answers as it is told. The shipped fake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from loadgen.transport.outcome import Outcome


class MemorySender:
    """Keeps every body; answers with ``outcomes`` in turn, then with acceptance."""

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self.bodies: list[bytes] = []
        self._outcomes: Iterator[Outcome] = iter(outcomes)

    def send(self, body: bytes | bytearray) -> Outcome:
        """Keep the body and give the next outcome."""
        self.bodies.append(bytes(body))
        return next(self._outcomes, Outcome("accepted"))

    def close(self) -> None:
        """Nothing to let go of."""
