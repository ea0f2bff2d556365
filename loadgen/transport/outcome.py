"""What became of one export request: one of the ledger's outcomes, and why."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Outcome(NamedTuple):
    """The end of one request, retries included.

    Attributes:
        state: accepted, refused (retryable refusal, budget spent), rejected (permanent) or unknown (no answer:
            may or may not have arrived).
        cause: Empty when accepted; else one of few fixed texts, e.g. ``503 after 4 attempts``.
        rejected_spans: Spans that a partial success rejected, of an accepted request.
        attempts: Sends, 1 without a retry.
    """

    state: str
    cause: str = ""
    rejected_spans: int = 0
    attempts: int = 1


class Sender(Protocol):
    """Sends requests over one connection, one at a time."""

    def send(self, body: bytes | bytearray) -> Outcome:
        """The outcome of one ExportTraceServiceRequest; never raises for what the target does."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...
