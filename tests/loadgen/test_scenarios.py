"""The shipped topologies against the traces they are modelled on, by exact expectation and as drawn."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from math import isclose, prod
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from loadgen.shape import Shape, depths, measure_shape
from loadgen.synth import Program, SpanBatch, compile_topology, draw
from loadgen.topology import Attributes, Operation, Topology, load_topology, parse_topology

SCENARIOS = ("checkout", "deploy")
TRACES = 2000
NAME = re.compile(r"[a-z][a-z0-9_]*([.:-][a-z][a-z0-9_-]*)*")
# Written by the generator itself from the service's key, the instance and the run.
RESERVED = {"service.name", "service.instance.id", "loadtest.run.id"}
# The OpenTelemetry Demo v2.0.2 checkout trace: spans by service.
DEMO = {
    "load-generator": 1, "frontend-proxy": 2, "frontend": 5, "checkout": 12, "cart": 7, "product-catalog": 2,
    "currency": 2, "shipping": 3, "quote": 3, "payment": 2, "flagd": 3, "email": 4,
}  # fmt: skip
STEPS = [
    "ValidateDeploymentRequirements", "GenerateInfrastructureCode", "ReviewInfrastructure",
    "DeployInfrastructure", "ConfigureServices", "DeployHonuaApplication", "ValidateDeployment",
    "ConfigureObservability",
]  # fmt: skip
CLI = "honua-cli-ai"
ROOT = f"{CLI}/Process.HonuaDeployment"
TRANSITION = "Process.StateTransition"
DOCUMENTED = " process.name process.instance_id"


@cache
def topology_of(name: str) -> Topology:
    return load_topology(name)


@cache
def program_of(name: str) -> Program:
    return compile_topology(topology_of(name))


@cache
def batch_of(name: str, traces: int = TRACES) -> SpanBatch:
    return draw(program_of(name), 11, "run", 3, np.full(traces, 1_800_000_000 * 10**9))


@cache
def shape_of(name: str) -> Shape:
    return measure_shape(topology_of(name), TRACES)


def operations_of(topology: Topology) -> list[Operation]:
    return [operation for _, operation in topology.operations().values()]


def expected_spans(topology: Topology) -> dict[str, float]:
    """Spans of each operation in a mean trace in which nothing fails: the sum of probability x mean times."""
    total = sum(entry.weight for entry in topology.entries)
    spans: defaultdict[str, float] = defaultdict(float)
    for entry in topology.entries:
        _add_expected(topology.operations(), entry.operation, entry.weight / total, spans)
    return dict(spans)


def _add_expected(
    known: dict[str, tuple[str, Operation]], name: str, weight: float, spans: defaultdict[str, float]
) -> None:
    spans[name] += weight
    for call in known[name][1].each_call():
        if call.call is not None:
            _add_expected(known, call.call, weight * call.probability * sum(call.times) / 2, spans)


def grouped(topology: Topology, by: Literal["service", "kind"]) -> dict[str, float]:
    """Expected spans by service or kind."""
    totals: defaultdict[str, float] = defaultdict(float)
    for name, spans in expected_spans(topology).items():
        service, operation = topology.operations()[name]
        totals[service if by == "service" else operation.kind] += spans
    return dict(totals)


def edges_below(topology: Topology, name: str) -> int:
    """Edges on the longest path from an operation down."""
    operation = topology.operations()[name][1]
    return max((1 + edges_below(topology, call.call) for call in operation.each_call() if call.call), default=0)


def largest_fan_out(topology: Topology) -> int:
    """The most children that a span has when no call is retried."""
    return max(sum(call.times[1] for call in each.each_call() if call.call) for each in operations_of(topology))


def failure_chance(topology: Topology, name: str) -> float:
    """The exact chance that one attempt at an operation fails, by itself or because a call in it did."""
    operation = topology.operations()[name][1]
    holds = 1 - sum(failure.rate for failure in operation.failures)
    for call in operation.each_call():
        if call.call is None or call.on_error == "ignore" or call.asynchronous:
            continue
        once = failure_chance(topology, call.call) ** (1 + call.retries)
        each_times = [(1 - once) ** times for times in range(call.times[0], call.times[1] + 1)]
        holds *= 1 - call.probability * (1 - sum(each_times) / len(each_times))
    return 1 - holds


def every_attribute(operation: Operation) -> Attributes:
    """What spans of any outcome can carry."""
    return operation.attributes | operation.on_success | operation.on_failure


def spans_named(name: str, operation: str) -> NDArray[np.bool_]:
    marked: NDArray[np.bool_] = batch_of(name).operation == program_of(name).names.index(operation)
    return marked


def traces_where(name: str, spans: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each drawn trace holds a marked span, bool[traces]."""
    marked = np.zeros(batch_of(name).traces, np.bool_)
    marked[batch_of(name).trace[spans]] = True
    return marked


def test_expectation_of_a_small_topology() -> None:
    """Optional and repeated calls count with probability x mean times, through every level."""
    text = """
name: small
services:
  a: {operations: {top: {latency: 1ms, calls: [{call: a/middle, probability: 0.5, times: [1, 3]}, a/leaf]},
                   middle: {latency: 1ms, calls: [{call: a/leaf, times: [2, 2]}]},
                   leaf: {latency: 1ms, failures: [{rate: 0.1, type: E}]}}}
entries: [{operation: a/top}]
"""
    topology = parse_topology(text, "small")
    assert expected_spans(topology) == {"a/top": 1, "a/middle": 1, "a/leaf": 3}
    assert (edges_below(topology, "a/top"), largest_fan_out(topology)) == (2, 4)
    fails = 0.5 * (1 - (0.81 + 0.81**2 + 0.81**3) / 3)
    assert isclose(failure_chance(topology, "a/top"), 1 - (1 - fails) * 0.9)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_part_is_used(name: str) -> None:
    """Each operation is reached from an entry, and each variable is named by an attribute."""
    topology = topology_of(name)
    values = [value for each in operations_of(topology) for value in every_attribute(each).values()]
    assert set(expected_spans(topology)) == set(topology.operations())
    assert {value.variable for value in values if value.variable} == set(topology.variables)


@pytest.mark.parametrize("name", SCENARIOS)
def test_attribute_names(name: str) -> None:
    """Names are dotted lower case as in the semantic conventions, and none is the generator's own."""
    topology = topology_of(name)
    resources = [set(topology.resource | service.resource) for service in topology.services.values()]
    spans = [set(every_attribute(operation)) for operation in operations_of(topology)]
    names = set().union(*resources, *spans)
    assert [key for key in sorted(names) if not NAME.fullmatch(key)] == []
    assert names & RESERVED == set()


@pytest.mark.parametrize("name", SCENARIOS)
def test_services_are_described(name: str) -> None:
    """Each service has a scope with a version, and a resource of its own."""
    services = topology_of(name).services.values()
    assert all(service.scope is not None and service.scope.version for service in services)
    assert min(len(service.resource) for service in services) >= 4


@pytest.mark.parametrize("name", SCENARIOS)
def test_failures_say_what_happened(name: str) -> None:
    """Each failure has type and message; stack traces, where given, have the length of real ones."""
    failures = [failure for each in operations_of(topology_of(name)) for failure in each.failures]
    traces = [len(failure.stacktrace) for failure in failures if failure.stacktrace]
    assert all(failure.type and failure.message for failure in failures)
    assert len(traces) >= 3
    assert [length for length in traces if not 200 <= length <= 2000] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_most_spans_vary(name: str) -> None:
    """Half of the spans hold at least two attributes that are drawn, so that no two traces are alike."""
    topology = topology_of(name)
    spans = expected_spans(topology)
    varying = {
        key: sum(not value.is_constant for value in (operation.attributes | operation.on_success).values())
        for key, (_, operation) in topology.operations().items()
    }
    assert sum(count for key, count in spans.items() if varying[key] >= 2) / sum(spans.values()) > 0.5


@pytest.mark.parametrize("name", SCENARIOS)
def test_expectation_agrees_with_what_is_drawn(name: str) -> None:
    """Failures cut off some spans: the drawn mean lies a little under the exact one without failures."""
    expected = sum(expected_spans(topology_of(name)).values())
    lost = expected - shape_of(name).spans_per_trace
    assert -4 * shape_of(name).spans_per_trace_error < lost < 0.05 * expected


def test_checkout_spans() -> None:
    """As many spans as the demo's trace, kinds and services, but for what is optional."""
    topology = topology_of("checkout")
    by_service = grouped(topology, "service")
    assert abs(sum(by_service.values()) - 46) < 0.5
    assert set(by_service) == set(DEMO)
    assert max(abs(by_service[service] - spans) for service, spans in DEMO.items()) < 0.5
    kinds = {kind: round(spans) for kind, spans in grouped(topology, "kind").items()}
    assert kinds == {"client": 19, "server": 17, "internal": 9, "producer": 1}


def test_checkout_depth_and_fan_out() -> None:
    """The longest path, down to flagd's evaluation, has 14 edges; no span has over 6 children."""
    topology = topology_of("checkout")
    assert edges_below(topology, "load-generator/POST") == 14
    assert largest_fan_out(topology) == 6


def test_checkout_resources() -> None:
    """12.75 attributes a resource, with the two that name each instance."""
    topology = topology_of("checkout")
    resources = [len(topology.resource | service.resource) + 2 for service in topology.services.values()]
    assert abs(sum(resources) / len(resources) - 12.75) < 0.15


def test_checkout_failures_by_path() -> None:
    """What must not fail a checkout is ignored, and one call is retried."""
    calls = [call for each in operations_of(topology_of("checkout")) for call in each.each_call()]
    ignored = {call.call for call in calls if call.on_error == "ignore"}
    assert {"checkout/POST /send_order_confirmation", "checkout/oteldemo.CartService/EmptyCart"} <= ignored
    assert [call.call for call in calls if call.retries] == ["cart/HMSET"]
    assert 0.006 < failure_chance(topology_of("checkout"), "load-generator/POST") < 0.01
    assert isclose(failure_chance(topology_of("checkout"), "checkout/oteldemo.PaymentService/Charge"), 0.005)


def test_checkout_as_drawn() -> None:
    """2,000 traces have the demo's size, depth, fan-out, bytes and duration."""
    shape, batch = shape_of("checkout"), batch_of("checkout")
    children = np.bincount(batch.parent[batch.parent >= 0])
    assert abs(shape.spans_per_trace - 46) < 0.5
    assert (shape.max_depth, int(depths(batch).max()), int(children.max())) == (14, 14, 6)
    assert (shape.services, round(shape.resources_per_trace)) == (12, 12)
    assert abs(shape.trace_bytes_per_span - 498) < 10
    assert abs(shape.attributes_per_span - 6.7) < 0.15
    assert 0.075 < float(np.median(shape.duration_s)) < 0.085


def test_checkout_sizes_vary() -> None:
    """Trace sizes differ by what is optional, in steps of one to five spans."""
    sizes = batch_of("checkout").spans_per_trace()
    whole = sizes[~batch_of("checkout").failed_traces()]
    assert set(range(42, 51)) <= set(whole.tolist()) <= set(range(39, 51))


def test_checkout_errors_as_drawn() -> None:
    """1-2 % of 20,000 traces hold an error; about half of those fail at the root."""
    batch = batch_of("checkout", 20_000)
    roots_failed = batch.cause[batch.first_span[:-1]] >= 0
    assert 0.01 < batch.failed_traces().mean() < 0.02
    assert abs(roots_failed.mean() - failure_chance(topology_of("checkout"), "load-generator/POST")) < 0.002


def test_checkout_ids_agree_within_a_trace() -> None:
    """Order and session are the same on all spans of a trace that name them, and differ between traces."""
    batch, slots = batch_of("checkout"), program_of("checkout").slots.slots
    span = np.repeat(np.arange(batch.spans), np.diff(batch.first_value, append=len(batch.slot)))
    for key, least_distinct in (("app.order.id", 1900), ("session.id", 1000)):
        at = np.flatnonzero(np.isin(batch.slot, [i for i, slot in enumerate(slots) if slot.key == key]))
        seen = set(zip(batch.trace[span[at]].tolist(), batch.number[at].tolist(), strict=True))
        assert len({trace for trace, _ in seen}) == len(seen)
        assert len({number for _, number in seen}) > least_distinct


def test_deploy_steps_in_order() -> None:
    """The eight steps follow each other, with a state transition between each two."""
    calls = [call.call for call in topology_of("deploy").operations()[ROOT][1].each_call()]
    assert calls[::2] == [f"{CLI}/Step.{step}" for step in STEPS]
    operations = topology_of("deploy").operations()
    between = [operations[str(call)][1] for call in calls[1::2]]
    assert [each.name for each in between] == [TRANSITION] * 7
    states = [(each.attributes["state.from"].constant, each.attributes["state.to"].constant) for each in between]
    assert [to for _, to in states[:-1]] == [begin for begin, _ in states[1:]]


def keys(operation: Operation) -> tuple[set[str], set[str], set[str]]:
    """The names of the attributes at start, on success and on failure."""
    return set(operation.attributes), set(operation.on_success), set(operation.on_failure)


def test_deploy_process_attributes() -> None:
    """The process span carries what the framework sets, and the two names its documentation queries by."""
    process = topology_of("deploy").operations()[ROOT][1]
    start = "process.id process.workflow_type process.start_time process.input_type"
    success = "process.status process.steps_executed process.duration_ms process.end_time"
    failure = "process.status error.type error.message error.reason process.end_time"
    assert keys(process) == (set((start + DOCUMENTED).split()), set(success.split()), set(failure.split()))
    assert process.on_success["process.status"].constant == "completed"
    assert process.on_failure["process.status"].constant == "failed"


@pytest.mark.parametrize(("index", "step"), list(enumerate(STEPS)))
def test_deploy_step_attributes(index: int, step: str) -> None:
    """Every step span carries what the framework sets, and its place among the steps."""
    operation = topology_of("deploy").operations()[f"{CLI}/Step.{step}"][1]
    start = "step.index process.id step.name step.workflow_type step.start_time step.input_type"
    success = "step.status step.duration_ms step.end_time step.output_type"
    failure = "step.status error.type error.message error.reason step.end_time"
    assert operation.kind == "internal"
    assert keys(operation) == (set((start + DOCUMENTED).split()), set(success.split()), set(failure.split()))
    assert operation.attributes["step.name"].constant == step
    assert operation.attributes["step.index"].constant == index


def test_deploy_transitions_and_scope() -> None:
    """Transitions carry their four attributes; the CLI's spans are in the process framework's scope."""
    topology = topology_of("deploy")
    transition = next(each for _, each in topology.operations().values() if each.name == TRANSITION)
    scope = topology.services[CLI].scope
    assert scope is not None
    assert (scope.name, scope.version) == ("ProcessFramework", "1.0.0")
    assert set(transition.attributes) == {"process.id", "process.workflow_type", "state.from", "state.to"}
    assert transition.kind == "internal"


def test_deploy_drives_ten_services() -> None:
    """CLI, LLM, terraform, cloud, registry, kubernetes, database, server and the two of observability."""
    topology = topology_of("deploy")
    driven = "llm-api terraform cloud-api container-registry kubernetes-api postgres honua-server"
    assert list(topology.services) == [CLI, *driven.split(), "prometheus", "grafana"]
    assert 40 < shape_of("deploy").spans_per_trace < sum(expected_spans(topology).values()) < 70


def test_deploy_waits_for_approval() -> None:
    """Most reviews wait for a person: 10 minutes in the median, 2 hours at the 95th percentile."""
    review = topology_of("deploy").operations()[f"{CLI}/Step.ReviewInfrastructure"][1]
    (pause,) = [call for call in review.each_call() if call.wait is not None]
    assert pause.wait is not None
    assert (pause.probability, pause.wait.p50, pause.wait.p95) == (0.85, 600 * 10**9, 7200 * 10**9)


def test_deploy_language_model_calls() -> None:
    """One LLM call in twenty fails; every one is retried three times after 1 s that doubles."""
    topology = topology_of("deploy")
    chat = f"{CLI}/chat gpt-4o"
    calls = [call for each in operations_of(topology) for call in each.each_call() if call.call == chat]
    attributes = topology.operations()[chat][1].attributes
    assert {(call.retries, call.backoff) for call in calls} == {(3, 10**9)}
    assert abs(failure_chance(topology, chat) - 0.05) < 0.001
    assert {"gen_ai.operation.name", "gen_ai.request.model"} <= set(attributes)


def test_deploy_failure_chances() -> None:
    """5-8 % of processes fail, by the product of what each step can fail of."""
    topology = topology_of("deploy")
    steps = [failure_chance(topology, f"{CLI}/Step.{step}") for step in STEPS]
    process = failure_chance(topology, ROOT)
    assert all(chance > 0.001 for chance in steps)
    assert isclose(process, 1 - prod(1 - chance for chance in steps))
    assert 0.05 < process < 0.08


def test_deploy_queries_find_traces() -> None:
    """Each of the four TraceQL queries that operators use finds traces, and not only the first."""
    batch, forms = batch_of("deploy"), program_of("deploy").forms
    cli = np.array([form.service == CLI for form in forms])[batch.form]
    failed = np.array([form.failed for form in forms])[batch.form]
    processes = [form.constants.get("process.name") for form in forms]
    named = np.array([process == "DeploymentProcess" for process in processes])[batch.form]
    slow = batch.end_ns - batch.start_ns > 10**9
    found = [traces_where("deploy", spans).mean() for spans in (cli, cli & slow, cli & failed, cli & named)]
    assert (found[0], found[1] > 0.95, found[3]) == (1.0, True, 1.0)
    assert 0.2 < found[2] < 0.3


def test_deploy_failures_reach_the_process() -> None:
    """A process fails exactly where one of its steps did; one that completes ran all eight."""
    batch = batch_of("deploy")
    steps = np.logical_or.reduce([spans_named("deploy", f"{CLI}/Step.{step}") for step in STEPS])
    failed_step = traces_where("deploy", steps & (batch.cause >= 0))
    failed_process = batch.cause[batch.first_span[:-1]] >= 0
    count = np.bincount(batch.trace[steps], minlength=batch.traces)
    assert np.array_equal(failed_step, failed_process)
    assert set(count[~failed_process].tolist()) == {8}
    assert 0.05 < failed_process.mean() < 0.09


def test_deploy_lasts_minutes_and_with_approval_hours() -> None:
    """Without review the middle half takes one to ten minutes; four reviews in five take over one."""
    batch = batch_of("deploy")
    review_ns = np.zeros(batch.traces, np.int64)
    review = spans_named("deploy", f"{CLI}/Step.ReviewInfrastructure")
    review_ns[batch.trace[review]] = (batch.end_ns - batch.start_ns)[review]
    working_s = (batch.duration_ns() - review_ns) / 1e9
    quarters = np.percentile(working_s, (25, 75))
    assert 60 < quarters[0] < quarters[1] < 600
    assert 0.75 < (review_ns > 60 * 10**9).mean() < 0.85
    assert batch.duration_ns().max() > 6 * 3600 * 10**9
