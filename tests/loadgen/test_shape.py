"""Figures of a topology's traces, against topologies of which they are known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from loadgen.otlp import compile_pieces, encode_batch, for_run
from loadgen.shape import Shape, depths, measure_shape
from loadgen.synth import compile_topology, draw
from loadgen.topology import Topology, largest_trace, load_topology

Make = Callable[..., Topology]
S = 1e9


def test_a_topology_without_chance_has_exact_figures(make: Make) -> None:
    """Three spans, two services, a depth of two: nothing varies, so nothing is estimated."""
    attributes = {"x": 1, "y": {"hex": 4}}
    a = {"o": {"latency": "2s", "attributes": attributes, "calls": ["a/p"]}, "p": {"latency": "1s", "calls": ["b/q"]}}
    b = {"q": {"latency": "500ms"}}
    services = {"a": {"operations": a}, "b": {"instances": 3, "operations": b}}
    tree = {"name": "three", "entries": [{"operation": "a/o"}], "services": services}
    shape = measure_shape(make(tree), 200)
    assert (shape.topology, shape.sample_traces, shape.services) == ("three", 200, 2)
    assert (shape.spans_per_trace, shape.spans_per_trace_error) == (3.0, 0.0)
    assert (shape.attributes_per_span, shape.resources_per_trace, shape.max_depth) == (2 / 3, 2.0, 2)
    assert shape.duration_s.tolist() == [3.5] * 200
    assert (shape.error_traces_ratio, shape.failed.sum()) == (0.0, 0)
    assert [shape.slow_ratio(s) for s in (3.4, 3.5, 3.6)] == [1.0, 0.0, 0.0]


def test_means_carry_their_errors(make: Make) -> None:
    """The mean number of spans lies within its own error, which is that of the sample."""
    calls = [{"call": "s/a", "probability": 0.3}]
    shape = measure_shape(make({"o": {"calls": calls}, "a": {}}), 5000)
    assert abs(shape.spans_per_trace - 1.3) < 4 * shape.spans_per_trace_error
    assert shape.spans_per_trace_error == pytest.approx(np.sqrt(0.3 * 0.7 / 5000), rel=0.05)


def test_errors_and_slowness_are_counted_by_trace(make: Make) -> None:
    """A trace with two errors is one trace; one that is slow and failed counts once."""
    tree = {
        "o": {"latency": "0s", "calls": [{"call": "s/a", "on_error": "ignore", "times": [2, 2]}]},
        "a": {"latency": {"p50": "10ms", "p95": "50ms"}, "failures": [{"rate": 0.2, "type": "E"}]},
    }
    shape = measure_shape(make(tree), 4000)
    assert shape.error_traces_ratio == pytest.approx(1 - 0.8**2, abs=0.03)
    assert (np.diff(shape.duration_s) >= 0).all()
    slow = shape.duration_s > 0.03
    assert shape.slow_ratio(0.03) == slow.mean()
    assert shape.errors_or_slow_ratio(0.03) == (slow | shape.failed).mean()
    assert shape.errors_or_slow_ratio(1e9) == shape.error_traces_ratio == shape.failed.mean()
    assert shape.errors_or_slow_ratio(-1.0) == 1.0


@pytest.mark.parametrize("name", ["checkout", "deploy"])
def test_bytes_are_those_of_requests(name: str) -> None:
    """Bytes a span: of requests of at least 2,000 spans, and of traces alone with their own resources."""
    topology = load_topology(name)
    shape = measure_shape(topology, 300, seed=4)
    program = compile_topology(topology)
    pieces = for_run(compile_pieces(program), 4, "shape")
    batch = draw(program, 4, "shape", 0, np.full(300, 1_800_000_000 * 10**9))
    total, first = 0, 0
    for end in batch.first_span[1:].tolist():
        if end - first >= 2000 or end == batch.spans:
            total += len(encode_batch(pieces, batch, slice(first, end)))
            first = end
    assert shape.wire_bytes_per_span == total / batch.spans
    bounds = batch.first_span[:101].tolist()
    alone = [len(encode_batch(pieces, batch, slice(a, b))) for a, b in itertools.pairwise(bounds)]
    assert shape.trace_bytes_per_span == sum(alone) / bounds[-1]
    assert shape.trace_bytes_per_span > shape.wire_bytes_per_span


@pytest.mark.parametrize("traces", [1, 2, 99, 101])
def test_small_samples_are_samples(make: Make, traces: int) -> None:
    """One trace has a shape, too: without an error of its mean, which nothing tells."""
    shape = measure_shape(make({"o": {"latency": {"p50": "1ms", "p95": "2ms"}}}), traces)
    assert len(shape.duration_s) == len(shape.failed) == shape.sample_traces == traces
    assert (shape.spans_per_trace, shape.spans_per_trace_error, shape.max_depth) == (1.0, 0.0, 0)
    assert shape.wire_bytes_per_span > 0


def test_the_same_arguments_give_the_same_shape() -> None:
    """A plan can be made again; another seed is another sample."""
    shapes = [measure_shape(load_topology("checkout"), 50, seed) for seed in (1, 1, 2)]
    assert figures(shapes[0]) == figures(shapes[1])
    assert figures(shapes[0]) != figures(shapes[2])


def figures(shape: Shape) -> str:
    return repr(replace(shape, duration_s=shape.duration_s.tolist(), failed=shape.failed.tolist()))


def test_the_whole_checkout_is_the_one_it_is_modelled_on() -> None:
    """46 spans of 12 services, 14 deep, in the time of the OpenTelemetry Demo's (v2.0.2)."""
    shape = measure_shape(load_topology("checkout"))
    assert shape.spans_per_trace == pytest.approx(46, abs=1)
    assert (shape.services, shape.max_depth) == (12, 14)
    assert float(np.median(shape.duration_s)) == pytest.approx(0.08, rel=0.25)


def test_depths_count_edges_from_the_root(make: Make) -> None:
    """A chain has depths 0, 1, 2; what branches off starts where it branches."""
    tree = {"o": {"calls": ["s/a", "s/b"]}, "a": {"calls": ["s/b"]}, "b": {}}
    batch = draw(compile_topology(make(tree)), 1, "run", 0, np.full(2, 10**18))
    assert depths(batch).tolist() == [0, 1, 1, 2] * 2


def test_large_traces_are_sampled_within_bounds(make: Make) -> None:
    """Retries of retries are drawn whether they happen or not: there are as many samples as fit, and it is said."""
    retried = {f"o{i}": {"calls": [{"call": f"s/o{i + 1}", "retries": 10}]} for i in range(4)}
    topology = make(retried | {"o4": {"failures": [{"rate": 0.01, "type": "E"}]}})
    assert largest_trace(topology) == 1 + 11 + 11**2 + 11**3 + 11**4
    shape = measure_shape(topology)
    assert shape.sample_traces == len(shape.duration_s) == 2**21 // 16105
    assert shape.spans_per_trace == pytest.approx(5, abs=0.3)
