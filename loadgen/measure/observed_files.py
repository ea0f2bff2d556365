"""What arrived, read from files: the Collector's file exporter, or Tempo's storage blocks."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from loadgen.errors import InputError
from loadgen.measure.observed_ids import SEEN, group_spans
from loadgen.measure.observed_types import RUN_ATTRIBUTE, Observed

_GZIP_MAGIC = b"\x1f\x8b"


def read_otlp_json_lines(path: Path, run_id: str) -> Observed:
    """The run's traces in a file of the Collector's file exporter, one request as OTLP JSON a line.

    Needs about 50 bytes of memory a span.

    Args:
        path: The file, plain or gzip.
        run_id: Only resources whose ``loadtest.run.id`` is this count.

    Raises:
        InputError: Unreadable, cut off, or a line that is no such request; the line is named.
    """
    spans = b"".join(_spans_in_file(path, run_id))
    grouped = group_spans(np.frombuffer(spans, SEEN))
    return Observed("file", str(path), *grouped, complete=True)


def _spans_in_file(path: Path, run_id: str) -> Iterator[bytes]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            try:
                yield from _spans_in_request(json.loads(line), run_id)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                shown = line[:60].decode("utf-8", "replace")
                rule = "must be an ExportTraceServiceRequest as JSON with hexadecimal ids"
                raise InputError(f"{path}:{number}", shown, rule) from error


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            yield from stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(str(path), str(error), "must be a whole gzip file") from error
    except OSError as error:
        raise InputError(str(path), error.strerror, "must be a readable file") from error


def _spans_in_request(request: dict[str, Any], run_id: str) -> Iterator[bytes]:
    for resource_spans in request.get("resourceSpans", ()):
        if run_of(resource_spans.get("resource", {})) == run_id:
            for scope_spans in resource_spans.get("scopeSpans", ()):
                yield from map(_id_bytes, scope_spans.get("spans", ()))


def _id_bytes(span: dict[str, str]) -> bytes:
    both = bytes.fromhex(span["traceId"] + span["spanId"])
    if len(span["traceId"]) != 32 or len(both) != SEEN.itemsize:
        raise ValueError(span["traceId"])
    return both


def run_of(resource: dict[str, Any]) -> str | None:
    """The run that a resource in OTLP JSON belongs to; None if it belongs to none."""
    for attribute in resource.get("attributes", ()):
        if attribute["key"] == RUN_ATTRIBUTE:
            return str(attribute["value"].get("stringValue"))
    return None


def holds_blocks(folder: Path) -> bool:
    """Whether a folder is a live storage block or holds some, at most two levels down."""
    return any(True for depth in ("", "*/", "*/*/") for _ in folder.glob(f"{depth}meta.json"))


def read_blocks(path: Path, run_id: str) -> Observed:
    """The run's traces in the live storage blocks under ``path``; a trace in two blocks is one.

    Args:
        path: A block's folder, a tenant's, or a backend's.
        run_id: Only traces whose ``loadtest.run.id`` is this count.

    Raises:
        InputError: A block that cannot be read.
    """
    from loadgen.blocks import read_blocks as read_storage_blocks  # noqa: PLC0415 - pyarrow

    contents = read_storage_blocks(path)
    own = np.array([run == run_id for run in contents.run_ids], np.bool_)
    columns = contents.ids[own], contents.spans[own], contents.unique_spans[own]
    return Observed("blocks", str(path), *columns, complete=True)
