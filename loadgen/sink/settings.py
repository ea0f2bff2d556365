"""What a sink is told: where to listen, what to keep, how much to hold, and how to misbehave in tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from loadgen.errors import InputError

MIB = 1 << 20
BODY_LIMIT_BYTES = 20 * MIB  # the Collector's, before and after decompression


class Sampler(Protocol):
    """What decides, from trace ids alone, which traces are kept."""

    def keep(self, ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Whether to keep each trace; ids are uint8[n, 16], the same id always gets the same answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """How a sink is to run.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes any free one.
        data_dir: Backend root of the storage blocks, made if missing; blocks of an earlier sink in it
            are served too. None is a temporary folder that goes with the sink.
        sampling: Which traces to keep; None keeps all.
        memory_limit_bytes: What bodies in work, live traces and traces on their way to a block may hold
            together; requests beyond it are refused with 503.
        block_seconds: Age at which collected traces become a storage block.
        block_bytes: Encoded size at which they do so earlier, as Tempo's ``max_block_bytes``.
        trace_idle_s: Silence after which a live trace is taken for complete, as Tempo's ``max_trace_idle``.
        trace_live_s: Age at which it is cut in any case, as Tempo's ``max_trace_live``.
    """

    host: str = "127.0.0.1"
    port: int = 4318
    data_dir: Path | None = None
    sampling: Sampler | None = None
    memory_limit_bytes: int = 512 * MIB
    block_seconds: float = 30.0
    block_bytes: int = 50 * MIB
    trace_idle_s: float = 5.0
    trace_live_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError("port", self.port, "must be 0-65535")
        for name in ("memory_limit_bytes", "block_seconds", "block_bytes", "trace_idle_s", "trace_live_s"):
            if not getattr(self, name) > 0:
                raise InputError(name, getattr(self, name), "must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Misbehaviour on request, for tests of whatever sends to a sink.

    Only POSTs to /v1/traces are affected, each ``every``-th of them as they arrive: 1 is all of them, 0
    none. What is set happens in this order: wait, drop "before", status, take the request, drop "after",
    garbage or partial success instead of the plain answer.

    Attributes:
        every: Which requests are affected.
        delay_s: Wait this long after reading the body.
        status: Answer with this HTTP status and take nothing.
        retry_after_s: Add ``Retry-After`` with this many seconds to that answer.
        drop: Close the connection without an answer, "before" or "after" taking the request: either
            way the sender cannot know whether it arrived.
        garbage: Take the request, then answer 200 with a body that is no protobuf message.
        rejected_spans: Take the request, then say in a partial success that this many spans were
            rejected. They are stored all the same.
    """

    every: int = 1
    delay_s: float = 0.0
    status: int | None = None
    retry_after_s: float | None = None
    drop: Literal["before", "after"] | None = None
    garbage: bool = False
    rejected_spans: int = 0

    def hits(self, request: int) -> bool:
        """Whether the ``request``-th POST, counted from 1, is affected."""
        return self.every > 0 and request % self.every == 0


NO_FAULTS = Faults(every=0)
