"""A realistic run, small enough to make anew for every test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loadgen.run.file import BlockRow, LedgerRow, RunWriter, SampleRow, TroubleRow, create_run

MIB, BYTES_PER_SPAN = 1024**2, 331.4
START_S = 1_790_000_000.0
META = {
    "created_utc": "2026-09-21T13:33:20+00:00",
    "command": "locust -f scenarios/checkout.py --headless --rate 200/s --run-time 60s --observe",
    "seed": "8051",
    "topology_name": "checkout",
    "topology_yaml": "name: checkout\nservices: {}\n",
    "options": {"rate": "200/s", "observe": True, "spans_per_request": 2000},
    "target": {"endpoint": "http://127.0.0.1:4318", "kind": "collector", "version": "0.161.0"},
    "versions": {"python": "3.11.7", "locust": "2.47.0", "numpy": "2.4.6", "honua": "0.1.0"},
    "collector_config": "processors:\n  probabilistic_sampler:\n    sampling_percentage: 10\n",
    "note": "first look at 10 %",
    "host": {"cores": 2, "memory_bytes": 25_000_000_000, "kernel": "6.1"},
    "shape": {"spans_per_trace": 46.0, "wire_bytes_per_span": 331.4},
    "workers": ["w1", "w2"],
    "delivery": "trace",
}
END = {
    "finished_utc": "2026-09-21T13:34:22+00:00",
    "stop_reason": "run time",
    "verdict": {"exit_code": 1, "text": "broken: of 552,000 sent spans 18,400 refused, 0 rejected, 0 unknown"},
}
NOTHING = {"traces": 0, "spans": 0, "examples": [], "causes": []}
AUDIT = {
    "run_id": "20260921-checkout",
    "place": "http://127.0.0.1:3200",
    "pipeline": ["head 10 %: probabilistic_sampler, hash_seed 0"],
    "exhaustive": True,
    "looked_for": 12000,
    "offered": {"traces": 12000, "spans": 552000},
    "delivered": {"traces": 11600, "spans": 533600},
    "doubtful": {"traces": 0, "spans": 0},
    "unsettled_spans": 0,
    "expected": {"traces": 1159, "spans": 53314},
    "observed": {"traces": 1159, "spans": 53314},
    "share": {
        "configured": 0.1,
        "effective": 1638 / 16384,
        "predicted": 1159 / 11600,
        "observed": 1159 / 11600,
        "low": 0.0945,
        "high": 0.1055,
    },
    "findings": [
        {"name": name, **NOTHING}
        for name in ("missing", "unexpected", "contradicting", "incomplete", "duplicated", "foreign")
    ],
    "unexplained_spans": 0,
    "doubts": [],
    "holds": True,
}


def _second(writer: RunWriter, second: int, worker: int) -> None:
    at = START_S + second + 0.01 * worker + 0.003 * (second % 3)
    refused = 40 if 30 <= second <= 34 else 0
    traces = {"offered": 100, "sent": 100, "accepted": 100 - refused, "refused": refused}
    writer.ledger(
        LedgerRow(at, worker, state, n * 46, n, max(n // 43, 1), round(n * 46 * BYTES_PER_SPAN))
        for state, n in traces.items()
        if n
    )
    slow = 8 if refused else 1
    bounds = ((200, 60), (400, 30), (1600 * slow, 8), (6400 * slow, 2))
    writer.lateness((at, worker, bound, n) for bound, n in bounds)
    if refused:
        writer.trouble(
            [TroubleRow(worker, second * 2 + worker, 0, refused, refused * 46, "refused", "503: queue full")]
        )
    starts = (np.arange(100, dtype=np.int64) * 10_000_000 + round((START_S + second) * 1e9)).astype(np.int64)
    writer.blocks([BlockRow(worker, second * 2 + worker, 4600, starts)])


def _samples(second: int) -> list[SampleRow]:
    at, spans = START_S + second, float(second * 9200)
    wave = 20 * np.sin(second / 4)
    return [
        SampleRow(at, "collector", "receiver_accepted_spans", {"receiver": "otlp"}, spans, "spans"),
        SampleRow(at, "collector", "rss_bytes", {}, float((95 + wave / 4) * MIB), "bytes"),
        SampleRow(at, "collector", "cpu_s", {}, second * 0.07, "s"),
        SampleRow(at, "tempo", "received_spans", {"tenant": "single-tenant"}, spans * 0.1, "spans"),
        SampleRow(at, "tempo", "rss_bytes", {}, float((160 + wave + second) * MIB), "bytes"),
    ]


def sample_run(folder: Path, *, seconds: int = 60, finished: bool = True, audited: bool = True, **meta: object) -> Path:
    """A run at 200 traces/s whose target refuses for five seconds; the folder it is in."""
    with create_run(folder, "20260921-checkout", **{**META, **meta}) as writer:
        writer.rate(START_S, 200.0, 200.0 * 46, "200/s")
        for second in range(1, seconds + 1):
            for worker in (1, 2):
                _second(writer, second, worker)
            writer.samples(_samples(second))
        if audited:
            writer.audit(START_S + seconds + 5, AUDIT)
        if finished:
            writer.meta(**END)
    return folder / "20260921-checkout"


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return sample_run(tmp_path)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    def make(**settings: object) -> Path:
        return sample_run(tmp_path, **settings)

    return make
