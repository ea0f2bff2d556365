"""What must hold between the parts of a topology, beyond what each part says of itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from math import ceil, exp, log
from typing import NamedTuple

from loadgen.topology.durations import LONGEST_NS, NS_PER_S
from loadgen.topology.model import Latency, Operation, Topology
from loadgen.topology.values import Attributes, Value

Path = tuple[str | int, ...]
Finding = tuple[Path, object, str]

# The most spans one trace can have: what one request and one Tempo row can still hold.
LARGEST_TRACE = 100_000
DEEPEST = 64
# Times are 64-bit nanoseconds since the epoch: a century from now is still well within.
LONGEST_TRACE_NS = 100 * 365 * 24 * 3600 * NS_PER_S
# A span's length is written in at most three bytes (2 MiB), and a character takes up to four.
MOST_LETTERS = 1 << 18
# The last place of a log-normal's table of quantiles, in standard deviations, against that of its p95.
_LAST_TO_P95 = 2.34


def findings(topology: Topology) -> Iterator[Finding]:
    """Every broken rule as (key path, value found, rule)."""
    yield from _same_names(topology)
    yield from _unknown_operations(topology)
    yield from _attribute_rules(topology)
    yield from _span_size(topology)
    yield from _size(topology)


def _operation_paths(topology: Topology) -> Iterator[tuple[Path, Operation]]:
    for service, body in topology.services.items():
        for name, operation in body.operations.items():
            yield ("services", service, "operations", name), operation


def _same_names(topology: Topology) -> Iterator[Finding]:
    """Names are joined by a slash, and may hold slashes themselves."""
    seen: set[str] = set()
    for path, _ in _operation_paths(topology):
        name = f"{path[1]}/{path[3]}"
        if name in seen:
            yield path, name, "must not be the name of another service's operation, too"
        seen.add(name)


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


def _span_size(topology: Topology) -> Iterator[Finding]:
    for path, operation in _operation_paths(topology):
        said = max((len(f.type + f.stacktrace) + 2 * len(f.message) for f in operation.failures), default=0)
        for outcome in (operation.on_success, operation.on_failure):
            attributes = operation.attributes | outcome
            rules = (topology.variables.get(value.variable or "", value) for value in attributes.values())
            letters = said + len(operation.name) + sum(map(len, attributes)) + sum(map(_longest, rules))
            if letters > MOST_LETTERS:
                yield path, f"{letters:,} characters", f"a span must be at most {MOST_LETTERS:,}"
                break


def _longest(rule: Value) -> int:
    """At least as many characters as any value of a rule has."""
    constants = rule.constant if isinstance(rule.constant, list) else [rule.constant]
    choices = [weighted.value for weighted in rule.choice or ()]
    pattern = rule.zipf or rule.uniform
    return max(
        64,
        sum(len(str(value)) + 2 for value in constants),
        *(len(str(value)) for value in choices),
        16 * len(pattern.pattern) if pattern is not None else 0,
        rule.text.max if rule.text is not None else 0,
    )


def _size(topology: Topology) -> Iterator[Finding]:
    known = topology.operations()
    sizes: dict[str, _Extent] = {}
    for i, entry in enumerate(topology.entries):
        if entry.operation not in known:
            continue
        try:
            most = _extent(entry.operation, known, sizes, ())
        except RecursionError as error:
            yield ("entries", i, "operation"), entry.operation, str(error)
            return
        if most.spans > LARGEST_TRACE or most.depth > DEEPEST:
            rule = f"must stay within {LARGEST_TRACE:,} spans and waits and depth {DEEPEST}; may grow to "
            yield ("entries", i, "operation"), entry.operation, f"{rule}{most.spans:,} and {most.depth}"
        elif most.duration_ns > LONGEST_TRACE_NS:
            rule = "must end within 100 years, all waits and retries at their longest"
            yield ("entries", i, "operation"), entry.operation, rule


def largest_trace(topology: Topology) -> int:
    """Spans and waits of the largest trace that a valid topology may make, every retry counted."""
    known, sizes = topology.operations(), dict[str, _Extent]()
    return max(_extent(entry.operation, known, sizes, ()).spans for entry in topology.entries)


class _Extent(NamedTuple):
    spans: int
    depth: int
    duration_ns: int


def _extent(
    name: str, known: Mapping[str, tuple[str, Operation]], sizes: dict[str, _Extent], above: tuple[str, ...]
) -> _Extent:
    """The most that a call of ``name`` can make; a cycle, or a chain longer than allowed, raises RecursionError."""
    if name in above:
        raise RecursionError(f"calls itself: {' -> '.join((*above[above.index(name) :], name))}")
    if len(above) >= DEEPEST:
        raise RecursionError(f"must stay within depth {DEEPEST}")
    if name not in sizes:
        operation = known[name][1]
        spans, depth, duration_ns = 1, 1, _longest_ns(operation.latency)
        for call in operation.each_call():
            below = _Extent(1, 0, _longest_ns(call.wait)) if call.wait else _Extent(0, 0, 0)
            if call.call is not None and call.call in known:
                below = _extent(call.call, known, sizes, (*above, name))
            spans += below.spans * call.times[1] * (1 + call.retries)
            depth = max(depth, below.depth + 1)
            pauses_ns = call.backoff * (2**call.retries - 1)
            duration_ns += call.times[1] * (below.duration_ns * (1 + call.retries) + pauses_ns)
        sizes[name] = _Extent(spans, depth, duration_ns)
    return sizes[name]


def _longest_ns(latency: Latency) -> int:
    if latency.fixed is not None:
        return latency.fixed
    p50, p95 = latency.p50 or 0, latency.p95 or 0
    return min(LONGEST_NS, ceil(p50 * exp(_LAST_TO_P95 * log(p95 / p50)))) if p50 else 0
