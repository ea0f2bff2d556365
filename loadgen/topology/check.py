"""What must hold between the parts of a topology, beyond what each part says of itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from loadgen.topology.model import Operation, Topology
from loadgen.topology.values import Attributes, Value

Path = tuple[str | int, ...]
Finding = tuple[Path, object, str]

# The most spans one trace can have: what one request and one Tempo row can still hold.
LARGEST_TRACE = 100_000
DEEPEST = 64


def findings(topology: Topology) -> Iterator[Finding]:
    """Every broken rule as (key path, value found, rule)."""
    yield from _unknown_operations(topology)
    yield from _attribute_rules(topology)
    yield from _size(topology)


def _operation_paths(topology: Topology) -> Iterator[tuple[Path, Operation]]:
    for service, body in topology.services.items():
        for name, operation in body.operations.items():
            yield ("services", service, "operations", name), operation


def _unknown_operations(topology: Topology) -> Iterator[Finding]:
    known = topology.operations()
    for path, operation in _operation_paths(topology):
        for i, step in enumerate(operation.calls):
            for call in step.parallel:
                if call.call is not None and call.call not in known:
                    yield (*path, "calls", i), call.call, _unknown(call.call, known)
    for i, entry in enumerate(topology.entries):
        if entry.operation not in known:
            yield ("entries", i, "operation"), entry.operation, _unknown(entry.operation, known)


def _unknown(name: str, known: dict[str, tuple[str, Operation]]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"must be the service/operation of an operation in this topology{hint}"


def _attribute_rules(topology: Topology) -> Iterator[Finding]:
    for name, value in topology.variables.items():
        if value.variable or value.derive or value.is_constant:
            yield (
                ("variables", name),
                value.model_dump(exclude_unset=True),
                "must be drawn: choice, zipf, uniform, ...",
            )
    for path, operation in _operation_paths(topology):
        for part in ("attributes", "on_success", "on_failure"):
            attributes: Attributes = getattr(operation, part)
            for key, value in attributes.items():
                if value.variable and value.variable not in topology.variables:
                    yield (*path, part, key), value.variable, "must name one of the topology's variables"
    for path, resource in _resources(topology):
        for key, value in resource.items():
            if _cannot_be_resource(value):
                yield (*path, key), value.model_dump(exclude_unset=True), "must not depend on a span or trace"


def _resources(topology: Topology) -> Iterator[tuple[Path, Attributes]]:
    yield ("resource",), topology.resource
    for service, body in topology.services.items():
        yield ("services", service, "resource"), body.resource


def _cannot_be_resource(value: Value) -> bool:
    return value.derive is not None or value.variable is not None


def _size(topology: Topology) -> Iterator[Finding]:
    known = topology.operations()
    sizes: dict[str, tuple[int, int]] = {}
    for i, entry in enumerate(topology.entries):
        if entry.operation not in known:
            continue
        try:
            spans, depth = _extent(entry.operation, known, sizes, ())
        except RecursionError as error:
            yield ("entries", i, "operation"), entry.operation, str(error)
            return
        if spans > LARGEST_TRACE or depth > DEEPEST:
            rule = f"may grow to {spans:,} spans and depth {depth}; must stay within {LARGEST_TRACE:,} and {DEEPEST}"
            yield ("entries", i, "operation"), entry.operation, rule


def _extent(
    name: str,
    known: dict[str, tuple[str, Operation]],
    sizes: dict[str, tuple[int, int]],
    above: tuple[str, ...],
) -> tuple[int, int]:
    """The most spans and the greatest depth that a call of ``name`` can make; a cycle raises RecursionError."""
    if name in above:
        raise RecursionError(f"calls itself: {' -> '.join((*above[above.index(name) :], name))}")
    if name not in sizes:
        spans, depth = 1, 1
        for call in known[name][1].each_call():
            if call.call in known:
                below, levels = _extent(call.call, known, sizes, (*above, name))
                spans += below * call.times[1] * (1 + call.retries)
                depth = max(depth, levels + 1)
        sizes[name] = spans, depth
    return sizes[name]
