"""The bytes of a request, against those of OpenTelemetry's own encoder for spans built one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from loadgen.otlp import RUN_ID_KEY, Pieces, compile_pieces, encode, encode_batch, for_run, lay_out, resource_attributes
from loadgen.otlp.pieces import varint
from loadgen.otlp.wire import varint_bytes
from loadgen.synth import Form, Meaning, Program, Slot, SpanBatch, compile_topology, draw
from loadgen.topology import Topology, load_topology

Make = Callable[..., Topology]
SEED, RUN = 77, "run-1"
NOW_NS = 1_800_000_000 * 10**9
GOLDEN = 0x9E3779B97F4A7C15


# --- the reference: the SDK's objects, one span at a time ------------------------------------------------------------


def mixed(word: int) -> int:
    """SplitMix64's finalizer, on a number of Python's."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ (word >> shift)) * factor % 2**64
    return word ^ (word >> 31)


def hex_text(word: int, digits: int) -> str:
    """The digits that a random word stands for; past 16 from words made of it."""
    rounds = (mixed((word + i * GOLDEN) % 2**64) for i in range(-(-digits // 16)))
    return b"".join(each.to_bytes(8, "little") for each in rounds).hex()[:digits]


def uuid_text(word: int) -> str:
    digits = hex_text(word, 32)
    variant = "89ab"[ord(digits[16]) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def time_text(time_ns: int) -> str:
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ns // 10**6)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def value_of(slot: Slot, number: int) -> object:
    """What an attribute says, by its rule and what was drawn for it."""
    if slot.meaning is Meaning.POOL:
        return slot.values[number]
    if slot.meaning is Meaning.NUMBER:
        return number
    if slot.meaning is Meaning.TIME:
        return time_text(number)
    return uuid_text(number) if slot.rule.uuid else hex_text(number, slot.rule.hex or 0)


def sdk_span(program: Program, batch: SpanBatch, i: int, resources: Sequence[Resource]) -> ReadableSpan:
    """Span ``i`` as the SDK would hand it to an exporter."""
    form = program.forms[batch.form[i]]
    trace_id = int.from_bytes(bytes(batch.trace_ids[batch.trace[i]]), "big")
    parent = int(batch.parent[i])
    scope = program.topology.services[form.service].scope
    message = form.failure.message if form.failure else None
    return ReadableSpan(
        name=form.name,
        context=SpanContext(trace_id, int(batch.span_ids[i]), is_remote=False, trace_flags=TraceFlags(1)),
        parent=SpanContext(trace_id, int(batch.span_ids[parent]), is_remote=bool(batch.remote[i]))
        if parent >= 0
        else None,
        resource=resources[batch.resource[i]],
        attributes=attributes_of(form, batch, i),  # type: ignore[arg-type]
        events=[exception(form, int(batch.end_ns[i]))] if form.failure else [],
        kind=SpanKind[form.kind.upper()],
        instrumentation_scope=InstrumentationScope(scope.name, scope.version) if scope else None,
        status=Status(StatusCode.ERROR, message or None) if form.failed else Status(StatusCode.UNSET),
        start_time=int(batch.start_ns[i]),
        end_time=int(batch.end_ns[i]),
    )


def attributes_of(form: Form, batch: SpanBatch, i: int) -> dict[str, object]:
    first = int(batch.first_value[i])
    numbers = batch.number[first : first + len(form.slots)].tolist()
    return {**form.constants, **{slot.key: value_of(slot, n) for slot, n in zip(form.slots, numbers, strict=True)}}


def exception(form: Form, end_ns: int) -> Event:
    assert form.failure is not None
    said = {"type": form.failure.type, "message": form.failure.message, "stacktrace": form.failure.stacktrace}
    return Event("exception", {f"exception.{key}": text for key, text in said.items() if text}, end_ns)


def resources_of(topology: Topology) -> list[Resource]:
    numbered = ((name, i) for name, service in topology.services.items() for i in range(service.instances))
    return [Resource(dict(resource_attributes(topology, name, i, SEED, RUN))) for name, i in numbered]


def official(program: Program, batch: SpanBatch, rows: Sequence[int]) -> bytes:
    """The request that OpenTelemetry's exporter makes of the given spans, ordered by resource."""
    resources = resources_of(program.topology)
    ordered = sorted(rows, key=lambda i: int(batch.resource[i]))
    return encode_spans([sdk_span(program, batch, i, resources) for i in ordered]).SerializeToString()


# --- equality --------------------------------------------------------------------------------------------------------


def pieces_of(topology: Topology) -> Pieces:
    return for_run(compile_pieces(compile_topology(topology)), SEED, RUN)


def drawn(pieces: Pieces, traces: int = 20, block: int = 0) -> SpanBatch:
    return draw(pieces.program, SEED, RUN, block, NOW_NS + np.arange(traces) * 1_000_003)


def check_equal(topology: Topology, traces: int = 20) -> SpanBatch:
    """All spans of some traces in one request are byte for byte what the official encoder makes of them."""
    pieces = pieces_of(topology)
    batch = drawn(pieces, traces)
    assert bytes(encode_batch(pieces, batch)) == official(pieces.program, batch, range(batch.spans))
    return batch


def spans_in(body: bytes | bytearray) -> Iterator[Any]:
    for resource in ExportTraceServiceRequest.FromString(bytes(body)).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


@pytest.mark.parametrize("name", ["checkout", "deploy"])
def test_shipped_topologies_are_encoded_as_the_exporter_does(name: str) -> None:
    """Every span of thirty traces, whatever happened in them."""
    check_equal(load_topology(name), 30)


# One attribute of each kind; a topology holds it beside one that is drawn with digits, and alone.
KINDS: dict[str, object] = {
    "text": "hello", "no text": "", "umlaut": "Grüße 🚀", "zero": 0, "number": 300, "negative": -1, "least": -(2**63),
    "most": 2**63 - 1, "float": 2.5, "small": 5e-324, "true": True, "false": False, "list": ["a", "", "b" * 200],
    "empty list": [], "long": "x" * 5000,
    "choice": {"choice": {"a": 1, "bb" * 100: 2}},
    "mixed": {"choice": [1, True, 1.0, "1", -5, False, 0, ""]},
    "zipf": {"zipf": {"cardinality": 300, "pattern": "user-{n:05d}@shop"}},
    "uniform": {"uniform": {"cardinality": 240, "pattern": "10.0.0.{n}"}},
    "narrow": {"integer": {"min": 100, "max": 300}},
    "wide": {"integer": {"min": 0, "max": 2**32 - 1}},
    "five bytes": {"integer": {"min": 2**28 - 50_000, "max": 2**28 + 50_000}},
    "words": {"text": {"cardinality": 20, "min": 1, "max": 300}},
    "uuid": {"uuid": "v4"},
    "duration": {"derive": "duration_ms"}, "start": {"derive": "start_time"}, "end": {"derive": "end_time"},
    "children": {"derive": "children"},
    **{f"hex {digits}": {"hex": digits} for digits in (1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64)},
}  # fmt: skip


@pytest.mark.parametrize(
    "beside", [{}, {"y": {"hex": 3}, "z": {"integer": {"max": 10**6}}}, {"y": {"choice": ["a", "b"]}}]
)
@pytest.mark.parametrize("kind", KINDS)
def test_attributes_of_every_kind(make: Make, kind: str, beside: dict[str, object]) -> None:
    """Tag, type, length and value of an attribute, whatever it stands beside."""
    attributes = {"x": KINDS[kind], **beside}
    tree = {"o": {"latency": {"p50": "1ms", "p95": "9ms"}, "attributes": attributes, "calls": ["s/a"]}, "a": {}}
    check_equal(make(tree))


def test_attributes_that_only_one_outcome_has(make: Make) -> None:
    """on_success and on_failure add to, and stand for, what both have."""
    failures = [{"rate": 0.5, "type": "E"}]
    outcomes = {"on_success": {"x": {"hex": 5}, "z": 1}, "on_failure": {"x": 500, "y": {"uuid": "v4"}}}
    tree = {"o": {"attributes": {"x": 200, "w": {"hex": 2}}, "failures": failures} | outcomes}
    batch = check_equal(make(tree), 100)
    assert 20 < (batch.cause >= 0).sum() < 80


FAILURES = [
    {"type": "E"}, {"type": "E", "message": "no"}, {"type": "E", "message": "no", "stacktrace": "at x\n" * 40},
    {"type": "", "message": ""}, {"type": "", "stacktrace": "x" * 20_000}, {"type": "E", "message": "ü" * 200},
]  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_errors_with_their_exceptions(make: Make, failure: dict[str, str]) -> None:
    """Status, message and the exception's event, in the operation that failed and in those above it."""
    tree = {"o": {"calls": ["s/a"]}, "a": {"attributes": {"x": {"hex": 9}}, "failures": [{"rate": 0.5} | failure]}}
    batch = check_equal(make(tree), 60)
    assert len({form.failed for form in compile_topology(make(tree)).forms}) == 2
    assert (batch.cause >= 0).sum() > 20


def services(scopes: Sequence[dict[str, str] | None], **resource: object) -> dict[str, Any]:
    """A chain of calls through services with the given scopes: remote and local parents, every kind of span."""
    kinds = ("server", "client", "producer", "consumer", "internal")
    body = {f"s{i}": service(i, scope, kinds[i % 5], len(scopes)) for i, scope in enumerate(scopes)}
    return {"name": "t", "resource": resource, "entries": [{"operation": "s0/in"}], "services": body}


def service(i: int, scope: dict[str, str] | None, kind: str, count: int) -> dict[str, Any]:
    out = [f"s{i + 1}/in"] if i + 1 < count else []
    operations = {"in": {"latency": "1ms", "kind": kind, "calls": [f"s{i}/work", *out]}, "work": {"latency": "1ms"}}
    return {"instances": i + 1, "operations": operations} | ({"scope": scope} if scope else {})


def test_resources_scopes_kinds_and_parents(make: Make) -> None:
    """Services with and without scope and version, several instances, parents in the same and in another process."""
    scopes = [
        {"name": "http", "version": "1.2"},
        None,
        {"name": "grpc"},
        {"name": "", "version": ""},
        {"name": "x" * 300},
    ]
    resource = {"a": 1, "b": 2.5, "c": True, "d": ["x", "y"], "e": {"hex": 40}, "f": {"choice": [1, "a"]}, "g": ""}
    batch = check_equal(make(services(scopes, **resource)))
    assert batch.remote.sum() == 4 * batch.traces
    assert len(np.unique(batch.resource)) > 5


@pytest.mark.parametrize("size", [1, 60, 61, 62, 63, 64, 127, 128, 129, 4000, 16_200, 16_300, 16_384, 40_000, 200_000])
def test_spans_of_every_length_of_length(make: Make, size: int) -> None:
    """Below 128 bytes a span's length takes one byte, from 16 KiB on three."""
    attributes = {"x": "y" * size, "z": {"hex": 9}}
    check_equal(make({"o": {"attributes": attributes, "calls": ["s/a"]}, "a": {}}), 3)


def test_the_smallest_span(make: Make) -> None:
    """A root and a child of one letter, with nothing to say."""
    topology = make({"o": {"calls": ["s/a"]}, "a": {}})
    check_equal(topology)
    assert {
        span.ByteSize() < 128 for span in spans_in(encode_batch(pieces_of(topology), drawn(pieces_of(topology))))
    } == {True}


@pytest.mark.parametrize("name", ["xwvutsrq", "hgfedcba", "XWVUTSRQ", "\x00\x01", "ÿþý", "a/b//c", "é" * 100])
def test_names_that_look_like_anything(make: Make, name: str) -> None:
    """A name is text, whatever bytes it has: none is taken for a place to fill in."""
    failures = [{"rate": 0.5, "type": name, "message": name, "stacktrace": name}]
    check_equal(make({name: {"attributes": {name: name, "x": {"hex": 3}}, "failures": failures}}))


def test_a_span_may_have_another_name_than_its_operation(make: Make) -> None:
    """``name`` is what the span says; the operation's name is what calls say."""
    topology = make({"o": {"name": "GET /", "calls": ["s/a"]}, "a": {"name": "GET /"}})
    check_equal(topology)
    assert {span.name for span in spans_in(encode_batch(pieces_of(topology), drawn(pieces_of(topology))))} == {"GET /"}


@pytest.mark.parametrize(
    "number", [0, *(n for i in range(1, 10) for n in ((1 << 7 * i) - 1, min(1 << 7 * i, 2**63 - 1)))]
)
def test_numbers_of_every_length(make: Make, number: int) -> None:
    """One to nine bytes; the longest are longer than any range or duration makes them."""
    attributes = {"x": {"integer": {"max": 10**6}}, "y": {"hex": 3}, "z": {"integer": {"max": 10**6}}}
    pieces = pieces_of(make({"o": {"attributes": attributes}}))
    batch = drawn(pieces)
    numbers = np.where(batch.slot == 0, np.uint64(number), batch.number)
    odd = replace(batch, number=numbers)
    assert bytes(encode_batch(pieces, odd)) == official(pieces.program, odd, range(batch.spans))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**14 - 1, 2**14, 2**21, 2**35, 2**63 - 1])
def test_varints(number: int) -> None:
    """Seven bits a byte, the low ones first, the top bit on all but the last (protobuf)."""
    encoded = varint(number)
    assert sum((byte & 0x7F) << 7 * i for i, byte in enumerate(encoded)) == number
    assert [byte >> 7 for byte in encoded] == [1] * (len(encoded) - 1) + [0]
    assert varint_bytes(np.array([number], np.uint64)).tolist() == [len(encoded)]


# --- which spans, in how many requests -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop() -> tuple[Pieces, SpanBatch]:
    """A block of the checkout topology: several resources, every trace spread over them."""
    pieces = pieces_of(load_topology("checkout"))
    return pieces, drawn(pieces, 12)


def check_subset(shop: tuple[Pieces, SpanBatch], rows: Sequence[int]) -> None:
    pieces, batch = shop
    assert bytes(encode_batch(pieces, batch, np.array(rows, np.int64))) == official(pieces.program, batch, rows)


@given(st.data())
@settings(max_examples=25)
def test_any_spans_in_any_order(shop: tuple[Pieces, SpanBatch], data: st.DataObject) -> None:
    """A request holds the spans it is given, in that order within each resource, children without parents too."""
    rows = data.draw(st.lists(st.integers(0, shop[1].spans - 1), min_size=1, max_size=60, unique=True))
    check_subset(shop, rows)


def test_spans_without_values_beside_others_with_digits(make: Make) -> None:
    """A request may hold none of the attributes that its block has."""
    pieces = pieces_of(make({"o": {"calls": ["s/a"]}, "a": {"attributes": {"x": {"hex": 9}}}}))
    batch = drawn(pieces, 3)
    for rows in ([0], [1], [0, 2, 4], [4, 5]):
        check_subset((pieces, batch), rows)


def test_slices_and_nothing(shop: tuple[Pieces, SpanBatch]) -> None:
    """A slice stands for its rows, and no span makes no bytes: the empty request."""
    pieces, batch = shop
    assert bytes(encode_batch(pieces, batch, slice(10, 50))) == official(pieces.program, batch, range(10, 50))
    assert bytes(encode_batch(pieces, batch, slice(0, 0))) == ExportTraceServiceRequest().SerializeToString()
    assert bytes(encode_batch(pieces, batch, np.zeros(0, np.int64))) == b""


@given(st.data())
@settings(max_examples=25)
def test_all_requests_of_a_block_at_once(shop: tuple[Pieces, SpanBatch], data: st.DataObject) -> None:
    """Laid out together, each request is what it would be alone; what is not asked for is in none."""
    pieces, batch = shop
    rows = data.draw(st.permutations(range(batch.spans)))
    cuts = sorted(data.draw(st.sets(st.integers(0, batch.spans), min_size=2, max_size=8)))
    layout = lay_out(pieces, batch, np.array(cuts), np.array(rows))
    for i, (first, last) in enumerate(itertools.pairwise(cuts)):
        assert bytes(encode(layout, i)) == official(pieces.program, batch, rows[first:last])


def test_requests_own_their_bytes(shop: tuple[Pieces, SpanBatch]) -> None:
    """What a sender does to one request's buffer does not reach another, nor the same one made again."""
    pieces, batch = shop
    layout = lay_out(pieces, batch, np.array([0, 100, batch.spans]))
    whole = bytes(encode(layout, 0))
    spoilt = encode(layout, 0)
    spoilt[:] = b"\xff" * len(spoilt)
    assert bytes(encode(layout, 0)) == whole


@given(st.data())
@settings(max_examples=60)
def test_random_topologies(make: Make, trees: Any, data: st.DataObject) -> None:
    """Whatever the shape, with a random choice of attributes on every operation."""
    tree = data.draw(trees)
    rules = st.dictionaries(
        st.sampled_from("uvwxyz"), st.sampled_from(sorted(KINDS)).map(KINDS.__getitem__), max_size=4
    )
    for body in tree["services"].values():
        body |= {"instances": data.draw(st.integers(1, 3)), "resource": {"host": {"hex": 12}}}
        for operation in body["operations"].values():
            operation |= {part: data.draw(rules) for part in ("attributes", "on_success", "on_failure")}
    check_equal(make(tree), 6)


# --- what a reader sees -------------------------------------------------------------------------------------------


def test_a_reader_counts_what_was_drawn(shop: tuple[Pieces, SpanBatch]) -> None:
    """Protobuf finds every span once, with its ids, times and parent, and no more."""
    pieces, batch = shop
    seen = {
        (s.trace_id, s.span_id, s.parent_span_id, s.start_time_unix_nano, s.end_time_unix_nano)
        for s in spans_in(encode_batch(pieces, batch))
    }
    ids = [int(number).to_bytes(8, "big") for number in batch.span_ids]
    parents = [ids[parent] if parent >= 0 else b"" for parent in batch.parent.tolist()]
    traces = [bytes(batch.trace_ids[trace]) for trace in batch.trace.tolist()]
    assert seen == set(zip(traces, ids, parents, batch.start_ns.tolist(), batch.end_ns.tolist(), strict=True))
    assert len(seen) == batch.spans


def test_every_resource_names_the_run(shop: tuple[Pieces, SpanBatch]) -> None:
    """Service, instance and run stand in each resource, and each resource stands once."""
    pieces, batch = shop
    request = ExportTraceServiceRequest.FromString(bytes(encode_batch(pieces, batch)))
    found = [{a.key: a.value.string_value for a in each.resource.attributes} for each in request.resource_spans]
    assert {attributes[RUN_ID_KEY] for attributes in found} == {RUN}
    names = [(attributes["service.name"], attributes["service.instance.id"]) for attributes in found]
    assert all(instance.startswith(f"{name}-") for name, instance in names)
    assert len(set(names)) == len(names) == len(np.unique(batch.resource))


def test_drawn_resource_attributes_belong_to_the_instance(make: Make) -> None:
    """They stay the same from run to run of a seed, and differ between instances, services and seeds."""
    topology = make(
        services(
            [None, None],
            host={"hex": 16},
            size={"integer": {"min": 5, "max": 9}},
            pid={"integer": {"min": 10**5, "max": 10**6}},
        )
    )
    hosts = {
        (name, i, seed): resource_attributes(topology, name, i, seed, RUN)
        for name in ("s0", "s1")
        for i in (0, 1)
        for seed in (1, 2)
    }
    assert len({str(attributes["host"]) for attributes in hosts.values()}) == 8
    assert all(5 <= attributes["size"] <= 9 and 10**5 <= attributes["pid"] <= 10**6 for attributes in hosts.values())  # type: ignore[operator]
    again = resource_attributes(topology, "s0", 0, 1, "another run")
    assert {key for key, value in again.items() if value != hosts["s0", 0, 1][key]} == {RUN_ID_KEY}


def test_derived_values_say_what_the_span_is(make: Make) -> None:
    """Duration, children, start and end, for a root with two children and a wait."""
    names = ("duration_ms", "children", "start_time", "end_time")
    attributes = {name: {"derive": name} for name in names}
    calls = [{"call": "s/a", "times": [2, 2]}, {"wait": "1500us"}]
    topology = make({"o": {"latency": "3ms", "attributes": attributes, "calls": calls}, "a": {}})
    pieces = pieces_of(topology)
    root = next(span for span in spans_in(encode_batch(pieces, drawn(pieces, 1))) if not span.parent_span_id)
    said = {attribute.key: attribute.value for attribute in root.attributes}
    assert (said["duration_ms"].int_value, said["children"].int_value) == (6, 2)
    assert said["start_time"].string_value == "2027-01-15T08:00:00.000Z"
    assert said["end_time"].string_value == "2027-01-15T08:00:00.006Z"
