"""A trace's pieces brought together: one group per resource, one list of spans per scope in it.

Source: Grafana Tempo v3.0.3, tempodb/encoding/vparquet4/rebatch_trace.go and schema.go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from loadgen.blocks.records import ResourceRecord, ScopeRecord, resource_record, scope_record
from loadgen.blocks.regroup import Piece

NO_SPAN_ID, NO_TRACE_ID = bytes(8), bytes(16)


@dataclass(slots=True)
class Group:
    """Spans of one resource, by scope."""

    resource: ResourceRecord
    scopes: dict[Hashable, tuple[ScopeRecord, list[Span]]] = field(default_factory=dict)
    pieces: int = 0

    def add(self, scope: ScopeRecord, spans: Sequence[Span]) -> None:
        """Takes the spans of one more piece."""
        self.pieces += 1
        self.scopes.setdefault(scope.identity, (scope, []))[1].extend(spans)

    def attributes(self, scope: ScopeRecord) -> list[KeyValue]:
        """The scope's attributes as stored: comparing pieces sorts them, a lone piece keeps its order."""
        return scope.by_key if self.pieces > 1 else scope.attributes


class GroupedTrace(NamedTuple):
    """A whole trace; the root's names are empty where no span is a root."""

    root_service: str
    root_name: str
    groups: list[Group]


def group(pieces: Iterable[Piece]) -> GroupedTrace:
    """The trace of the pieces, groups and spans in order of arrival."""
    groups: dict[Hashable, Group] = {}
    root = ("", "")
    for piece in pieces:
        resource, scope = resource_record(piece.resource), scope_record(piece.scope)
        spans = [_span(encoded) for encoded in piece.spans]
        groups.setdefault(resource.identity, Group(resource)).add(scope, spans)
        for span in spans:
            if not span.parent_span_id and not _is_child_of(span):
                root = (resource.own.get("ServiceName", ""), span.name)  # of several roots the last
    return GroupedTrace(*root, list(groups.values()))


def _span(encoded: bytes) -> Span:
    """The span; an id of nothing but zeros is no id, as in the Collector's own records."""
    span = Span.FromString(encoded)
    if span.parent_span_id == NO_SPAN_ID:
        span.ClearField("parent_span_id")
    for link in span.links:
        if link.span_id == NO_SPAN_ID:
            link.ClearField("span_id")
        if link.trace_id == NO_TRACE_ID:
            link.ClearField("trace_id")
    return span


def _is_child_of(span: Span) -> bool:
    """Whether a link makes the span a child, as OpenTracing's bridge writes it."""
    return any(
        attribute.key == "opentracing.ref_type" and attribute.value.string_value == "child_of"
        for link in span.links
        if link.trace_id == span.trace_id
        for attribute in link.attributes
    )
