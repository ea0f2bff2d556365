"""Memory and CPU of Tempo and the Collector, against what was measured and published."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from planner.collector_memory import (
    Base,
    Collectors,
    collector_memory,
    held_trace_bytes,
    measured_base,
    shipped_base,
    tail_state,
)
from planner.components import component_machines, over_ceiling
from planner.cpu import collector_cores, collector_costs, fit_cpu, tempo_cores
from planner.evidence import Observed
from planner.figures import Range, ends_of
from planner.load import Load, row_loads, tempo_load
from planner.memory import fit_memory, tempo_memory
from planner.records import Basis
from planner.shape import TraceShape
from planner.shipped import load_shipped

SHIPPED = load_shipped()
MIB = 1 << 20
ROWS = list(zip(row_loads(SHIPPED.series["tempo_load"]), SHIPPED.series["tempo_load"].rows, strict=True))
HEAP = [(1, 2150), (2, 3355), (4, 5728), (8, 10_456), (20, 24_691), (50, 60_201), (100, 119_577)]


def _load(spans_per_s: float, wire: float = 343.0, live: float | None = None) -> Load:
    live = spans_per_s / 2 if live is None else live
    return Load(spans_per_s=spans_per_s, wire_bytes_per_span=wire, live_traces=live, spans_per_trace=20.0)


@pytest.mark.parametrize(("load", "row"), ROWS)
def test_every_measured_run_lies_in_the_intervals(load: Load, row: dict[str, float]) -> None:
    """Median within its interval, maximum within the peak's, cores within theirs."""
    memory = fit_memory(SHIPPED)
    median, peak, cores = memory.median_range(load), memory.peak_range(load), fit_cpu(SHIPPED).cores(load)

    assert median.low <= row["rss_median_bytes"] <= median.high
    assert peak.low <= row["rss_max_bytes"] <= peak.high
    assert cores.low <= row["cores"] <= cores.high


def test_memory_is_a_fixed_part_and_some_20_mib_per_1000_spans() -> None:
    """About 160 MiB + 23 MiB per 1,000 spans/s with its live traces."""
    model = fit_memory(SHIPPED)

    fixed = model.median_range(_load(0.0)).value
    slope = (model.median_range(_load(10_000.0)).value - fixed) / 10

    assert pytest.approx(155 * MIB, rel=0.05) == fixed
    assert pytest.approx(23 * MIB, rel=0.06) == slope


def test_peak_ratio_is_that_of_the_runs() -> None:
    """Maximum over median was 1.62 to 2.80."""
    assert pytest.approx((1.62, 2.80), abs=0.005) == fit_memory(SHIPPED).peak_ratio[1:]


def test_memory_grows_with_rate_live_traces_and_span_size() -> None:
    """Monotone in each argument."""
    model = fit_memory(SHIPPED)

    by_rate = [model.peak_range(_load(rate))[0] for rate in (0, 1000, 10_000, 50_000)]
    by_live = [model.peak_range(_load(4000, live=live))[0] for live in (0, 1000, 8000)]
    by_size = [model.peak_range(_load(4000, wire=wire))[0] for wire in (200, 343, 500)]

    for values in (by_rate, by_live, by_size):
        assert sorted(values) == values


def test_larger_spans_widen_the_range_upwards() -> None:
    """The steepest rise measured with larger spans bounds the high end, a count of spans alone the low one."""
    model = fit_memory(SHIPPED)
    same, larger = model.median_range(_load(4000)), model.median_range(_load(4000, wire=460))

    assert pytest.approx(same.low, rel=0.02) == larger.low
    assert larger.high - larger.value > same.high - same.value


def test_inside_is_measured_and_outside_says_how_far() -> None:
    """The row is marked with how far beyond the range it lies."""
    model, cpu = fit_memory(SHIPPED), fit_cpu(SHIPPED)

    inside, _ = tempo_memory(model, _load(8000))
    _, beyond = tempo_memory(model, _load(46_000))
    below = tempo_cores(cpu, _load(100))

    assert [inside.basis, beyond.basis, below.basis] == [Basis.MEASURED, Basis.EXTRAPOLATED, Basis.EXTRAPOLATED]
    assert "46,000 spans/s is 2.9x the measured 16,000" in beyond.source
    assert "100 spans/s is 0.1x the measured 1000" in below.source
    assert "n = 8, 5 degrees of freedom" in inside.source


def test_interval_widens_with_extrapolation() -> None:
    """The further out, the less is known."""
    model = fit_memory(SHIPPED).median

    widths = [float(model.halfwidth([1, rate * 343 / 1e6, rate / 2])) for rate in (8000, 16_000, 46_000)]

    assert sorted(widths) == widths
    assert widths[2] > 1.5 * widths[0]


def test_a_run_of_ones_own_moves_the_model() -> None:
    """Anchored at a measured median, the model passes through it and keeps its slope."""
    model = fit_memory(SHIPPED)
    moved = model.anchored(_load(20_000), 900 * MIB, 2800 * MIB, "run r1")

    assert pytest.approx(900 * MIB) == moved.median_range(_load(20_000)).value
    slopes = [m.median_range(_load(12_000)).value - m.median_range(_load(4000)).value for m in (model, moved)]
    assert pytest.approx(slopes[0]) == slopes[1]
    assert moved.measured.outside(_load(20_000)) == []
    assert moved.peak_ratio.high == 2800 / 900


def test_live_traces_stay_ten_seconds(shape: TraceShape) -> None:
    """1000 traces/s of short traces are about 10,000 live traces, Tempo's default limit."""
    assert pytest.approx(10_000, rel=0.05) == tempo_load(shape, 1000, SHIPPED).live_traces


def test_long_traces_are_cut_after_30_seconds(shape_of: Callable[..., TraceShape]) -> None:
    """A trace of hours is held for max_trace_live only."""
    shape = shape_of(duration_s=np.full(2000, 7200.0))

    assert tempo_load(shape, 1000, SHIPPED).live_traces == 30_000


@pytest.mark.parametrize(("spans", "measured"), HEAP)
def test_tail_heap_of_a_trace_in_one_fragment(shape_of: Callable[..., TraceShape], spans: int, measured: float) -> None:
    """1,186 B a span of 10 attributes and 964 B a fragment, within 1 % of what was measured."""
    shape = shape_of(spans_per_trace=float(spans), attributes_per_span=10.0)

    assert pytest.approx(measured, rel=0.01) == held_trace_bytes(shape, SHIPPED).low


def test_tail_heap_grows_with_fragments(shape_of: Callable[..., TraceShape]) -> None:
    """One fragment per resource costs more than the whole trace in one."""
    shape = shape_of(spans_per_trace=8.0, attributes_per_span=10.0, resources_per_trace=8.0)
    held = held_trace_bytes(shape, SHIPPED)

    assert pytest.approx(18_769, rel=0.1) == held.value
    assert held.low < held.value <= held.high


def test_num_traces_is_twice_the_traces_that_wait(shape: TraceShape) -> None:
    """1000 traces/s x 11 s x 2."""
    assert tail_state(shape, 1000, SHIPPED).num_traces == 22_000


@pytest.mark.parametrize("tail", [False, True])
def test_collector_memory_grows_with_rate_and_replicas(shape: TraceShape, tail: bool) -> None:
    """Monotone in rate and replicas, at every end."""
    base = shipped_base(SHIPPED)

    def memory(rate: float, replicas: int) -> Range:
        return ends_of(collector_memory(shape, rate, SHIPPED, Collectors(replicas, tail), base))

    by_rate = np.array([memory(rate, 1) for rate in (0, 10, 1000, 10_000)])
    by_replicas = np.array([memory(1000, n) for n in (1, 2, 5)])

    assert (np.diff(by_rate, axis=0) > 0).all()
    assert (np.diff(by_replicas, axis=0) > 0).all()


def test_tail_sampling_needs_more_memory_than_head_sampling(shape: TraceShape) -> None:
    """1000 traces/s of 46 spans wait for 11 s: half a GiB of live heap and more."""
    base = shipped_base(SHIPPED)
    head, tail = (collector_memory(shape, 1000, SHIPPED, Collectors(1, kind), base) for kind in (False, True))

    assert tail.low > head.low + 600e6
    assert tail.value < 1.5 * 2**30


def test_full_queue_bounds_the_collectors_memory(shape_of: Callable[..., TraceShape]) -> None:
    """200,000 queued spans of 10 attributes are 290 MB of live heap; 367 MiB were resident."""
    shape = shape_of(attributes_per_span=10.0)
    found = collector_memory(shape, 0.0, SHIPPED, Collectors(1, tail=False), Base(Range.exact(0.0), "none"))

    assert pytest.approx(367 * MIB, rel=0.05) == found.high


def test_a_measured_collector_replaces_the_base(shape: TraceShape) -> None:
    """What a Collector had at its rate is planned again at that rate."""
    seen = Observed(
        spans_per_s=46_000.0, rss_median_bytes=140e6, rss_max_bytes=180e6, cores=0.3, live_traces=None, source="run r1"
    )

    found = collector_memory(shape, 1000, SHIPPED, Collectors(1, tail=False), measured_base(seen, SHIPPED))

    assert 140e6 <= found.value <= 180e6
    assert "run r1" in found.source


def test_collector_cpu_adds_up_to_the_measured_pipelines() -> None:
    """Parts are differences of measured pipelines, so their sums are those pipelines [us a span]."""
    costs = collector_costs(SHIPPED)

    assert pytest.approx((5.1, 11.5)) == costs.receive[1:]
    assert pytest.approx(7.4) == costs.receive.low + costs.export.low
    assert pytest.approx(12.0) == costs.receive.low + costs.export.high
    assert pytest.approx(14.5, abs=0.15) == costs.receive.low + costs.tail.low + 0.1 * costs.export.high


def test_collector_cpu_at_0_and_monotone() -> None:
    """No spans, no CPU; more spans or more kept ones, more CPU."""
    costs = collector_costs(SHIPPED)

    def cores(rate: float, kept: float) -> float:
        return collector_cores(costs, rate, Range.exact(kept), tail=False).value

    assert cores(0, 0) == 0
    assert cores(1000, 0) < cores(1000, 100) < cores(1000, 1000) < cores(2000, 1000)


def test_published_components_at_30_mb_per_s() -> None:
    """3 distributors, 3 to 5 live-stores, 15 to 30 queriers; memory over the published 4-20 GB."""
    machines = {m.component: m for m in component_machines(30e6, SHIPPED)}

    assert (machines["Tempo distributor"].replicas, machines["Tempo distributor"].memory_bytes.value) == (3, 3 * 2e9)
    assert machines["Tempo live-store"].memory_bytes[1:] == (3 * 4e9, 5 * 20e9)
    assert machines["Tempo querier"].memory_bytes[1:] == (15 * 4e9, 30 * 20e9)


@pytest.mark.parametrize(
    ("bytes_per_s", "spans_per_s", "over"),
    [(25e6, 55_000, False), (25.1e6, 1, True), (1, 55_001, True), (0, 0, False)],
)
def test_ceiling_of_one_process(bytes_per_s: float, spans_per_s: float, over: bool) -> None:
    """25 MB/s or 55,000 spans/s, the lower end of what is documented."""
    assert over == over_ceiling(bytes_per_s, spans_per_s, SHIPPED)
