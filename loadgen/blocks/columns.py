"""Columns of resources, scopes, spans, events and links, each built for all rows of a block at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from loadgen.blocks.attributes import (
    RESOURCE_COLUMNS,
    SPAN_COLUMNS,
    Attributes,
    ends,
    sparse,
)
from loadgen.blocks.records import ResourceRecord, ScopeRecord
from loadgen.blocks.schema import LEAVES, Columns
from loadgen.blocks.tree import NestedSet

Nanos = npt.NDArray[np.uint64]

RESOURCE, SCOPE, SPAN = "rs.Resource", "rs.ss.Scope", "rs.ss.Spans"
_COLUMN_TYPES = {path.replace(".list.element", ""): leaf.type for path, leaf in LEAVES.items()}


def resource_columns(resources: Sequence[ResourceRecord]) -> Columns:
    """Everything under ``rs.Resource``."""
    columns = _generic(RESOURCE, [resource.generic for resource in resources])
    for name in RESOURCE_COLUMNS.values():
        absent = "" if name == "ServiceName" else None
        values = [resource.own.get(name, absent) for resource in resources]
        columns.values[f"{RESOURCE}.{name}"] = pa.array(values, pa.string())
    columns.values[f"{RESOURCE}.DroppedAttributesCount"] = _int32([r.dropped for r in resources])
    return columns


def scope_columns(scopes: Sequence[tuple[ScopeRecord, Sequence[KeyValue]]]) -> Columns:
    """Everything under ``rs.ss.Scope``, from each record with its attributes in the order they have here."""
    columns = _generic(SCOPE, [attributes for _, attributes in scopes])
    columns.values.update(
        {
            f"{SCOPE}.Name": pa.array([record.name for record, _ in scopes], pa.string()),
            f"{SCOPE}.Version": pa.array([record.version for record, _ in scopes], pa.string()),
            f"{SCOPE}.DroppedAttributesCount": _int32([record.dropped for record, _ in scopes]),
        }
    )
    return columns


def span_columns(spans: Sequence[Span], starts_ns: Nanos, ends_ns: Nanos, places: NestedSet) -> Columns:
    """Everything under ``rs.ss.Spans``.

    Args:
        spans: The spans in row order.
        starts_ns: Their starts.
        ends_ns: Their ends; a span that ends before it starts wraps round, as in Tempo.
        places: Their nested-set numbers.
    """
    attributes = Attributes(SPAN_COLUMNS)
    for span in spans:
        attributes.add(span.attributes)
    columns = attributes.columns(f"{SPAN}.Attrs")
    for name, own in attributes.own.items():
        columns.values[f"{SPAN}.{name}"] = sparse(own, len(spans), _COLUMN_TYPES[f"{SPAN}.{name}"])
    for part in (_intrinsics(spans), _event_columns(spans, starts_ns), _link_columns(spans)):
        columns.values.update(part.values)
        columns.offsets.update(part.offsets)
    columns.values.update(
        {
            f"{SPAN}.StartTimeUnixNano": pa.array(starts_ns),
            f"{SPAN}.DurationNano": pa.array(ends_ns - starts_ns),
            f"{SPAN}.NestedSetLeft": _int32(places.left),
            f"{SPAN}.NestedSetRight": _int32(places.right),
            f"{SPAN}.ParentID": _int32(places.parent),
        }
    )
    return columns


def _intrinsics(spans: Sequence[Span]) -> Columns:
    values = {
        "SpanID": pa.array([span.span_id for span in spans], pa.binary()),
        "ParentSpanID": pa.array([span.parent_span_id for span in spans], pa.binary()),
        "Name": pa.array([span.name for span in spans], pa.string()),
        "Kind": pa.array([span.kind for span in spans], pa.int64()),
        "TraceState": pa.array([span.trace_state for span in spans], pa.string()),
        "StatusCode": pa.array([span.status.code for span in spans], pa.int64()),
        "StatusMessage": pa.array([span.status.message for span in spans], pa.string()),
        "DroppedAttributesCount": _int32([span.dropped_attributes_count for span in spans]),
        "DroppedEventsCount": _int32([span.dropped_events_count for span in spans]),
        "DroppedLinksCount": _int32([span.dropped_links_count for span in spans]),
    }
    return Columns({f"{SPAN}.{name}": array for name, array in values.items()}, {})


def _event_columns(spans: Sequence[Span], starts_ns: Nanos) -> Columns:
    path = f"{SPAN}.Events"
    counts = [len(span.events) for span in spans]
    events = list(chain.from_iterable(span.events for span in spans))
    columns = _generic(path, [event.attributes for event in events])
    times_ns = np.array([event.time_unix_nano for event in events], np.uint64)
    columns.values.update(
        {
            f"{path}.TimeSinceStartNano": pa.array(times_ns - np.repeat(starts_ns, counts)),
            f"{path}.Name": pa.array([event.name for event in events], pa.string()),
            f"{path}.DroppedAttributesCount": _int32([event.dropped_attributes_count for event in events]),
        }
    )
    columns.offsets[path] = ends(counts, len(spans))
    return columns


def _link_columns(spans: Sequence[Span]) -> Columns:
    path = f"{SPAN}.Links"
    links = list(chain.from_iterable(span.links for span in spans))
    columns = _generic(path, [link.attributes for link in links])
    columns.values.update(
        {
            f"{path}.TraceID": pa.array([link.trace_id for link in links], pa.binary()),
            f"{path}.SpanID": pa.array([link.span_id for link in links], pa.binary()),
            f"{path}.TraceState": pa.array([link.trace_state for link in links], pa.string()),
            f"{path}.DroppedAttributesCount": _int32([link.dropped_attributes_count for link in links]),
        }
    )
    columns.offsets[path] = ends([len(span.links) for span in spans], len(spans))
    return columns


def _generic(path: str, owners: Iterable[Iterable[KeyValue]]) -> Columns:
    attributes = Attributes()
    for of_owner in owners:
        attributes.add(of_owner)
    return attributes.columns(f"{path}.Attrs")


def _int32(numbers: Sequence[int]) -> pa.Array:
    """A 32-bit column; a count over 2^31 wraps round, as in Tempo."""
    return pa.array(np.array(numbers, np.int64).astype(np.int32))
