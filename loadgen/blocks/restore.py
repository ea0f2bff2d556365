"""A row of a storage block -> the trace it was made from, as Tempo's API gives it back.

What the row does not hold does not come back: the order of attributes and what was cut. Attributes
with a column of their own come last.

Source: Grafana Tempo v3.0.3, tempodb/encoding/vparquet4/schema.go (ParquetTraceToTempopbTrace) and
pkg/model/trace (Combiner, SortTrace).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from google.protobuf.json_format import Parse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from loadgen.blocks.attributes import DEDICATED_SPAN_ATTRIBUTES, RESOURCE_COLUMNS, VALUE_COLUMNS
from loadgen.blocks.meta import DATA_FILE

Row = Mapping[str, Any]

_OWN_OF_SPANS = (("http.method", "HttpMethod"), ("http.url", "HttpUrl"))


def find_trace(path: Path, trace_id: bytes) -> TracesData | None:
    """The trace of 16-byte id ``trace_id`` in the vParquet4 block in folder ``path``, None if it has none."""
    with pq.ParquetFile(path / DATA_FILE) as parquet:
        for group in range(parquet.num_row_groups):
            ids = parquet.read_row_group(group, columns=["TraceID"])["TraceID"]
            found = pc.index(ids, pa.scalar(trace_id, pa.binary())).as_py()
            if found >= 0:
                return restore(parquet.read_row_group(group).slice(found, 1).to_pylist()[0])
    return None


def restore(row: Row) -> TracesData:
    """The trace in a row, given as ``pyarrow.Table.to_pylist`` gives it."""
    return TracesData(resource_spans=[_resource_spans(group, row["TraceID"]) for group in row["rs"]])


def combine(parts: Iterable[TracesData]) -> TracesData:
    """One trace of several parts: a span of the same id and kind once, everything in order of time."""
    whole = TracesData()
    seen: set[tuple[bytes, int]] = set()
    for batch in (batch for part in parts for batch in part.resource_spans):
        for scope in batch.scope_spans:
            spans = [span for span in scope.spans if (span.span_id, span.kind) not in seen]
            del scope.spans[:]
            scope.spans.extend(spans)
        fresh = [scope for scope in batch.scope_spans if scope.spans]
        seen.update((span.span_id, span.kind) for scope in fresh for span in scope.spans)
        if fresh:
            whole.resource_spans.append(ResourceSpans(resource=batch.resource, scope_spans=fresh))
    _sort(whole)
    return whole


def _sort(trace: TracesData) -> None:
    for batch in trace.resource_spans:
        for scope in batch.scope_spans:
            for span in scope.spans:
                span.events.sort(key=lambda event: (event.time_unix_nano, event.name))
                span.links.sort(key=lambda link: (link.trace_id, link.span_id))
            scope.spans.sort(key=_moment)
        batch.scope_spans.sort(key=lambda scope: _moment(scope.spans[0]))
    trace.resource_spans.sort(key=lambda batch: _moment(batch.scope_spans[0].spans[0]))


def _moment(span: Span) -> tuple[int, bytes]:
    return span.start_time_unix_nano, span.span_id


def _resource_spans(group: Row, trace_id: bytes) -> ResourceSpans:
    found = group["Resource"]
    own = [(key, found[column]) for (key, _), column in RESOURCE_COLUMNS.items()]
    own[0] = (own[0][0], own[0][1] or None)  # a required column: empty where there is no service name
    resource = Resource(
        attributes=[*_generic(found["Attrs"]), *_texts(own)],
        dropped_attributes_count=found["DroppedAttributesCount"],
    )
    return ResourceSpans(resource=resource, scope_spans=[_scope_spans(scope, trace_id) for scope in group["ss"]])


def _scope_spans(found: Row, trace_id: bytes) -> ScopeSpans:
    scope = InstrumentationScope(
        name=found["Scope"]["Name"],
        version=found["Scope"]["Version"],
        attributes=_generic(found["Scope"]["Attrs"]),
        dropped_attributes_count=found["Scope"]["DroppedAttributesCount"],
    )
    return ScopeSpans(scope=scope, spans=[_span(span, trace_id) for span in found["Spans"]])


def _span(found: Row, trace_id: bytes) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=found["SpanID"],
        parent_span_id=found["ParentSpanID"],
        trace_state=found["TraceState"],
        name=found["Name"],
        kind=found["Kind"],
        start_time_unix_nano=found["StartTimeUnixNano"],
        end_time_unix_nano=_later(found["StartTimeUnixNano"], found["DurationNano"]),
        status=Status(code=found["StatusCode"], message=found["StatusMessage"]),
        attributes=[*_generic(found["Attrs"]), *_own_of_span(found)],
        dropped_attributes_count=found["DroppedAttributesCount"],
        events=[_event(event, found["StartTimeUnixNano"]) for event in found["Events"]],
        dropped_events_count=found["DroppedEventsCount"],
        links=[_link(link) for link in found["Links"]],
        dropped_links_count=found["DroppedLinksCount"],
    )


def _own_of_span(found: Row) -> list[KeyValue]:
    spare = found["DedicatedAttributes"]
    dedicated = [(key, spare[f"String{n:02d}"]) for n, key in enumerate(DEDICATED_SPAN_ATTRIBUTES, start=1)]
    own = _texts([*dedicated, *((key, found[column]) for key, column in _OWN_OF_SPANS)])
    if found["HttpStatusCode"] is not None:
        own.append(KeyValue(key="http.status_code", value=AnyValue(int_value=found["HttpStatusCode"])))
    return own


def _event(found: Row, start_ns: int) -> Span.Event:
    return Span.Event(
        time_unix_nano=_later(start_ns, found["TimeSinceStartNano"]),
        name=found["Name"],
        attributes=_generic(found["Attrs"]),
        dropped_attributes_count=found["DroppedAttributesCount"],
    )


def _link(found: Row) -> Span.Link:
    return Span.Link(
        trace_id=found["TraceID"],
        span_id=found["SpanID"],
        trace_state=found["TraceState"],
        attributes=_generic(found["Attrs"]),
        dropped_attributes_count=found["DroppedAttributesCount"],
    )


def _later(start_ns: int, since_ns: int) -> int:
    return (start_ns + since_ns) % (1 << 64)


def _texts(values: Iterable[tuple[str, str | None]]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in values if text is not None]


def _generic(attributes: Iterable[Row]) -> list[KeyValue]:
    return [KeyValue(key=attribute["Key"], value=_value(attribute)) for attribute in attributes]


def _value(attribute: Row) -> AnyValue:
    if attribute["ValueUnsupported"] is not None:
        return Parse(attribute["ValueUnsupported"], AnyValue())
    values = [AnyValue(**{kind: value}) for kind, (column, _) in VALUE_COLUMNS.items() for value in attribute[column]]
    if attribute["IsArray"]:
        whole = AnyValue()
        whole.array_value.values.extend(values)
        whole.array_value.SetInParent()
        return whole
    return values[0]
