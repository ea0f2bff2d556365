"""Spans -> rows -> Parquet, held against blocks that Tempo v3.0.3 wrote from the same spans."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from loadgen.blocks import (
    LEAVES,
    SCHEMA,
    build_rows,
    combine,
    find_trace,
    pieces,
    read_meta,
    restore,
    trace_ids,
    write_block,
)
from loadgen.blocks.attributes import cut
from loadgen.blocks.tree import nested_set
from loadgen.errors import InputError

DATA = Path(__file__).parent.parent / "data"
BLOCKS = DATA / "blocks"
PROFILES = ("deploy", "shop", "edges")
API = [path for path in sorted((DATA / "tempo-api").glob("*.json")) if not path.stem.startswith("trace")]


def _request(content: dict[str, Any]) -> ExportTraceServiceRequest:
    """An OTLP/JSON request, whose ids are hexadecimal where protobuf's own JSON has base64."""
    for span in (s for rs in content["resourceSpans"] for ss in rs["scopeSpans"] for s in ss["spans"]):
        for owner in (span, *span.get("links", ())):
            for key in owner.keys() & {"traceId", "spanId", "parentSpanId"}:
                owner[key] = base64.b64encode(bytes.fromhex(owner[key])).decode()
    return ParseDict(content, ExportTraceServiceRequest())


def _input(profile: str) -> list[ExportTraceServiceRequest]:
    lines = gzip.decompress((BLOCKS / "inputs" / f"{profile}.jsonl.gz").read_bytes()).splitlines()
    return [_request(json.loads(line)) for line in lines]


def _rows(requests: list[ExportTraceServiceRequest]) -> pa.Table:
    found = [found for request in requests for found in pieces(list(request.resource_spans))]
    return build_rows((trace_id, [piece]) for trace_id, piece in found)


def _real(profile: str) -> Path:
    return BLOCKS / f"vParquet4-{profile}"


@pytest.mark.parametrize("profile", PROFILES)
def test_rows_equal_those_of_tempo(profile: str) -> None:
    """Row for row and field for field, the same requests make what Tempo stored."""
    expected = pq.read_table(_real(profile) / "data.parquet").to_pylist()

    rows = _rows(_input(profile)).to_pylist()

    assert [row["TraceID"].hex() for row in expected] == [row["TraceID"].hex() for row in rows]
    for row_expected, row in zip(expected, rows, strict=True):
        for field, value in row_expected.items():
            assert value == row[field], (row["TraceIDText"], field)


def test_schema_is_tempos() -> None:
    """The 103 columns have the paths, types, codecs and encodings of a real block's footer."""
    parquet = pq.ParquetFile(_real("deploy") / "data.parquet")
    columns = parquet.metadata.row_group(0)

    assert parquet.schema_arrow.equals(SCHEMA)
    assert [columns.column(n).path_in_schema for n in range(103)] == list(LEAVES)
    for n, leaf in enumerate(LEAVES.values()):
        expected = columns.column(n)
        codec = leaf.packing.codec.upper().replace("NONE", "UNCOMPRESSED")
        assert (expected.compression, expected.path_in_schema) == (codec, list(LEAVES)[n])
        assert leaf.packing.encoding in expected.encodings


@pytest.mark.parametrize("profile", PROFILES)
def test_written_block_is_laid_out_as_tempos(profile: str, tmp_path: Path) -> None:
    """Columns of a written block have the codecs and encodings of the real one, and nearly its size."""
    meta = write_block(tmp_path, _rows(_input(profile)))

    ours = pq.read_metadata(tmp_path / meta.tenant_id / meta.block_id / "data.parquet")
    real = pq.read_metadata(_real(profile) / "data.parquet")
    pages = {"RLE"}  # levels: pyarrow names them for every column, Tempo only where there are some
    for n in range(103):
        a, b = real.row_group(0).column(n), ours.row_group(0).column(n)
        assert (a.path_in_schema, a.physical_type, a.compression) == (
            b.path_in_schema,
            b.physical_type,
            b.compression,
        )
        assert set(a.encodings) - pages == set(b.encodings) - pages
        assert a.num_values == b.num_values
    assert (1, real.num_rows) == (ours.num_row_groups, ours.num_rows)


@pytest.mark.parametrize("profile", ["deploy", "shop"])
def test_size_is_near_tempos(profile: str, tmp_path: Path) -> None:
    """A written block is at most 7 % smaller than Tempo's: pyarrow compresses dictionary indexes, Tempo does not.

    The smaller the block the more that shows: 3 % in blocks of 22,000 and 30,000 spans.
    """
    meta = write_block(tmp_path, _rows(_input(profile)))

    real_bytes = (_real(profile) / "data.parquet").stat().st_size
    assert 0.93 * real_bytes < meta.size_bytes < real_bytes


@pytest.mark.parametrize("profile", PROFILES)
def test_written_block_reads_back(profile: str, tmp_path: Path) -> None:
    """What is read from a written block are the rows that went in, and its meta says what Tempo's says."""
    rows = _rows(_input(profile))

    meta = write_block(tmp_path, rows)

    path = tmp_path / "single-tenant" / meta.block_id
    assert rows.to_pylist() == pq.read_table(path / "data.parquet").to_pylist()
    assert meta == read_meta(path)
    real, ours = (json.loads((folder / "meta.json").read_text()) for folder in (_real(profile), path))
    own = {"blockID", "size", "bloomShards", "footerSize"}
    # Tempo clamps the times of the meta to when the spans came in, +-2 minutes.
    clamped = {"startTime", "endTime"}
    assert real.keys() == ours.keys()
    assert {k: v for k, v in real.items() if k not in own | clamped} == {
        k: v for k, v in ours.items() if k not in own | clamped
    }


def test_half_written_block_is_no_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block whose data cannot be written in full leaves nothing behind."""

    def full_disk(_rows: pa.Table, file: Path, **_layout: Any) -> None:
        file.write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loadgen.blocks.write.pq.write_table", full_disk)

    with pytest.raises(OSError, match="No space left"):
        write_block(tmp_path, _rows(_input("edges")))
    assert list((tmp_path / "single-tenant").iterdir()) == []


def test_pieces_of_one_trace_are_one_row() -> None:
    """A trace given twice, as after two cuts, is one row with the spans of both."""
    (request,) = _input("deploy")[:1]
    first, *others = pieces(list(request.resource_spans))

    rows = build_rows([(first[0], [first[1]]), *((i, [p]) for i, p in others), (first[0], [first[1]])])

    once = _rows([request])
    assert once.column("TraceID").to_pylist() == rows.column("TraceID").to_pylist()
    assert _spans(once) + len(first[1].spans) == _spans(rows)


def _spans(rows: pa.Table) -> int:
    return sum(len(ss["Spans"]) for row in rows.to_pylist() for rs in row["rs"] for ss in rs["ss"])


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows built a few spans at a time equal rows built at once."""
    expected = _rows(_input("shop"))

    monkeypatch.setattr("loadgen.blocks.rows.CHUNK_SPANS", 7)

    assert expected.to_pylist() == _rows(_input("shop")).to_pylist()


def test_no_traces_make_no_rows() -> None:
    """Nothing in, an empty table of Tempo's schema out."""
    rows = build_rows([])

    assert (len(rows), rows.schema) == (0, SCHEMA)


def test_only_kept_spans_become_pieces() -> None:
    """A mask over the request's spans takes exactly the spans it names."""
    (request,) = _input("shop")[:1]
    batches = list(request.resource_spans)
    kept = trace_ids(batches)[:, 0] < 128

    found = list(pieces(batches, kept))

    assert int(kept.sum()) == sum(len(piece.spans) for _, piece in found)
    assert all(trace_id[0] < 128 for trace_id, _ in found)


@pytest.mark.parametrize(("trace_bytes", "span_bytes"), [(15, 8), (0, 8), (16, 7), (16, 0)])
def test_ids_of_wrong_length_are_refused(trace_bytes: int, span_bytes: int) -> None:
    """Trace ids other than 16 and span ids other than 8 bytes long are named and refused."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * trace_bytes, span_id=b"s" * span_bytes)

    with pytest.raises(InputError, match="bytes"):
        trace_ids(list(request.resource_spans))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 2048, "a" * 2048),
        ("a" * 2049, "a" * 2048),
        ("é" * 1024, "é" * 1024),
        ("a" + "é" * 1024, "a" + "é" * 1023),  # the last one would be cut in two
        ("😀" * 600, "😀" * 512),
    ],
)
def test_values_are_cut_at_2048_bytes(text: str, expected: str) -> None:
    """A value keeps at most 2,048 bytes, and only whole characters."""
    assert expected == cut(text)


@given(st.lists(st.integers(0, 1 << 30), max_size=60), st.randoms(use_true_random=False))
def test_nested_set_encloses_children(parents: list[int], order: Any) -> None:
    """In any tree, in any order of spans, numbers are 1..2n and a child's lie within its parent's."""
    tree = [-1, *(seed % (n + 1) for n, seed in enumerate(parents))]
    places = list(range(len(tree)))
    order.shuffle(places)
    ids = [n.to_bytes(8, "big") for n in places]
    parent_ids = [tree[n].to_bytes(8, "big") if tree[n] >= 0 else b"" for n in places]

    numbers = nested_set(ids, parent_ids, [1] * len(ids))

    assert list(range(1, 2 * len(ids) + 1)) == sorted([*numbers.left, *numbers.right])
    at = {n: place for place, n in enumerate(places)}
    for n, place in at.items():
        parent = at.get(tree[n])
        assert numbers.parent[place] == (-1 if parent is None else numbers.left[parent])
        if parent is not None:
            assert numbers.left[parent] < numbers.left[place] < numbers.right[place] < numbers.right[parent]


def test_nested_set_of_a_deep_trace() -> None:
    """A chain deeper than Python's stack is numbered like any other."""
    ids = [n.to_bytes(8, "big") for n in range(1, 5001)]

    numbers = nested_set(ids, [b"", *ids[:-1]], [1] * 5000)

    assert (list(range(1, 5001)), list(range(10_000, 5000, -1))) == (numbers.left, numbers.right)


@pytest.mark.parametrize("answer", API, ids=lambda path: path.stem)
def test_trace_by_id_is_what_tempo_answers(answer: Path) -> None:
    """A row of a real block turned back into a trace equals Tempo's own answer for that trace."""
    expected = json.loads(answer.read_text())["batches"]

    trace = find_trace(_real("edges"), bytes.fromhex(answer.stem.rjust(32, "0")))

    assert trace is not None
    assert expected == MessageToDict(combine([trace]))["resourceSpans"]


def test_trace_survives_rows() -> None:
    """Spans -> row -> trace gives what Tempo answered for the spans of its own answer."""
    expected = json.loads((DATA / "tempo-api" / "trace-v1.json").read_text())["batches"]
    request = ParseDict({"resourceSpans": expected}, ExportTraceServiceRequest())

    (row,) = _rows([request]).to_pylist()

    assert expected == MessageToDict(combine([restore(row)]))["resourceSpans"]


def test_missing_trace_is_none() -> None:
    """A trace id that the block does not hold finds nothing."""
    assert find_trace(_real("edges"), bytes(16)) is None


def test_combined_parts_hold_each_span_once() -> None:
    """Two parts with the same spans, as after a retry, combine to one."""
    row = _rows(_input("deploy")).to_pylist()[0]

    assert combine([restore(row)]) == combine([restore(row), restore(row)])
