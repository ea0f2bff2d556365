"""The topology: services, the operations in them, and the calls from operation to operation.

An operation is one span. A call adds the called operation's span as a child; calls happen one
after the other, members of a ``parallel`` group at the same time. What is not said takes the
default given here, so that a topology states only what matters to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from loadgen.topology.durations import Duration
from loadgen.topology.values import HEAVIEST, Attributes, Strict, Value

Kind = Literal["internal", "server", "client", "producer", "consumer"]


class Latency(Strict):
    """A duration: ``fixed``, or log-normal with the given median and 95th percentile."""

    fixed: Duration | None = None
    p50: Duration | None = None
    p95: Duration | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.fixed is not None and self.p50 is None and self.p95 is None:
            return self
        if self.fixed is None and self.p50 and self.p95 and self.p95 >= self.p50:
            return self
        raise ValueError("must have fixed, or p50 and p95 with 0 < p50 <= p95")


def _fixed(raw: object) -> object:
    return {"fixed": raw} if isinstance(raw, str) else raw


AnyLatency = Annotated[Latency, BeforeValidator(_fixed, json_schema_input_type=Duration | Latency)]


class Failure(Strict):
    """One way an operation fails by itself: how often, and what its span then says."""

    rate: float = Field(gt=0, le=1)
    type: str
    message: str = ""
    stacktrace: str = ""


class Call(Strict):
    """A call of another operation, or a wait that makes no span.

    ``retries`` more attempts follow a failed one, after ``backoff`` that doubles each time. When the last
    attempt fails, ``on_error: fail`` fails the caller and skips its later calls; ``ignore`` goes on.
    """

    call: str | None = None
    wait: AnyLatency | None = None
    probability: float = Field(default=1.0, gt=0, le=1)
    times: Annotated[list[int], Field(min_length=2, max_length=2)] = [1, 1]
    retries: int = Field(default=0, ge=0, le=10)
    backoff: Duration = 0
    on_error: Literal["fail", "ignore"] = "fail"
    asynchronous: bool = Field(default=False, alias="async")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.call is None) == (self.wait is None):
            raise ValueError("must have either call or wait")
        if not 1 <= self.times[0] <= self.times[1] <= 1000:
            raise ValueError("times must be [least, most] with 1 <= least <= most <= 1000")
        return self


def _called(raw: object) -> object:
    return {"call": raw} if isinstance(raw, str) else raw


AnyCall = Annotated[Call, BeforeValidator(_called, json_schema_input_type=str | Call)]


class Step(Strict):
    """One or more calls that start together; the step ends when the last of them does."""

    parallel: list[AnyCall] = Field(min_length=1, max_length=64)


def _step(raw: object) -> object:
    return raw if isinstance(raw, dict) and "parallel" in raw else {"parallel": [raw]}


AnyStep = Annotated[Step, BeforeValidator(_step, json_schema_input_type=str | Call | Step)]


class Operation(Strict):
    """A named unit of work: one span, its own time, its attributes, how it fails and what it calls.

    Spans are named ``name``, or as the operation is in its service. ``latency`` is the operation's own time; calls
    add theirs. ``on_success`` and ``on_failure`` are further
    attributes that only spans of that outcome carry.
    """

    name: str = ""
    kind: Kind = "internal"
    latency: AnyLatency
    attributes: Attributes = {}
    on_success: Attributes = {}
    on_failure: Attributes = {}
    failures: list[Failure] = Field(default=[], max_length=16)
    calls: list[AnyStep] = Field(default=[], max_length=256)

    @model_validator(mode="after")
    def _rates(self) -> Self:
        if sum(failure.rate for failure in self.failures) > 1:
            raise ValueError("the rates of failures must not add up to more than 1")
        return self

    def each_call(self) -> Iterator[Call]:
        """Every call, in order."""
        return (call for step in self.calls for call in step.parallel)


class Scope(Strict):
    """The instrumentation scope that a service's spans name."""

    name: str
    version: str = ""


class Service(Strict):
    """A service: its instances, what its resource says, and its operations."""

    instances: int = Field(default=1, ge=1, le=1000)
    resource: Attributes = {}
    scope: Scope | None = None
    operations: dict[Annotated[str, Field(min_length=1)], Operation] = Field(min_length=1)


class Entry(Strict):
    """Where traces begin."""

    operation: str
    weight: float = Field(default=1.0, gt=0, le=HEAVIEST)


class Topology(Strict):
    """A whole system to trace; operations are named ``service/operation``."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")
    about: str = ""
    resource: Attributes = {}
    variables: dict[str, Value] = {}
    services: dict[Annotated[str, Field(min_length=1)], Service] = Field(min_length=1)
    entries: list[Entry] = Field(min_length=1)

    def operations(self) -> dict[str, tuple[str, Operation]]:
        """Every operation as ``service/operation`` -> (service, operation), in order."""
        return {
            f"{service}/{name}": (service, operation)
            for service, body in self.services.items()
            for name, operation in body.operations.items()
        }
