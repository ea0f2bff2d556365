"""Shapes, requests and run files that the planner's tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from loadgen.run import create_run
from loadgen.run.file import LedgerRow, SampleRow
from planner.cost import load_prices
from planner.records import Plan
from planner.request import PlanRequest
from planner.shipped import load_shipped
from planner.sizing import Models, fit_models


def _durations() -> np.ndarray:
    return np.linspace(0.02, 0.9, 2000)


@dataclass(frozen=True)
class FakeShape:
    """The checkout trace of the OpenTelemetry Demo in round numbers; 1 % of traces fail, none is slow."""

    topology: str = "shop"
    sample_traces: int = 2000
    spans_per_trace: float = 46.0
    spans_per_trace_error: float = 0.05
    wire_bytes_per_span: float = 498.0
    trace_bytes_per_span: float = 520.0
    attributes_per_span: float = 9.0
    resources_per_trace: float = 12.0
    duration_s: np.ndarray = field(default_factory=_durations)
    error_traces_ratio: float = 0.01

    def errors_or_slow_ratio(self, threshold_s: float) -> float:
        """As the real shape."""
        slow = float((self.duration_s > threshold_s).mean())
        return 1 - (1 - self.error_traces_ratio) * (1 - slow)


@pytest.fixture(name="shape")
def _shape() -> FakeShape:
    return FakeShape()


@pytest.fixture(name="shape_of", scope="session")
def _shape_of() -> Callable[..., FakeShape]:
    """Shapes that differ from the usual one in what is given."""
    return FakeShape


@pytest.fixture(name="models")
def _models(shape: FakeShape) -> Models:
    return fit_models(shape, load_shipped(), load_prices(), None)


@pytest.fixture(name="request_of", scope="session")
def _request_of() -> Callable[..., PlanRequest]:
    """Requests for 1000 traces/s unless given otherwise."""

    def make(traffic: str = "1000rps", **changes: object) -> PlanRequest:
        return PlanRequest(traffic=traffic, topology_place="shop.yaml", **changes)

    return make


@pytest.fixture(name="plan", scope="session")
def _plan() -> Plan:
    from planner.plan import make_plan  # noqa: PLC0415

    return make_plan(PlanRequest(traffic="1000rps", topology_place="shop.yaml"), FakeShape())


TOPOLOGY = """
name: tiny
services:
  web:
    operations:
      get: {kind: server, latency: 5ms, calls: [store/read]}
  store:
    operations:
      read: {latency: 2ms}
entries:
  - operation: web/get
"""


@pytest.fixture(name="topology")
def _topology(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TOPOLOGY, "utf-8")
    return path


@pytest.fixture(name="run_of")
def _run_of(tmp_path: Path) -> Callable[..., Path]:
    """Run files: 100 traces/s of 40 spans for 180 s, sampled each 2 s under one source's name."""

    def make(source: str = "tempo", kind: str = "collector", seconds: float = 180.0, **changes: object) -> Path:
        meta = {
            "target": {"kind": kind, "version": "0.161.0", "endpoint": "http://127.0.0.1:4318"},
            "shape": {"spans_per_trace": 40.0, "wire_bytes_per_span": 400.0},
            "topology_name": "tiny",
            "topology_yaml": TOPOLOGY,
        }
        with create_run(tmp_path, "r1", **(meta | changes)) as writer:
            times = [1000.0 + t for t in np.arange(0.0, seconds + 0.1, 2.0)]
            states = ("offered", "sent", "accepted")
            writer.ledger(LedgerRow(t, 0, s, 8000, 200, 4, 3_200_000) for t in times[1:] for s in states)
            if source:
                writer.samples(_samples(source, times, seconds))
        return tmp_path / "r1"

    return make


def _samples(source: str, times: list[float], seconds: float) -> list[SampleRow]:
    """Tempo's and a Collector's quantities at 4,000 spans/s; a block of 95 B a span each 30 s, 45 s late."""
    rows = []
    for t in times:
        since = t - times[0]
        flushed = 95.0 * 4000 * 30 * max(0, int((since - 15) // 30))
        values = {
            "received_spans": (4000 * since, "spans"),
            "receiver_accepted_spans": (4000 * since, "spans"),
            "rss_bytes": (300e6 if int(since) % 20 else 500e6, "bytes"),
            "cpu_s": (0.2 * since, "s"),
            "live_traces": (1000.0, "traces"),
            "flushed_bytes": (flushed, "bytes"),
        }
        rows += [SampleRow(t, source, name, {}, value, unit) for name, (value, unit) in values.items()]
    return rows
