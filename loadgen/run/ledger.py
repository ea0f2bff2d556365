"""The ledger: what became of every span that was offered, in counts that must add up.

    offered = waiting + sent + shed + unfinished
    sent    = in_flight + accepted + refused + rejected + unknown

Only the states in COUNTED are counted; ``waiting`` and ``in_flight`` are what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

COUNTED = (
    "offered",  # intended by the schedule
    "shed",  # given up before the send: the backlog was full
    "unfinished",  # still to end when the run stopped
    "sent",  # handed to the transport
    "accepted",  # answered OK, less the spans a partial success rejected
    "refused",  # retryable refusal, retry budget spent
    "rejected",  # permanent refusal
    "unknown",  # no answer: may or may not have arrived
)
OUTCOMES = ("accepted", "refused", "rejected", "unknown")


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of one kind of thing (spans or traces) by ledger state; addition is by state."""

    offered: int = 0
    shed: int = 0
    unfinished: int = 0
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    rejected: int = 0
    unknown: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def waiting(self) -> int:
        """Offered, neither sent nor given up."""
        return self.offered - self.sent - self.shed - self.unfinished

    @property
    def in_flight(self) -> int:
        """Sent, not answered yet; after a kill these read as unknown."""
        return self.sent - self.accepted - self.refused - self.rejected - self.unknown

    @property
    def balances(self) -> bool:
        """Whether no derived state is negative, i.e. nothing was counted twice or from nowhere."""
        return self.waiting >= 0 and self.in_flight >= 0

    def settled(self) -> Counts:
        """The same counts once nothing can move any more: waiting is unfinished, in flight unknown.

        A ledger that does not balance still does not: nothing negative is evened out.
        """
        left = {
            "unfinished": self.unfinished + max(self.waiting, 0),
            "unknown": self.unknown + max(self.in_flight, 0),
        }
        return Counts(**{f.name: left.get(f.name, getattr(self, f.name)) for f in fields(self)})

    def as_dict(self) -> dict[str, int]:
        """Every state, the two derived ones included."""
        counted = {f.name: getattr(self, f.name) for f in fields(self)}
        return counted | {"waiting": self.waiting, "in_flight": self.in_flight}

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Counts:
        """Counts from a mapping of state to number; absent states are 0, unknown names an error."""
        return cls(**counts)
