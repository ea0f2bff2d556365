"""A storage block's meta.json, in Tempo's words.

Source: Grafana Tempo v3.0.3, tempodb/backend/block_meta.go, and meta.json files it wrote.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadgen.blocks.attributes import DEDICATED_SPAN_ATTRIBUTES
from loadgen.errors import InputError

DATA_FILE, META_FILE, COMPACTED_FILE = "data.parquet", "meta.json", "meta.compacted.json"
FORMAT = "vParquet4"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockMeta:
    """What is known of a block without opening its data.

    Attributes:
        format: Tempo's name of the row format, e.g. ``vParquet4``.
        block_id: UUID, also the folder's name.
        tenant_id: Tenant, also the name of the folder above.
        start_utc: Earliest span start, whole seconds.
        end_utc: Latest span end, whole seconds.
        total_objects: Rows, i.e. traces.
        size_bytes: Size of ``data.parquet``.
        row_groups: Row groups in it.
        footer_bytes: Size of its footer.
    """

    format: str
    block_id: str
    tenant_id: str
    start_utc: datetime
    end_utc: datetime
    total_objects: int
    size_bytes: int
    row_groups: int
    footer_bytes: int

    def as_json(self) -> str:
        """The text of meta.json; ``bloomShards`` is 0 because no bloom filter is written."""
        fields = {
            "format": self.format,
            "blockID": self.block_id,
            "tenantID": self.tenant_id,
            "startTime": _timestamp(self.start_utc),
            "endTime": _timestamp(self.end_utc),
            "totalObjects": self.total_objects,
            "size": self.size_bytes,
            "compactionLevel": 0,
            "indexPageSize": 0,
            "totalRecords": self.row_groups,
            "bloomShards": 0,
            "footerSize": self.footer_bytes,
            "dedicatedColumns": [{"n": name} for name in DEDICATED_SPAN_ATTRIBUTES],
            "replicationFactor": 1,
        }
        return json.dumps(fields, separators=(",", ":"))


def read_meta(path: Path) -> BlockMeta:
    """The meta of the block in folder ``path``.

    Raises:
        InputError: There is no meta.json, or it is not Tempo's.
    """
    file = path / META_FILE
    try:
        found = json.loads(file.read_text())
        return _from_json(found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(str(file), reason, "must be a storage block's meta.json") from error


def _from_json(found: dict[str, Any]) -> BlockMeta:
    return BlockMeta(
        format=str(found["format"]),
        block_id=str(found["blockID"]),
        tenant_id=str(found["tenantID"]),
        start_utc=datetime.fromisoformat(found["startTime"]),
        end_utc=datetime.fromisoformat(found["endTime"]),
        total_objects=int(found["totalObjects"]),
        size_bytes=int(found["size"]),
        row_groups=int(found["totalRecords"]),
        footer_bytes=int(found["footerSize"]),
    )


def utc_of_ns(time_ns: int) -> datetime:
    """The second in which a time since the epoch falls; beyond the year 9999 the last one there is."""
    last_s = 253_402_300_799
    return datetime.fromtimestamp(min(time_ns // 1_000_000_000, last_s), UTC)


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
