"""Tempo's vParquet4 row as a table: every column, its type, encoding and codec.

One row is one trace. The tree below is the whole schema; the Arrow schema, the writer's options
and the assembly of finished columns all follow from it. Paths are dotted and leave out the
``list.element`` that Parquet puts between a list and what is in it: ``rs.ss.Spans.Attrs.Key``.

Source: Grafana Tempo v3.0.3, tempodb/encoding/vparquet4/schema.go, and the footers of blocks it wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Offsets = npt.NDArray[np.int32]


class Packing(NamedTuple):
    """How a column's pages are written; ``codec`` is Parquet's name in lower case."""

    encoding: str
    codec: str


DICT = Packing("RLE_DICTIONARY", "snappy")
DICT_RAW = Packing("RLE_DICTIONARY", "none")
DELTA = Packing("DELTA_BINARY_PACKED", "none")
DELTA_SNAPPY = Packing("DELTA_BINARY_PACKED", "snappy")
LENGTHS = Packing("DELTA_LENGTH_BYTE_ARRAY", "none")
LENGTHS_SNAPPY = Packing("DELTA_LENGTH_BYTE_ARRAY", "snappy")
PLAIN_SNAPPY = Packing("PLAIN", "snappy")


class Leaf(NamedTuple):
    """A column."""

    name: str
    type: pa.DataType
    packing: Packing
    optional: bool = False


class Group(NamedTuple):
    """Columns that belong together."""

    name: str
    fields: tuple[Node, ...]


class Many(NamedTuple):
    """A list; its element is a leaf or a group, whose own name is not part of any path."""

    name: str
    element: Leaf | Group


class Stats(NamedTuple):
    """A map from text to a group; ``key`` and ``value`` are part of the path."""

    name: str
    key: Leaf
    value: Group


Node = Leaf | Group | Many | Stats


def _text(name: str, packing: Packing = DICT) -> Leaf:
    return Leaf(name, pa.string(), packing)


def _maybe(*names: str) -> tuple[Leaf, ...]:
    return tuple(Leaf(name, pa.string(), DICT, optional=True) for name in names)


def _list_of(name: str, *fields: Node) -> Many:
    return Many(name, Group("element", fields))


def _values(name: str, kind: pa.DataType, packing: Packing = PLAIN_SNAPPY) -> Many:
    return Many(name, Leaf("element", kind, packing))


def _count(name: str, packing: Packing = DELTA_SNAPPY) -> Leaf:
    return Leaf(name, pa.int32(), packing)


SPARE = tuple(f"String{n:02d}" for n in range(1, 11))
ATTRS = _list_of(
    "Attrs",
    _text("Key"),
    Leaf("IsArray", pa.bool_(), PLAIN_SNAPPY),
    _values("Value", pa.string(), DICT),
    _values("ValueInt", pa.int64()),
    _values("ValueDouble", pa.float64()),
    _values("ValueBool", pa.bool_()),
    Leaf("ValueUnsupported", pa.string(), LENGTHS_SNAPPY, optional=True),
)
DEDICATED = Group("DedicatedAttributes", _maybe(*SPARE))
RESOURCE = Group(
    "Resource",
    (
        ATTRS,
        _count("DroppedAttributesCount"),
        _text("ServiceName"),
        *_maybe("Cluster", "Namespace", "Pod", "Container"),
        *_maybe("K8sClusterName", "K8sNamespaceName", "K8sPodName", "K8sContainerName"),
        DEDICATED,
    ),
)
SCOPE = Group("Scope", (_text("Name"), _text("Version"), ATTRS, _count("DroppedAttributesCount")))
EVENTS = _list_of(
    "Events",
    Leaf("TimeSinceStartNano", pa.uint64(), DELTA),
    _text("Name"),
    ATTRS,
    _count("DroppedAttributesCount"),
)
LINKS = _list_of(
    "Links",
    Leaf("TraceID", pa.binary(), LENGTHS),
    Leaf("SpanID", pa.binary(), LENGTHS),
    _text("TraceState", LENGTHS_SNAPPY),
    ATTRS,
    _count("DroppedAttributesCount"),
)
SPANS = _list_of(
    "Spans",
    Leaf("SpanID", pa.binary(), LENGTHS),
    Leaf("ParentSpanID", pa.binary(), LENGTHS),
    _count("ParentID", DELTA),
    _count("NestedSetLeft", DELTA),
    _count("NestedSetRight", DELTA),
    _text("Name"),
    Leaf("Kind", pa.int64(), DELTA),
    _text("TraceState", LENGTHS_SNAPPY),
    Leaf("StartTimeUnixNano", pa.uint64(), DELTA),
    Leaf("DurationNano", pa.uint64(), DELTA),
    Leaf("StatusCode", pa.int64(), DELTA),
    _text("StatusMessage", LENGTHS_SNAPPY),
    ATTRS,
    _count("DroppedAttributesCount"),
    EVENTS,
    _count("DroppedEventsCount", PLAIN_SNAPPY),
    LINKS,
    _count("DroppedLinksCount", PLAIN_SNAPPY),
    *_maybe("HttpMethod", "HttpUrl"),
    Leaf("HttpStatusCode", pa.int64(), PLAIN_SNAPPY, optional=True),
    DEDICATED,
)
TRACE: tuple[Node, ...] = (
    Leaf("TraceID", pa.binary(), LENGTHS),
    _text("TraceIDText", LENGTHS_SNAPPY),
    Leaf("StartTimeUnixNano", pa.uint64(), DELTA),
    Leaf("EndTimeUnixNano", pa.uint64(), DELTA),
    Leaf("DurationNano", pa.uint64(), DELTA),
    _text("RootServiceName", DICT_RAW),
    _text("RootSpanName", DICT_RAW),
    Stats(
        "ServiceStats",
        _text("key", LENGTHS),
        Group("value", (Leaf("SpanCount", pa.uint32(), DELTA), Leaf("ErrorCount", pa.uint32(), DELTA))),
    ),
    _list_of("rs", RESOURCE, _list_of("ss", SCOPE, SPANS)),
)


def arrow_type(node: Node) -> pa.DataType:
    """The Arrow type of one node."""
    if isinstance(node, Leaf):
        return node.type
    if isinstance(node, Group):
        return pa.struct([arrow_field(child) for child in node.fields])
    if isinstance(node, Many):
        return pa.list_(arrow_field(node.element))
    return pa.map_(arrow_field(node.key), arrow_field(node.value))


def arrow_field(node: Node) -> pa.Field:
    """The Arrow field of one node; only leaves may be optional."""
    return pa.field(node.name, arrow_type(node), nullable=isinstance(node, Leaf) and node.optional)


def leaves(node: Node, parent: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every column under a node with its Parquet path (``list.element`` and ``key_value`` included)."""
    here = f"{parent}{node.name}"
    if isinstance(node, Leaf):
        yield here, node
    elif isinstance(node, Group):
        for child in node.fields:
            yield from leaves(child, f"{here}.")
    elif isinstance(node, Many):
        yield from leaves(node.element, f"{here}.list.")
    else:
        for child in (node.key, node.value):
            yield from leaves(child, f"{here}.key_value.")


SCHEMA: pa.Schema = pa.schema([arrow_field(node) for node in TRACE])
LEAVES: Mapping[str, Leaf] = {path: leaf for node in TRACE for path, leaf in leaves(node)}


class Columns(NamedTuple):
    """Finished columns and list offsets by dotted path, before they are put together.

    What is left out is empty: an optional column all null, a list without elements.
    """

    values: dict[str, pa.Array]
    offsets: dict[str, Offsets]


def assemble(columns: Columns, rows: int) -> pa.Table:
    """The rows that the columns describe, in Tempo's schema.

    Raises:
        KeyError: A required column with values is missing; names its path.
    """
    arrays = [_array(node, node.name, columns, rows) for node in TRACE]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _array(node: Node, path: str, columns: Columns, length: int) -> pa.Array:
    if isinstance(node, Leaf):
        absent = path not in columns.values and (node.optional or length == 0)
        return pa.nulls(length, node.type) if absent else columns.values[path]
    if isinstance(node, Group):
        children = [_array(child, f"{path}.{child.name}", columns, length) for child in node.fields]
        return pa.StructArray.from_arrays(children, fields=[arrow_field(child) for child in node.fields])
    offsets = columns.offsets.get(path)
    offsets = np.zeros(length + 1, np.int32) if offsets is None else offsets
    inside = int(offsets[-1])
    if isinstance(node, Many):
        element = _array(node.element, path, columns, inside)
        return pa.ListArray.from_arrays(pa.array(offsets), element, type=arrow_type(node))
    key = _array(node.key, f"{path}.key", columns, inside)
    value = _array(node.value, f"{path}.value", columns, inside)
    return pa.MapArray.from_arrays(pa.array(offsets), key, value, type=arrow_type(node))
