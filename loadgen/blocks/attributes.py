"""Attributes as columns: what Tempo keeps of a key and a value, and where.

Some keys have a column of their own; everything else is one entry in the seven ``Attrs`` columns.
The same rules serve resources, scopes, spans, events and links.

Source: Grafana Tempo v3.0.3, tempodb/encoding/vparquet4/schema.go, modules/distributor/distributor.go,
tempodb/backend/block_meta.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from loadgen.blocks.go_json import go_json
from loadgen.blocks.schema import Columns, Offsets

MAX_ATTRIBUTE_BYTES = 2048  # distributor.max_attribute_bytes

STRING, INT, DOUBLE, BOOL = "string_value", "int_value", "double_value", "bool_value"
LIST, NOTHING = "array_value", ""

DEDICATED_SPAN_ATTRIBUTES = (
    "http.request.method",
    "url.path",
    "url.route",
    "server.address",
    "http.route",
)

# (key, kind of value) -> the column it has for itself, below the resource or the span
RESOURCE_COLUMNS: dict[tuple[str, str], str] = {
    ("service.name", STRING): "ServiceName",
    ("cluster", STRING): "Cluster",
    ("namespace", STRING): "Namespace",
    ("pod", STRING): "Pod",
    ("container", STRING): "Container",
    ("k8s.cluster.name", STRING): "K8sClusterName",
    ("k8s.namespace.name", STRING): "K8sNamespaceName",
    ("k8s.pod.name", STRING): "K8sPodName",
    ("k8s.container.name", STRING): "K8sContainerName",
}
SPAN_COLUMNS: dict[tuple[str, str], str] = {
    ("http.method", STRING): "HttpMethod",
    ("http.url", STRING): "HttpUrl",
    ("http.status_code", INT): "HttpStatusCode",
} | {(key, STRING): f"DedicatedAttributes.String{n:02d}" for n, key in enumerate(DEDICATED_SPAN_ATTRIBUTES, start=1)}

# kind of value -> its column and what that holds
VALUE_COLUMNS: dict[str, tuple[str, pa.DataType]] = {
    STRING: ("Value", pa.string()),
    INT: ("ValueInt", pa.int64()),
    DOUBLE: ("ValueDouble", pa.float64()),
    BOOL: ("ValueBool", pa.bool_()),
}


def cut(text: str) -> str:
    """The text as Tempo's distributor leaves it: at most 2,048 bytes of UTF-8.

    Tempo cuts between bytes, here a character that does not fit whole is left out, so that a
    text of other than ASCII characters may be up to three bytes shorter.
    """
    if len(text) <= MAX_ATTRIBUTE_BYTES // 4:  # no character has more than four bytes
        return text
    return text.encode()[:MAX_ATTRIBUTE_BYTES].decode(errors="ignore")


def ends(counts: Sequence[int] | npt.NDArray[np.int32], owners: int) -> Offsets:
    """List offsets from the number of elements of each owner."""
    offsets = np.zeros(owners + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def sparse(values: Mapping[int, object], length: int, kind: pa.DataType) -> pa.Array:
    """An optional column from the rows that have a value."""
    if not values:
        return pa.nulls(length, kind)
    return pa.array([values.get(n) for n in range(length)], kind)


class Attributes:
    """The attributes of many owners, taken one owner after the other and turned into columns at the end.

    Args:
        own_columns: (key, kind of value) -> the column such an attribute has for itself.

    Attributes:
        own: Column -> owner number -> value; where a key comes twice the last one holds.
    """

    def __init__(self, own_columns: Mapping[tuple[str, str], str] = MappingProxyType({})) -> None:
        self.own: dict[str, dict[int, Any]] = {column: {} for column in own_columns.values()}
        self._own_columns = own_columns
        self._own_keys = {key for key, _ in own_columns}
        self._offsets = [0]
        self._keys: list[str] = []
        self._kinds: list[str] = []
        self._flat: dict[str, list[Any]] = {kind: [] for kind in VALUE_COLUMNS}
        self._lists: dict[int, tuple[str, int]] = {}  # attribute number -> kind and number of elements
        self._unsupported: dict[int, str] = {}

    def add(self, attributes: Iterable[KeyValue]) -> None:
        """Takes the next owner's attributes."""
        flat = self._flat
        for attribute in attributes:
            key, value = attribute.key, attribute.value
            kind: str = value.WhichOneof("value") or NOTHING
            if key in self._own_keys and (key, kind) in self._own_columns:
                self._add_own(self._own_columns[key, kind], getattr(value, kind))
                continue
            if kind in flat:
                found = getattr(value, kind)
                flat[kind].append(cut(found) if kind == STRING else found)
            else:
                self._add_other(kind, value)
            self._keys.append(key)
            self._kinds.append(kind)
        self._offsets.append(len(self._keys))

    def _add_own(self, column: str, value: Any) -> None:  # noqa: ANN401 - what the protobuf field holds
        self.own[column][len(self._offsets) - 1] = cut(value) if isinstance(value, str) else value

    def _add_other(self, kind: str, value: AnyValue) -> None:
        """A list of one kind goes where its elements belong, uncut; anything else becomes JSON."""
        n = len(self._keys)
        items = value.array_value.values if kind == LIST else ()
        inside = {item.WhichOneof("value") for item in items}
        only: str = (inside.pop() or NOTHING) if len(inside) == 1 else NOTHING
        if only in VALUE_COLUMNS:
            self._flat[only].extend(getattr(item, only) for item in items)
            self._lists[n] = (only, len(items))
        elif kind == LIST and not items:
            self._lists[n] = (STRING, 0)
        else:
            self._unsupported[n] = go_json(value)

    def columns(self, path: str) -> Columns:
        """The seven columns of the generic attributes under ``path`` (which ends in ``Attrs``)."""
        length = len(self._keys)
        is_array = np.zeros(length, bool)
        is_array[list(self._lists)] = True
        kinds = np.array([_CODES.get(kind, -1) for kind in self._kinds], np.int8)
        arrays = {
            f"{path}.Key": pa.array([cut(key) for key in self._keys], pa.string()),
            f"{path}.IsArray": pa.array(is_array),
            f"{path}.ValueUnsupported": sparse(self._unsupported, length, pa.string()),
        }
        lists = {path: np.array(self._offsets, np.int32)}
        for kind, (name, arrow) in VALUE_COLUMNS.items():
            arrays[f"{path}.{name}"] = pa.array(self._flat[kind], arrow)
            lists[f"{path}.{name}"] = ends(self._counts(kind, kinds), length)
        return Columns(arrays, lists)

    def _counts(self, kind: str, kinds: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
        counts: npt.NDArray[np.int32] = (kinds == _CODES[kind]).astype(np.int32)
        for n, (inside, length) in self._lists.items():
            if inside == kind:
                counts[n] = length
        return counts


_CODES: dict[str, int] = {kind: n for n, kind in enumerate(VALUE_COLUMNS)}
