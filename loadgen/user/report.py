"""What a sender tells the owner of a run: a numbered increment."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from loadgen.user.tally import Tally


class Report(NamedTuple):
    """Increment number ``sequence`` of a sender's counts in run ``run_id``."""

    run_id: str
    sequence: int
    tally: Tally

    def plain(self) -> dict[str, Any]:
        """The report as values that survive msgpack."""
        return {"run_id": self.run_id, "sequence": self.sequence, "tally": self.tally.plain()}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """The inverse of :meth:`plain`."""
        return cls(str(plain["run_id"]), int(plain["sequence"]), Tally.of(plain["tally"]))
