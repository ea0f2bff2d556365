"""What a sink answers besides taking traces: Tempo's trace look-up, and what the audit asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict

from loadgen import __version__
from loadgen.blocks import TENANT, BlockContents, find_blocks, read_block, read_blocks
from loadgen.sink.http import JSON, TEXT, Reply, Route, json_reply, text_reply
from loadgen.sink.page import metrics, render, this_process
from loadgen.sink.pipeline import Pipeline
from loadgen.sink.store import Store

KIND = "honua-sink"


def routes(pipeline: Pipeline, store: Store, started_s: float) -> list[Route]:
    """Every route but POST /v1/traces."""
    answers = Answers(pipeline, store, started_s)
    table: list[tuple[str, str, Callable[..., Reply]]] = [
        ("GET", "/ready", lambda: text_reply(200, "ready")),
        ("GET", "/honua/ready", lambda: json_reply({"kind": KIND, "version": __version__})),
        ("GET", "/metrics", answers.page),
        ("GET", "/api/traces/([^/]+)", answers.trace_v1),
        ("GET", "/api/v2/traces/([^/]+)", answers.trace_v2),
        ("GET", "/honua/runs/([^/]+)/traces", answers.run_traces),
        ("GET", "/honua/runs/([^/]+)/storage", answers.run_storage),
        ("POST", "/honua/flush", answers.flush),
    ]
    return [Route(method, re.compile(path), action) for method, path, action in table]


class Answers:
    """The answers that need the sink's state."""

    def __init__(self, pipeline: Pipeline, store: Store, started_s: float) -> None:
        self._pipeline, self._store, self._started_s = pipeline, store, started_s

    def page(self) -> Reply:
        """The metrics page."""
        process = this_process(self._started_s)
        text = render(metrics(self._pipeline.tally, self._store.state(), process))
        return Reply(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    def trace_v1(self, hex_id: str) -> Reply:
        """A trace as Tempo's first API gives it; 404 without a body if there is none."""
        return self._trace(hex_id, lambda spans: {"batches": spans}, Reply(404, b"", TEXT))

    def trace_v2(self, hex_id: str) -> Reply:
        """A trace as Tempo's second API gives it; 200 and an empty trace if there is none."""
        missing = Reply(200, b'{"trace":{},"metrics":{}}', JSON)
        return self._trace(hex_id, lambda spans: {"trace": {"resourceSpans": spans}, "metrics": {}}, missing)

    def _trace(self, hex_id: str, wrap: Callable[[Any], object], missing: Reply) -> Reply:
        if not re.fullmatch("[0-9a-fA-F]*", hex_id):
            return text_reply(400, "trace IDs can only contain hex characters")
        if len(hex_id) > 32:
            return text_reply(400, "trace IDs can't be larger than 128 bits")
        trace = self._store.find(bytes.fromhex(hex_id.rjust(32, "0")))
        if trace is None:
            return missing
        return json_reply(wrap(MessageToDict(trace)["resourceSpans"]))

    def run_traces(self, run_id: str) -> Reply:
        """Every stored trace of a run with its spans and different span ids; all blocks are read for it."""
        return self._flushed(lambda: self._run_traces(run_id))

    def _run_traces(self, run_id: str) -> Reply:
        contents = read_blocks(self._store.folder / TENANT)
        mine = np.flatnonzero([found == run_id for found in contents.run_ids]).tolist()
        traces = [
            [contents.ids[n].tobytes().hex(), int(contents.spans[n]), int(contents.unique_spans[n])] for n in mine
        ]
        return json_reply({"traces": traces, "complete": True})

    def run_storage(self, run_id: str) -> Reply:
        """What a run takes in the blocks; a block of several runs is shared out by their spans."""
        return self._flushed(lambda: self._run_storage(run_id))

    def _run_storage(self, run_id: str) -> Reply:
        shares = [_share(read_block(path), run_id) for path in find_blocks(self._store.folder / TENANT)]
        traces = json.loads(self._run_traces(run_id).body)["traces"]
        return json_reply(
            {
                "spans": sum(spans for spans, _ in shares),
                "traces": len(traces),
                "data_bytes": sum(data_bytes for _, data_bytes in shares),
                "blocks": sum(spans > 0 for spans, _ in shares),
            }
        )

    def flush(self) -> Reply:
        """Writes what is in memory now."""
        return self._flushed(lambda: json_reply({"blocks": self._store.state().blocks}))

    def _flushed(self, answer: Callable[[], Reply]) -> Reply:
        try:
            self._store.flush()
        except OSError as error:
            return text_reply(500, f"storage block not written: {error}")
        return answer()


def _share(block: BlockContents, run_id: str) -> tuple[int, int]:
    """A run's spans in a block and its part of the block's bytes."""
    mine = np.array([found == run_id for found in block.run_ids], bool)
    spans, every = int(block.spans[mine].sum()), int(block.spans.sum())
    return spans, block.data_bytes * spans // max(1, every)
