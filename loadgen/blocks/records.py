"""Resources and scopes, parsed once: the same bytes come back with every trace.

Two groups of spans are one where their resources say the same, in any order of attributes; the
count of dropped attributes does not matter and the first one's stays.

Source: Grafana Tempo v3.0.3, tempodb/encoding/vparquet4/rebatch_trace.go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from loadgen.blocks.attributes import NOTHING, RESOURCE_COLUMNS, cut

CACHED = 4096


class ResourceRecord(NamedTuple):
    """A resource: attributes with a column of their own, the others sorted by key, and its identity."""

    own: dict[str, str]
    generic: list[KeyValue]
    dropped: int
    identity: Hashable


class ScopeRecord(NamedTuple):
    """A scope: attributes as they came and sorted by key, and its identity."""

    name: str
    version: str
    attributes: list[KeyValue]
    by_key: list[KeyValue]
    dropped: int
    identity: Hashable


@lru_cache(CACHED)
def resource_record(encoded: bytes) -> ResourceRecord:
    """The record of an encoded Resource."""
    resource = Resource.FromString(encoded)
    own: dict[str, str] = {}
    others: list[KeyValue] = []
    for attribute in resource.attributes:
        column = RESOURCE_COLUMNS.get((attribute.key, attribute.value.WhichOneof("value") or NOTHING))
        if column is None:
            others.append(attribute)
        else:
            own[column] = cut(attribute.value.string_value)
    generic = sorted(others, key=_key)
    identity = (tuple(sorted(own.items())), _encoded(generic))
    return ResourceRecord(own, generic, resource.dropped_attributes_count, identity)


@lru_cache(CACHED)
def scope_record(encoded: bytes) -> ScopeRecord:
    """The record of an encoded InstrumentationScope."""
    scope = InstrumentationScope.FromString(encoded)
    attributes = list(scope.attributes)
    by_key = sorted(attributes, key=_key)
    identity = (scope.name, scope.version, _encoded(by_key))
    return ScopeRecord(scope.name, scope.version, attributes, by_key, scope.dropped_attributes_count, identity)


def _key(attribute: KeyValue) -> bytes:
    return attribute.key.encode()


def _encoded(attributes: Iterable[KeyValue]) -> tuple[bytes, ...]:
    return tuple(attribute.SerializeToString() for attribute in attributes)
