"""Stored bytes: the measured profiles, the limiting cases, and what lies at rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from planner.at_rest import at_rest, live_seconds
from planner.figures import Range, ends_of, figure
from planner.records import Basis
from planner.shape import TraceShape
from planner.shipped import MEASURED, load_shipped, parse_shipped, read_data
from planner.storage import fit_spans, stored_per_day, stored_per_span
from planner.text import DAY_S

SHIPPED = load_shipped()
PROFILES = [(row["profile"], row) for row in SHIPPED.series["stored"].rows]


def _per_day(value: float) -> object:
    return figure(Range.exact(value), "bytes/day", Basis.MEASURED, "a test", "given")


def test_coefficients_are_the_published_ones() -> None:
    """B/span is about 76 + 165 / spans per trace; 4.5 B a repeating attribute, 40 B a random 32-hex value."""
    model = fit_spans(SHIPPED)

    assert pytest.approx(76, abs=1) == model.fixed + 9 * model.per_attribute
    assert pytest.approx(165, abs=2) == model.per_trace
    assert pytest.approx(4.5, abs=0.1) == model.per_attribute
    assert pytest.approx(40, abs=1) == model.per_attribute + model.per_unique_byte * (44 - 14.25)


@pytest.mark.parametrize(("name", "row"), PROFILES, ids=[name for name, _ in PROFILES])
def test_every_measured_profile_lies_in_its_range(name: str, row: dict[str, float]) -> None:
    """What was measured lies between the ends predicted from sizes alone, within 1 %."""
    found = fit_spans(SHIPPED).stored(row["wire_bytes_per_span"], row["attributes_per_span"], row["spans_per_trace"])

    assert 0.99 * found.low <= row["stored_bytes_per_span"] <= 1.01 * found.high


def test_model_falls_with_spans_per_trace_and_rises_with_attributes_and_bytes() -> None:
    """Monotone in each argument: value, low and high."""
    model = fit_spans(SHIPPED)

    by_spans = np.array([model.stored(400, 9, s) for s in (1, 2, 10, 100, 1000)])
    by_bytes = np.array([model.stored(w, 9, 20) for w in (100, 200, 400, 800)])
    by_attributes = np.array([model.stored(200, a, 20)[1] for a in (1, 5, 9, 20)])

    assert (np.diff(by_spans, axis=0) < 0).all()
    assert (np.diff(by_bytes, axis=0) >= 0).all()
    assert (np.diff(by_attributes) > 0).all()


def test_one_span_per_trace_carries_the_whole_trace(shape_of: Callable[..., TraceShape]) -> None:
    """A single span pays the trace's 164 B alone, and the row says that this is outside what was measured."""
    found = stored_per_span(shape_of(spans_per_trace=1.0), SHIPPED)

    assert found.low > 164 + 36
    assert (
        found.basis,
        "spans_per_trace 1 is outside the measured 5 to 100" in found.source,
    ) == (Basis.EXTRAPOLATED, True)


def test_range_is_the_spread_between_profiles(shape: TraceShape) -> None:
    """The ends are named, and are not a flat plus-or-minus."""
    found = stored_per_span(shape, SHIPPED)

    assert "spread between the profiles" in found.source
    assert found.value - found.low != pytest.approx(found.high - found.value)


def _with_topology(**entry: object) -> object:
    raw = json.loads(read_data(MEASURED))
    measured = {"unit": "bytes", "basis": "measured", "source": "measured with Tempo v3.0.3", "conditions": "shop"}
    raw["topologies"] = {"shop": {name: measured | values for name, values in entry.items()}}
    return parse_shipped(json.dumps(raw), "a test")


OWN = {"value": 90.0, "low": 89.0, "high": 91.0}


def test_a_topology_measured_under_its_name_wins(shape: TraceShape) -> None:
    """An entry for the topology replaces the general model."""
    found = stored_per_span(shape, _with_topology(stored_bytes_per_span=OWN))

    assert (found.value, found.low, found.high, found.basis) == (90.0, 89.0, 91.0, Basis.MEASURED)


def test_a_topology_that_has_changed_since_does_not(shape: TraceShape) -> None:
    """The same name with spans of another size is another topology."""
    wire = {"value": 300.0, "low": 300.0, "high": 300.0}

    found = stored_per_span(shape, _with_topology(stored_bytes_per_span=OWN, wire_bytes_per_span=wire))

    assert "spread between the profiles" in found.source


def test_stored_per_day() -> None:
    """4,000 spans/s x 86.8 B are 30 GB a day."""
    per_span = figure(Range(86.8, 80, 90), "bytes", Basis.MEASURED, "a test", "given")

    found = stored_per_day(Range.exact(4000), per_span)

    assert pytest.approx(tuple(ends_of(found))) == (4000 * 86.8 * 86400, 4000 * 80 * 86400, 4000 * 90 * 86400)


def test_retention_0_leaves_what_waits_for_deletion() -> None:
    """Without retention there still are the slack, compacted leftovers, bloom filters and local copies."""
    rest = at_rest(_per_day(DAY_S), 1.0, 0.0, SHIPPED)

    assert rest.backend.low >= 1.0 * (2 * 3600)
    assert pytest.approx(1.0 * (1200 + 150)) == rest.local.value


def test_nothing_kept_leaves_nothing() -> None:
    """No traces, no blocks, no bloom filters."""
    rest = at_rest(_per_day(0.0), 0.0, 7 * DAY_S, SHIPPED)

    assert (rest.total.value, rest.total.high, rest.blocks.high) == (0.0, 0.0, 0.0)


def test_each_block_has_a_whole_bloom_filter() -> None:
    """However few traces: 168 merged blocks of a week alone are 17 MB of bloom filters."""
    rest = at_rest(_per_day(1.0), 1e-6, 7 * DAY_S, SHIPPED)

    assert rest.backend.low >= 168 * 102_424


def test_at_rest_names_each_term() -> None:
    """Retention with slack, leftovers, bloom filters, local disk."""
    working = at_rest(_per_day(1e9), 10.0, 7 * DAY_S, SHIPPED).total.working

    assert all(term in working for term in ("until deleted", "compacted leftovers", "bloom filters", "local disk"))


def test_at_rest_grows_with_retention_and_rate() -> None:
    """Monotone in both, at every end."""
    by_retention = [ends_of(at_rest(_per_day(1e9), 10.0, d * DAY_S, SHIPPED).total) for d in (0, 1, 7, 30, 90)]
    by_rate = [ends_of(at_rest(_per_day(rate), 10.0, DAY_S, SHIPPED).total) for rate in (1e6, 1e7, 1e9)]

    assert (np.diff(by_retention, axis=0) > 0).all()
    assert (np.diff(by_rate, axis=0) > 0).all()


def test_live_traffic_is_between_the_retention_and_one_more_pass() -> None:
    """Blocks go at the first hourly pass after their retention, seen after a blocklist poll."""
    assert live_seconds(7 * DAY_S, SHIPPED)[1:] == (7 * DAY_S, 7 * DAY_S + 3600 + 300 + 30)


def test_shape_is_not_changed(shape: TraceShape) -> None:
    """Planning reads the shape only."""
    before = replace(shape)

    stored_per_span(shape, SHIPPED)

    assert before.spans_per_trace == shape.spans_per_trace
