"""Topologies for tests: short to write down, or drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import strategies as st

from loadgen.synth import Program, SpanBatch, compile_topology, draw
from loadgen.topology import Topology, parse_topology

START_NS = 1_800_000_000 * 10**9

Draw = Callable[..., tuple[Program, SpanBatch]]


def one_service(operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A topology of one service ``s`` that starts at its first operation; latency is 1 ms where it is not said."""
    said = {name: {"latency": "1ms"} | operation for name, operation in operations.items()}
    first = next(iter(operations))
    return {"name": "t", "entries": [{"operation": f"s/{first}"}], "services": {"s": {"operations": said}}} | more


@pytest.fixture(scope="session")
def make() -> Callable[..., Topology]:
    """Makes a topology of operations (see :func:`one_service`), or of a whole tree of YAML's values."""

    def topology(tree: dict[str, Any], **more: Any) -> Topology:
        whole = tree if "services" in tree else one_service(tree, **more)
        return parse_topology(yaml.safe_dump(whole, sort_keys=False), "test.yaml")

    return topology


@pytest.fixture(scope="session")
def drawn(make: Callable[..., Topology]) -> Draw:
    """Draws traces of a topology, all of which begin at one time unless told."""

    def batch(tree: dict[str, Any], traces: int = 1000, seed: int = 1, block: int = 0) -> tuple[Program, SpanBatch]:
        program = compile_topology(make(tree))
        return program, draw(program, seed, "run", block, np.full(traces, START_NS))

    return batch


# --- random topologies -------------------------------------------------------------------------------------------

NS = st.integers(0, 5000).map(lambda ns: f"{ns}ns")
FAILURES = st.lists(st.sampled_from([0.1, 0.4]).map(lambda rate: {"rate": rate, "type": "E"}), max_size=2)
KINDS = st.sampled_from(["internal", "server", "client", "producer", "consumer"])


@st.composite
def fixed_trees(draw: st.DrawFn) -> dict[str, Any]:
    """A topology in which every call has an operation of its own and all durations are fixed.

    So each span tells which call made it, and every time in a trace follows from the calls that were made.
    """
    services: dict[str, dict[str, Any]] = {f"s{i}": {"operations": {}} for i in range(draw(st.integers(1, 3)))}
    count = 0

    def operation(depth: int) -> str:
        nonlocal count
        service, name = draw(st.sampled_from(sorted(services))), f"o{count}"
        count += 1
        body: dict[str, Any] = {"latency": draw(NS), "failures": draw(FAILURES), "kind": draw(KINDS)}
        services[service]["operations"][name] = body
        if depth < 3 and count < 9:
            body["calls"] = [step(depth) for _ in range(draw(st.integers(0, 3)))]
        return f"{service}/{name}"

    def step(depth: int) -> dict[str, Any]:
        return {"parallel": [lane(depth) for _ in range(draw(st.integers(1, 2)))]}

    def lane(depth: int) -> dict[str, Any]:
        least = draw(st.integers(1, 2))
        if draw(st.integers(0, 4)) == 0:
            return {"wait": draw(NS), "times": [least, least]}
        return {
            "call": operation(depth + 1),
            "times": [least, least + draw(st.integers(0, 2))],
            "probability": draw(st.sampled_from([1.0, 1.0, 0.5])),
            "retries": draw(st.sampled_from([0, 0, 1, 3])),
            "backoff": draw(NS),
            "on_error": draw(st.sampled_from(["fail", "ignore"])),
            "async": draw(st.integers(0, 5)) == 0,
        }

    root = operation(0)
    used = {name: body for name, body in services.items() if body["operations"]}
    return {"name": "t", "entries": [{"operation": root}], "services": used}


@pytest.fixture(scope="session")
def trees() -> st.SearchStrategy[dict[str, Any]]:
    """Draw from it with hypothesis' ``data()``."""
    return fixed_trees()
