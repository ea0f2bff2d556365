"""What topology files may say, and what the product makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from loadgen.errors import InputError
from loadgen.topology import (
    Call,
    Latency,
    Topology,
    Value,
    find_topology,
    load_topology,
    parse_topology,
    shipped_topologies,
)
from loadgen.topology.durations import format_duration, parse_duration
from loadgen.topology.load import topology_schema

LEAST = "name: a\nentries: [{operation: s/o}]\nservices: {s: {operations: {o: {latency: 1ms}}}}\n"


def one_operation(**fields: object) -> dict[str, Any]:
    """A topology of one operation with ``fields``, and another one to call."""
    operations = {"o": {"latency": "1ms"} | fields, "p": {"latency": "2ms"}}
    return {"name": "a", "entries": [{"operation": "s/o"}], "services": {"s": {"operations": operations}}}


def parsed(**fields: object) -> Topology:
    return parse_topology(yaml.safe_dump(one_operation(**fields)), "a.yaml")


def value_of(raw: object) -> Value:
    return parsed(attributes={"x": raw}).operations()["s/o"][1].attributes["x"]


def test_what_is_not_said_takes_its_default() -> None:
    """A topology states only what matters to it."""
    topology = parse_topology(LEAST, "a.yaml")
    service, operation = topology.operations()["s/o"]
    assert (service, operation.kind, operation.latency.fixed) == ("s", "internal", 1_000_000)
    assert (operation.attributes, operation.failures, operation.calls) == ({}, [], [])
    assert (topology.services["s"].instances, topology.services["s"].scope) == (1, None)
    assert topology.entries[0].weight == 1.0


def test_topologies_cannot_be_changed() -> None:
    """What was validated once stays valid."""
    with pytest.raises(ValueError, match="frozen"):
        parse_topology(LEAST, "a.yaml").name = "b"  # type: ignore[misc]


MIXED = [{"value": "a", "weight": 1}, {"value": "b", "weight": 2}]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"latency": "5ms"}, {"latency": {"fixed": "5ms"}}),
        ({"calls": ["s/p"]}, {"calls": [{"call": "s/p"}]}),
        ({"calls": ["s/p"]}, {"calls": [{"parallel": ["s/p"]}]}),
        ({"calls": [{"wait": "1s"}]}, {"calls": [{"parallel": [{"wait": {"fixed": "1s"}}]}]}),
        ({"attributes": {"x": "text"}}, {"attributes": {"x": {"constant": "text"}}}),
        ({"attributes": {"x": ["a", "b"]}}, {"attributes": {"x": {"constant": ["a", "b"]}}}),
        ({"attributes": {"x": {"choice": ["a"]}}}, {"attributes": {"x": {"choice": [{"value": "a"}]}}}),
        ({"attributes": {"x": {"choice": {"a": 1, "b": 2}}}}, {"attributes": {"x": {"choice": MIXED}}}),
        ({"attributes": {"x": {"choice": ["a", MIXED[1]]}}}, {"attributes": {"x": {"choice": MIXED}}}),
    ],
)
def test_a_short_form_is_its_long_form(short: dict[str, object], long: dict[str, object]) -> None:
    """Short forms are for people; behind them is one form."""
    assert parsed(**short) == parsed(**long)


@pytest.mark.parametrize("raw", ["text", "", "yes", 0, -(2**63), 2**63 - 1, 1.5, -0.0, True, False, ["a", ""], []])
def test_a_constant_keeps_its_type(raw: object) -> None:
    """Text stays text, a whole number whole, and true no 1: each is another kind of attribute."""
    constant = value_of(raw).constant
    assert (type(constant), constant) == (type(raw), raw)


def test_choices_keep_their_types() -> None:
    """Values that compare equal in Python are different attribute values."""
    mixed = [1, True, 1.0, "1", 0, False]
    choice = value_of({"choice": mixed}).choice or []
    assert [(type(one.value), one.value) for one in choice] == [(type(raw), raw) for raw in mixed]


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("0s", 0),
        ("1ns", 1),
        ("1.4ns", 1),
        ("250us", 250_000),
        ("1.5ms", 1_500_000),
        (" 3s ", 3_000_000_000),
        ("10m", 600_000_000_000),
        ("2h", 7_200_000_000_000),
        ("168h", 7 * 24 * 3600 * 10**9),
    ],
)
def test_durations_are_whole_nanoseconds(text: str, duration_ns: int) -> None:
    """Durations are read as people write them."""
    assert parse_duration(text) == duration_ns


NO_DURATIONS = ["", "5", "ms", "5 ms", "-5ms", "1e3ms", "1.ms", ".5ms", "5MS", "5d", "nans", "infs", "٣ms", "168.1h"]


@pytest.mark.parametrize("text", [*NO_DURATIONS, "9" * 400 + "ns", 5, None, True, ["5ms"]])
def test_other_durations_are_refused(text: object) -> None:
    """A duration has a number and a unit, and is at most 7 days."""
    with pytest.raises(ValueError, match=re.escape("must be a duration such as 250us")):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1 us"),
        (1_234_567, "1.23 ms"),
        (3_600_000_000_000, "1 h"),
        (5.4e10, "54 s"),
    ],
)
def test_durations_are_shown_with_a_fitting_unit(duration_ns: float, text: str) -> None:
    """Three digits and a unit."""
    assert format_duration(duration_ns) == text


def test_both_spellings_of_async_are_one() -> None:
    """``async`` is a word of Python's, so the field has another name inside."""
    assert Call.model_validate({"call": "s/p", "async": True}).asynchronous is True


def test_latencies_have_one_form() -> None:
    """A fixed latency may be zero; a median may not."""
    assert Latency.model_validate({"fixed": "0s"}).fixed == 0
    with pytest.raises(ValueError, match="must have fixed"):
        Latency.model_validate({"p50": "0s", "p95": "1s"})


@pytest.mark.parametrize("pattern", ["{n}", "a{n}b{n}", "{{}}{n}", "{n:x}", "{n:04d}", "{n:12}", "{n:099X}", "{n:}"])
def test_patterns_may_say_how_the_number_is_written(pattern: str) -> None:
    """Width, zeros and base of the number are a pattern's to choose."""
    assert value_of({"uniform": {"cardinality": 3, "pattern": pattern}}).uniform is not None


def test_a_single_value_needs_no_number() -> None:
    """A pattern without ``{n}`` makes one value."""
    assert value_of({"uniform": {"cardinality": 1, "pattern": "only"}}).uniform is not None


@pytest.mark.parametrize("name", ["checkout", "deploy"])
def test_shipped_topologies_are_found_by_name(name: str) -> None:
    """A scenario's name is enough to load it."""
    assert name in shipped_topologies()
    assert load_topology(name).name == name


def test_merge_keys_and_anchors_may_be_used() -> None:
    """YAML's own means against repetition work, and a rule broken through them still names its place."""
    text = LEAST.replace("{latency: 1ms}", "&o {latency: 1ms, kind: client}, p: {<<: *o, latency: 2ms}")
    operations = parse_topology(text, "a.yaml").operations()
    assert [(o.kind, o.latency.fixed) for _, o in operations.values()] == [("client", 10**6), ("client", 2 * 10**6)]
    with pytest.raises(InputError) as caught:
        parse_topology(text.replace("kind: client", "kind: clint"), "a.yaml")
    assert str(caught.value).startswith("a.yaml:3: services.s.operations.o.kind: got 'clint', must be 'internal'")


# --- JSON Schema -------------------------------------------------------------------------------------------------

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "minProperties": lambda value, bound: len(value) >= bound,
    "pattern": lambda value, bound: re.search(bound, value) is not None,
    "enum": lambda value, bound: value in bound,
    "const": lambda value, bound: value == bound,
}
SAYS_NOTHING = {"title", "description", "default", "examples", "$defs", "$schema"}


def fits(value: object, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value is valid by a schema; only what topology_schema() uses is known, the rest is an error."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema:
        return any(fits(value, one, root) for one in schema["anyOf"])
    if not isinstance(value, TYPES[schema.get("type", "string")]) or isinstance(value, bool) != (
        schema.get("type") == "boolean"
    ):
        return False
    known = {"type", "properties", "required", "additionalProperties", "propertyNames", "items"} | SAYS_NOTHING
    if not all(BOUNDS[key](value, bound) for key, bound in schema.items() if key not in known):
        return False
    if isinstance(value, list):
        return all(fits(item, schema["items"], root) for item in value)
    return not isinstance(value, dict) or fits_object(value, schema, root)


def fits_object(value: dict[str, object], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    known = all(fits(value[key], properties[key], root) for key in value if key in properties)
    rest = [item for key, item in value.items() if key not in properties]
    allowed = all(fits(item, others, root) for item in rest) if isinstance(others, dict) else others or not rest
    return known and allowed and set(schema.get("required", ())) <= set(value)


@pytest.mark.parametrize("name", ["checkout", "deploy"])
def test_the_schema_accepts_what_the_product_accepts(name: str) -> None:
    """An editor that follows the schema does not complain about a shipped topology, short forms and all."""
    text, _ = find_topology(name)
    schema = topology_schema()
    assert fits(yaml.safe_load(text), schema, schema)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "sever"},
        {"latency": 5},
        {"latency": "5 ms"},
        {"calls": [5]},
        {"calls": [{"call": "s/p", "probability": 2}]},
        {"attributes": {"x": {"hex": 65}}},
        {"attributes": {"x": {"hexx": 5}}},
        {"attributes": {"x": [1]}},
        {"failures": [{"type": "no rate"}]},
        {"unknown": 1},
    ],
)
def test_the_schema_refuses_what_the_product_refuses(fields: dict[str, object]) -> None:
    """What a schema can say of a rule, it says."""
    schema = topology_schema()
    assert not fits(one_operation(**fields), schema, schema)
    with pytest.raises(InputError):
        parsed(**fields)
