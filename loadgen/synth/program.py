"""A topology compiled into tables of numbers, once, before anything is drawn.

Operations, calls, causes of failure, forms and resources are numbered; every rule of the
topology becomes a row of an array, so that drawing walks arrays and never looks at a name.

    operation   one span; a ``wait`` is an operation whose span is hidden
    cause       one way in which one operation fails; the last cause of an operation that calls
                others is "a call of mine failed"
    form        what a span looks like: operation o without error is form o, cause c is form
                ``operations + c``; constants, value slots and status belong to the form
    resource    one instance of one service
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.synth.pools import alias_table
from loadgen.synth.quantiles import quantile_table
from loadgen.synth.slots import Slot, SlotMaker, SlotTable, slot_table
from loadgen.synth.streams import threshold
from loadgen.topology import Attributes, Call, Failure, Operation, Topology, largest_trace
from loadgen.topology.values import Constant

Ints = NDArray[np.int64]
# What could happen is drawn before it is known whether it does: some 150 bytes each, so this is 300 MB at the most.
MOST_ROWS = 1 << 21


@dataclass(frozen=True, slots=True)
class Form:
    """What spans of one operation and outcome have in common, and what varies in them."""

    service: str
    name: str
    kind: str
    constants: Mapping[str, Constant]
    slots: tuple[Slot, ...]
    failed: bool
    failure: Failure | None  # None on success and where only a call failed


@dataclass(frozen=True, slots=True)
class Calls:
    """Every call site; those of operation o are rows ``first[o]`` .. ``first[o] + count[o]``, in order."""

    first: Ints
    count: Ints
    target: Ints
    below: NDArray[np.uint64]  # made when the high 32 bits of its word are below this
    least: Ints
    spread: NDArray[np.uint64]  # most - least + 1
    attempts: Ints
    backoff_ns: Ints
    ignores: NDArray[np.bool_]
    detached: NDArray[np.bool_]
    step: Ints
    lane: Ints


@dataclass(frozen=True, slots=True)
class Causes:
    """Own causes of operation o are rows ``first[o]`` .. ``first[o] + count[o]``; then ``inherited[o]``."""

    first: Ints
    count: Ints
    below: NDArray[np.uint64]  # cumulative within the operation
    any_below: NDArray[np.uint64]  # per operation: some own cause strikes
    inherited: Ints  # per operation: cause of a failed call


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled topology; see the module's text for the words."""

    topology: Topology
    names: tuple[str, ...]
    service: Ints
    hidden: NDArray[np.bool_]
    steps: Ints
    latency: NDArray[np.int64]
    calls: Calls
    causes: Causes
    entry: NDArray[np.int64]
    entry_accept: NDArray[np.uint64]
    entry_alias: NDArray[np.uint64]
    first_resource: Ints
    instances: Ints
    forms: tuple[Form, ...]
    slots: SlotTable
    first_slot: Ints  # per form
    slot_count: Ints
    variables: int
    most_traces: int  # that one block may hold, whatever is drawn for them

    @property
    def resources(self) -> int:
        """Number of resources: the instances of all services."""
        return int(self.instances.sum())


def compile_topology(topology: Topology) -> Program:
    """The program of a topology: pure, and the same for equal topologies."""
    known = topology.operations()
    operations = list(known.values())
    names = list(known)
    waits = [call.wait for _, operation in operations for call in operation.each_call() if call.wait is not None]
    services = {name: i for i, name in enumerate(topology.services)}
    instances = np.array([service.instances for service in topology.services.values()], np.int64)
    forms = tuple(_forms(topology, operations))
    slots = [slot for form in forms for slot in form.slots]
    slot_count = np.array([len(form.slots) for form in forms], np.int64)
    accept, alias = alias_table([entry.weight for entry in topology.entries])
    return Program(
        topology=topology,
        names=(*names, *("wait" for _ in waits)),
        service=np.array([services[s] for s, _ in operations] + [0] * len(waits), np.int64),
        hidden=np.array([False] * len(operations) + [True] * len(waits)),
        steps=np.array([len(o.calls) for _, o in operations] + [0] * len(waits), np.int64),
        latency=np.stack([quantile_table(each) for each in (*(o.latency for _, o in operations), *waits)]),
        calls=_calls(operations, names),
        causes=_causes(operations, len(waits)),
        entry=np.array([names.index(entry.operation) for entry in topology.entries], np.int64),
        entry_accept=accept,
        entry_alias=alias,
        first_resource=np.cumsum(instances) - instances,
        instances=instances,
        forms=forms,
        slots=slot_table(slots),
        first_slot=np.cumsum(slot_count) - slot_count,
        slot_count=slot_count,
        variables=len(topology.variables),
        most_traces=max(1, MOST_ROWS // largest_trace(topology)),
    )


def _calls(operations: Sequence[tuple[str, Operation]], names: Sequence[str]) -> Calls:
    wait = iter(range(len(operations), 2**31))
    sites = [
        (call, step, lane, next(wait) if call.call is None else names.index(call.call))
        for _, operation in operations
        for step, group in enumerate(operation.calls)
        for lane, call in enumerate(group.parallel)
    ]
    each: list[Call] = [site[0] for site in sites]
    waits = sum(call.call is None for call in each)
    count = np.array([sum(1 for _ in o.each_call()) for _, o in operations] + [0] * waits, np.int64)
    return Calls(
        first=np.cumsum(count) - count,
        count=count,
        target=np.array([site[3] for site in sites], np.int64),
        below=np.array([threshold(call.probability) for call in each], np.uint64),
        least=np.array([call.times[0] for call in each], np.int64),
        spread=np.array([call.times[1] - call.times[0] + 1 for call in each], np.uint64),
        attempts=np.array([1 + call.retries for call in each], np.int64),
        backoff_ns=np.array([call.backoff for call in each], np.int64),
        ignores=np.array([call.on_error == "ignore" or call.asynchronous for call in each], np.bool_),
        detached=np.array([call.asynchronous for call in each], np.bool_),
        step=np.array([site[1] for site in sites], np.int64),
        lane=np.array([site[2] for site in sites], np.int64),
    )


def _causes(operations: Sequence[tuple[str, Operation]], waits: int) -> Causes:
    count = np.array([len(o.failures) for _, o in operations] + [0] * waits, np.int64)
    inherits = np.array([bool(o.calls) for _, o in operations] + [False] * waits, np.int64)
    first = np.cumsum(count + inherits) - (count + inherits)
    below: list[int] = []
    for _, operation in operations:
        rates = np.cumsum([failure.rate for failure in operation.failures]).tolist()
        below += [threshold(min(rate, 1.0)) for rate in rates] + [0] * bool(operation.calls)
    any_below = [below[f + n - 1] if n else 0 for f, n in zip(first.tolist(), count.tolist(), strict=True)]
    return Causes(first, count, np.array(below, np.uint64), np.array(any_below, np.uint64), first + count)


def _forms(topology: Topology, operations: Sequence[tuple[str, Operation]]) -> Iterator[Form]:
    maker = SlotMaker(topology.variables)
    named = list(zip(topology.operations(), operations, strict=True))
    for name, (service, operation) in named:
        yield _form(maker, name, service, operation, None, failed=False)
    for name, (service, operation) in named:
        for failure in operation.failures:
            yield _form(maker, name, service, operation, failure, failed=True)
        if operation.calls:
            yield _form(maker, name, service, operation, None, failed=True)


def _form(
    maker: SlotMaker, name: str, service: str, operation: Operation, failure: Failure | None, *, failed: bool
) -> Form:
    attributes: Attributes = operation.attributes | (operation.on_failure if failed else operation.on_success)
    return Form(
        service=service,
        name=operation.name or name.removeprefix(f"{service}/"),
        kind=operation.kind,
        constants={key: value.constant for key, value in attributes.items() if value.constant is not None},
        slots=tuple(maker.slot(key, value) for key, value in attributes.items() if not value.is_constant),
        failed=failed,
        failure=failure,
    )
