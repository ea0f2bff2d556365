"""Every rule of a topology file, and the message that names place, value and rule where it is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from loadgen.errors import InputError
from loadgen.topology import find_topology, load_topology, parse_topology

TEXT = """\
name: shop
about: A shop.
resource: {env: test}
variables:
  user: {uuid: v4}
entries:
  - operation: web/GET
    weight: 2
services:
  web:
    instances: 2
    scope: {name: http, version: "1"}
    resource: {host: {hex: 8}}
    operations:
      GET:
        kind: server
        latency: {p50: 1ms, p95: 2ms}
        attributes:
          user.id: {variable: user}
          method: GET
        on_failure: {status: 500}
        failures: [{rate: 0.1, type: Oops}]
        calls:
          - {call: db/SELECT, probability: 0.5, times: [1, 3], retries: 2, backoff: 10ms}
          - parallel: [db/SELECT, {wait: 1s}]
  db:
    operations:
      SELECT:
        latency: 3ms
"""


def message_of(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_topology(text, "shop.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_base_of_these_tests_is_valid() -> None:
    """What the cases below break is whole."""
    topology = parse_topology(TEXT, "shop.yaml")
    assert list(topology.operations()) == ["web/GET", "db/SELECT"]


BROKEN = yaml.safe_load((Path(__file__).parent.parent / "data" / "topology-rules.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", BROKEN, ids=[case["put"][:40].strip() for case in BROKEN])
def test_a_broken_rule_is_named_with_place_value_and_rule(case: dict[str, str]) -> None:
    """One line: file and line, key path, what stands there, what would be right."""
    assert case["for"] in TEXT
    assert message_of(TEXT.replace(case["for"], case["put"], 1)) == f"shop.yaml:{case['says']}"


def test_a_span_past_what_its_length_field_holds_is_refused() -> None:
    """Attributes of 300,000 characters are more than a span may have."""
    said = message_of(TEXT.replace("method: GET", f"x: {'y' * 300_000}"))
    assert said == "shop.yaml:16: services.web.operations.GET: got '300,078 characters', a span must be at most 262,144"


def test_a_chain_of_calls_may_be_64_deep() -> None:
    """The deepest tree that is allowed is, and one level more is not."""
    below = "".join(f"      o{i}: {{latency: 1ms, calls: [web/o{i + 1}]}}\n" for i in range(62))
    text = TEXT.replace("      GET:\n", f"{below}      o62: {{latency: 1ms}}\n      GET:\n")
    assert len(parse_topology(text.replace("{wait: 1s}", "web/o0"), "shop.yaml").operations()) == 65
    said = message_of(
        text.replace("{latency: 1ms}", "{latency: 1ms, calls: [db/SELECT]}").replace("{wait: 1s}", "web/o0")
    )
    assert said == "shop.yaml:7: entries[0].operation: got 'web/GET', must stay within depth 64"


def test_two_operations_may_not_read_the_same() -> None:
    """Names are joined by a slash, so a slash in a service's name can make two operations one."""
    text = TEXT.replace("  db:\n", "  web/GET:\n    operations: {x: {latency: 1ms}}\n  db:\n").replace(
        "      GET:", "      GET/x: {latency: 1ms}\n      GET:"
    )
    said = "must not be the name of another service's operation, too"
    assert message_of(text) == f"shop.yaml:28: services.web/GET.operations.x: got 'web/GET/x', {said}"


def refused(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        find_topology(path)
    return str(caught.value)


def test_a_file_that_is_not_there_is_answered_with_what_is() -> None:
    """A wrong path and a misspelt scenario get the names of the shipped ones."""
    rule = "must be a YAML file or one of checkout, deploy (No such file or directory)"
    assert refused("chekout") == f"topology: got 'chekout', {rule}"
    assert refused(Path("shop.yaml")) == f"topology: got 'shop.yaml', {rule}"


def test_a_folder_is_no_topology(tmp_path: Path) -> None:
    """What cannot be read says why."""
    assert refused(tmp_path).endswith("(Is a directory)")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """A file over 1 MiB is not parsed: that would take minutes."""
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * (2**20 + 1))
    assert refused(path) == f"{path}: got '1,048,577 bytes', must be at most 1,048,576"


def test_text_must_be_utf_8(tmp_path: Path) -> None:
    """Bytes of another encoding are named by their place."""
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: caf\u00e9".encode("latin-1"))
    assert refused(path) == f"{path}: got 'byte 9', must be UTF-8 text"


def test_a_file_is_loaded_by_path(tmp_path: Path) -> None:
    """A topology of the user's own is found by its path, in any folder."""
    path = tmp_path / "shop.yml"
    path.write_text(TEXT, "utf-8")
    assert load_topology(path) == load_topology(str(path)) == parse_topology(TEXT, "elsewhere")
