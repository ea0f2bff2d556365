"""Topology files that were damaged, made up, or made to do harm: one message, at once, and no other error."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.errors import InputError
from loadgen.otlp import compile_pieces, encode_batch, for_run
from loadgen.synth import compile_topology, draw
from loadgen.topology import find_topology, parse_topology

VALID = """\
name: shop
resource: {env: test, n: {integer: {max: 9}}}
variables: {user: {uuid: v4}}
entries: [{operation: web/GET, weight: 2}]
services:
  web:
    instances: 2
    scope: {name: http}
    operations:
      GET:
        kind: server
        latency: {p50: 1ms, p95: 2ms}
        attributes: {user: {variable: user}, m: [a, b], z: {zipf: {cardinality: 9}}, c: {choice: {a: 1, b: 2}}}
        on_failure: {status: 500}
        failures: [{rate: 0.1, type: Oops, message: broken}]
        calls: [{call: db/SELECT, probability: 0.5, times: [1, 3], retries: 2, backoff: 1ms}, {wait: 1s}]
  db: {operations: {SELECT: {latency: 3ms, attributes: {t: {text: {cardinality: 3, min: 1, max: 9}}, h: {hex: 9}}}}}
"""


def outcome(text: str) -> str:
    """The message that a text is refused with; empty where it is a topology, which then draws and encodes."""
    try:
        topology = parse_topology(text, "t.yaml")
    except InputError as error:
        return check_message(error)
    program = compile_topology(topology)
    batch = draw(program, 1, "r", 0, np.full(2, 10**18))
    encode_batch(for_run(compile_pieces(program), 1, "r"), batch)
    return ""


def check_message(error: InputError) -> str:
    """A message is one line of bounded length that any terminal takes."""
    text = str(error)
    assert text.startswith("t.yaml")
    assert "\n" not in text
    assert len(text) < 2000
    assert text.encode("utf-8", "backslashreplace")
    return text


# --- made up -----------------------------------------------------------------------------------------------------

SIGNS = [
    "a: ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&x ",
    "*x",
    "<<: *x",
    "? ",
    ": ",
    "\n",
    "\n  ",
    "---\n",
    "...\n",
    "'",
    '"',
    "|\n",
    "#",
]
TAGS = ["!!int ", "!!set ", "!!timestamp ", "!!bool ", "!!binary ", "!!omap ", "!x ", "%YAML 1.1\n", "%TAG ! x\n"]
WORDS = ["~", "1e400", "0x" + "f" * 5000, "1:2:3", "2026-01-31", ".nan", "name", "services", "entries", "=", "a/b"]
LETTERS = ["\\ud800", "\t", "\0", "\u00e9", "\U0001f600", "\u2028", "\x85", "\ufeff", "\x7f"]
SCRAPS = st.sampled_from(SIGNS + TAGS + WORDS + LETTERS)


@given(st.lists(SCRAPS | st.text(max_size=4), max_size=30).map("".join))
@settings(max_examples=400)
def test_random_text_is_refused_in_one_line(text: str) -> None:
    """Whatever stands in a file, it is a topology or an InputError."""
    assert outcome(text) != ""


# --- damaged -----------------------------------------------------------------------------------------------------


def places(tree: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a tree."""
    yield path
    members = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in members:
        yield from places(value, (*path, key))


PLACES = [path for path in places(yaml.safe_load(VALID)) if path]
ODD_NUMBERS = [
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    0.0,
    -0.5,
    1e308,
    5e-324,
    float("inf"),
    float("nan"),
]
ODD_TEXTS = ["", " ", "{", "{n}", "{}", "\0", "a/b", "web/GET", "db/SELECT", "1ms", "0s", "168h", "x" * 3000, "\n", "é"]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, [], {}, [[]], [None], {"": 0}, {1: 2}, *ODD_NUMBERS, *ODD_TEXTS]
)
KEYS = st.sampled_from(["", "a", "constant", "choice", "zipf", "cardinality", "pattern", "wait", "call", "parallel"])
TREES = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
DAMAGES = st.lists(
    st.tuples(st.sampled_from(PLACES), TREES, st.sampled_from(["replace", "drop", "rename", "nest"])),
    min_size=1,
    max_size=3,
)


def damaged(tree: Any, path: tuple[Any, ...], value: object, how: str) -> Any:
    """The tree with what stands at ``path`` replaced, dropped, put under another key or one level down."""
    tree = copy.deepcopy(tree)
    holder = tree
    for key in path[:-1]:
        holder = member(holder, key)
    last = path[-1]
    old = member(holder, last)
    if isinstance(holder, dict):
        holder.pop(last, None)
        holder |= {"replace": {last: value}, "drop": {}, "rename": {f"{last}x": old}, "nest": {last: {last: old}}}[how]
    elif isinstance(holder, list) and isinstance(last, int):
        holder[last : last + 1] = {"replace": [value], "drop": [], "rename": [old, old], "nest": [[old]]}[how]
    return tree


def member(holder: Any, key: Any) -> Any:
    """A member of what may be anything by now."""
    if isinstance(holder, dict):
        return holder.get(key)
    return holder[key] if isinstance(holder, list) and isinstance(key, int) and key < len(holder) else None


@given(DAMAGES)
@settings(max_examples=250)
def test_a_damaged_topology_is_refused_or_works(changes: list[tuple[tuple[Any, ...], object, str]]) -> None:
    """A file that validates also compiles, draws and encodes; any other is an InputError."""
    tree = yaml.safe_load(VALID)
    for path, value, how in changes:
        tree = damaged(tree, path, value, how)
    said = outcome(yaml.safe_dump(tree, allow_unicode=True))
    assert said == "" or said.startswith("t.yaml")


@given(st.integers(0, len(VALID) - 1), st.integers(0, 40), SCRAPS)
@settings(max_examples=200)
def test_a_torn_topology_is_refused_or_works(at: int, length: int, put: str) -> None:
    """The same for a file in which a piece of text was overwritten."""
    said = outcome(VALID[:at] + put + VALID[at + length :])
    assert said == "" or said.startswith("t.yaml")


@pytest.mark.parametrize("name", ["checkout", "deploy"])
def test_a_shipped_topology_cut_short_is_refused(name: str) -> None:
    """A file that was not written to its end names the line where it breaks off, or what is missing."""
    text, _ = find_topology(name)
    messages = [outcome(text[:end]) for end in range(0, 1500, 100)]
    assert all(said.startswith("t.yaml") for said in messages)


# --- made to do harm ---------------------------------------------------------------------------------------------


def laughs(levels: int, each: int = 9) -> str:
    """Aliases of aliases: ``each ** levels`` values in a few lines."""
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * each)}]" for i in range(1, levels))]
    return "\n".join(lines)


def merges(levels: int, each: int = 9) -> str:
    """The same by merge keys."""
    lines = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * each)}]}}" for i in range(1, levels))]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (laughs(12), "t.yaml:1: got 'over 200,000 values, aliases followed', must be YAML"),
        (merges(12), "t.yaml:1: got 'over 200,000 values, aliases followed', must be YAML"),
        ("a: &a [*a]", "t.yaml:1: got 'over 50 levels of nesting', must be YAML"),
        ("a: &a {b: *a}", "t.yaml:1: got 'over 50 levels of nesting', must be YAML"),
        ("[" * 100_000, "t.yaml: got 'nesting without end', must be YAML at most 50 levels deep"),
        ("- " * 100_000, "t.yaml: got 'nesting without end', must be YAML at most 50 levels deep"),
        ("{a: " * 40_000, "t.yaml: got 'nesting without end', must be YAML at most 50 levels deep"),
        ("a: " + "x" * 1_000_000, "t.yaml:1: name: got 'nothing', must be given"),
        ("name: " + "x" * 900_000, f"t.yaml:1: name: got '{80 * 'x'}...', String should match pattern"),
        ("? [a, b]\n: c", "t.yaml:1: got 'a key that is no text', must be YAML"),
        ("? {a: b}\n: c", "t.yaml:1: got 'a key that is no text', must be YAML"),
        ("a: !!python/object/apply:os.system ['true']", ""),
        ("a: !!timestamp x", "t.yaml: got \"'NoneType' object has no attribute 'groupdict'\", must be YAML"),
        ("a: !!bool x", "t.yaml: got \"'x'\", must be YAML"),
        ("a: !!int ''", "t.yaml: got 'string index out of range', must be YAML"),
        ("a: 2026-02-31", "t.yaml: got 'day is out of range for month', must be YAML"),
        ("a: " + "9" * 5000, ""),
        ("name: 0x" + "f" * 5000, ""),
        ("a: \0", "t.yaml: got 'unacceptable character #x0000: special characters are not allowed', must be YAML"),
        ("\ufeffname: [", ""),
        ("", "t.yaml: topology: got None, must be a mapping"),
        ("--- a\n--- b", "t.yaml:2: got 'but found another document', must be YAML"),
    ],
)  # fmt: skip
def test_harmful_yaml_is_refused_at_once(text: str, message: str) -> None:
    """Bombs, recursion, tags and values that YAML's own constructors fail over end in one line within seconds."""
    began_s = time.monotonic()
    said = outcome(text)
    assert time.monotonic() - began_s < 10
    assert said.startswith(message or "t.yaml")


def test_no_tag_runs_python() -> None:
    """A tag that would make PyYAML's full loader run a program is not known here."""
    said = outcome("a: !!python/object/apply:os.system ['true']")
    assert "could not determine a constructor" in said


@pytest.mark.parametrize("key", ["a\nb", "\x1b[31m", "\u2028", "\U0001f600", "\u00e9"])
def test_odd_keys_are_shown_on_one_line(key: str) -> None:
    """A key cannot break or colour the line of its message."""
    said = outcome(yaml.safe_dump({**yaml.safe_load(VALID), key: 1}))
    assert said.isprintable()
    assert said.endswith("got 1, is not a key that is known here")


def test_the_largest_pools_stay_small_enough_to_compile() -> None:
    """The most that one attribute may hold takes seconds, not the machine's memory."""
    attributes = {
        "zipf": {"zipf": {"cardinality": 65_536, "pattern": "{n:064x}"}},
        "text": {"text": {"cardinality": 65_536, "min": 1, "max": 64}},
    }
    tree = yaml.safe_load(VALID)
    tree["services"]["db"]["operations"]["SELECT"]["attributes"] = attributes
    began_s = time.monotonic()
    assert outcome(yaml.safe_dump(tree)) == ""
    assert time.monotonic() - began_s < 20
