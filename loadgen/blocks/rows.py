"""Traces' pieces -> rows of a storage block, every column built for all spans at once.

Source: Grafana Tempo v3.0.3, tempodb/encoding/vparquet4/schema.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from loadgen.blocks.attributes import ends
from loadgen.blocks.columns import Nanos, resource_columns, scope_columns, span_columns
from loadgen.blocks.group import Group, GroupedTrace, group
from loadgen.blocks.records import ResourceRecord, ScopeRecord
from loadgen.blocks.regroup import Piece
from loadgen.blocks.schema import SCHEMA, Columns, assemble
from loadgen.blocks.tree import NestedSet, nested_set

CHUNK_SPANS = 10_000  # decoded at a time: what bounds the memory of building a large block


def build_rows(traces: Iterable[tuple[bytes, Sequence[Piece]]]) -> pa.Table:
    """One row per trace in Tempo's vParquet4 schema, sorted by trace id.

    Args:
        traces: Trace id (16 bytes) and pieces of each trace in the order they arrived; an id that
            comes twice is one row with the pieces of both.
    """
    together: dict[bytes, list[Piece]] = {}
    for trace_id, pieces in traces:
        together.setdefault(trace_id, []).extend(pieces)
    tables, batch = [SCHEMA.empty_table()], _Batch()
    for trace_id in sorted(together):
        batch.add(trace_id, group(together[trace_id]))
        if len(batch.spans) >= CHUNK_SPANS:
            tables.append(batch.table())
            batch = _Batch()
    return pa.concat_tables([*tables, batch.table()])


@dataclass(slots=True)
class _Batch:
    """Traces on their way to columns: flat lists of every level and where each owner's share ends."""

    ids: list[bytes] = field(default_factory=list)
    traces: list[GroupedTrace] = field(default_factory=list)
    resources: list[ResourceRecord] = field(default_factory=list)
    scopes: list[tuple[ScopeRecord, Sequence[KeyValue]]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    scopes_end: list[int] = field(default_factory=list)
    spans_end: list[int] = field(default_factory=list)
    bounds: list[int] = field(default_factory=lambda: [0])

    def add(self, trace_id: bytes, trace: GroupedTrace) -> None:
        """Takes one trace."""
        self.ids.append(trace_id)
        self.traces.append(trace)
        for of_resource in trace.groups:
            self._add_group(of_resource)
        self.bounds.append(len(self.spans))

    def _add_group(self, of_resource: Group) -> None:
        self.resources.append(of_resource.resource)
        for scope, spans in of_resource.scopes.values():
            self.scopes.append((scope, of_resource.attributes(scope)))
            self.spans.extend(spans)
            self.spans_end.append(len(self.spans))
        self.scopes_end.append(len(self.scopes))

    def table(self) -> pa.Table:
        """The rows of the traces taken so far."""
        starts_ns = np.array([span.start_time_unix_nano for span in self.spans], np.uint64)
        ends_ns = np.array([span.end_time_unix_nano for span in self.spans], np.uint64)
        columns = Columns(self._trace_values(starts_ns, ends_ns), self._offsets())
        for part in (
            self._service_stats(),
            resource_columns(self.resources),
            scope_columns(self.scopes),
            span_columns(self.spans, starts_ns, ends_ns, self._places()),
        ):
            columns.values.update(part.values)
            columns.offsets.update(part.offsets)
        return assemble(columns, len(self.ids))

    def _offsets(self) -> dict[str, npt.NDArray[np.int32]]:
        return {
            "rs": ends([len(trace.groups) for trace in self.traces], len(self.traces)),
            "rs.ss": np.array([0, *self.scopes_end], np.int32),
            "rs.ss.Spans": np.array([0, *self.spans_end], np.int32),
        }

    def _trace_values(self, starts_ns: Nanos, ends_ns: Nanos) -> dict[str, pa.Array]:
        first = np.array(self.bounds[:-1], np.int64)
        begins_ns = np.minimum.reduceat(starts_ns, first) if len(first) else starts_ns
        finishes_ns = np.maximum.reduceat(ends_ns, first) if len(first) else ends_ns
        return {
            "TraceID": pa.array(self.ids, pa.binary()),
            "TraceIDText": pa.array([trace_id.hex().lstrip("0") for trace_id in self.ids], pa.string()),
            "StartTimeUnixNano": pa.array(begins_ns),
            "EndTimeUnixNano": pa.array(finishes_ns),
            "DurationNano": pa.array(finishes_ns - begins_ns),
            "RootServiceName": pa.array([trace.root_service for trace in self.traces], pa.string()),
            "RootSpanName": pa.array([trace.root_name for trace in self.traces], pa.string()),
        }

    def _places(self) -> NestedSet:
        span_ids = [span.span_id for span in self.spans]
        parent_ids = [span.parent_span_id for span in self.spans]
        kinds = [span.kind for span in self.spans]
        places = NestedSet([], [], [])
        for a, b in pairwise(self.bounds):
            of_trace = nested_set(span_ids[a:b], parent_ids[a:b], kinds[a:b])
            for every, numbers in zip(places, of_trace, strict=True):
                every.extend(numbers)
        return places

    def _service_stats(self) -> Columns:
        per_trace = [_stats(trace.groups) for trace in self.traces]
        flat = [entry for stats in per_trace for entry in sorted(stats.items())]
        counts = np.array([count for _, count in flat], np.uint32).reshape(-1, 2)
        values = {
            "ServiceStats.key": pa.array([service for service, _ in flat], pa.string()),
            "ServiceStats.value.SpanCount": pa.array(counts[:, 0]),
            "ServiceStats.value.ErrorCount": pa.array(counts[:, 1]),
        }
        return Columns(values, {"ServiceStats": ends([len(stats) for stats in per_trace], len(per_trace))})


def _stats(groups: Sequence[Group]) -> dict[str, tuple[int, int]]:
    """Service -> spans and spans in error."""
    stats: dict[str, tuple[int, int]] = {}
    for of_resource in groups:
        service = of_resource.resource.own.get("ServiceName", "")
        spans = [span for _, of_scope in of_resource.scopes.values() for span in of_scope]
        errors = sum(span.status.code == Status.STATUS_CODE_ERROR for span in spans)
        count, before = stats.get(service, (0, 0))
        stats[service] = (count + len(spans), before + errors)
    return stats
