"""One request out, one :class:`Outcome` back."""

from loadgen.transport.http import Endpoint, HttpSender, parse_endpoint
from loadgen.transport.memory import MemorySender
from loadgen.transport.outcome import Outcome, Sender
from loadgen.transport.retry import RetryPolicy
from loadgen.transport.target import identify

__all__ = [
    "Endpoint",
    "HttpSender",
    "MemorySender",
    "Outcome",
    "RetryPolicy",
    "Sender",
    "identify",
    "parse_endpoint",
]
