"""Traffic: every form people write, and the same rate in every unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import InputError
from planner.shape import TraceShape
from planner.traffic import first_line, parse_traffic, read_traffic, traffic_figures

FORMS = [
    ("1000rps", 1000, "traces"),
    ("1e3rps", 1000, "traces"),
    ("2.5E+4 spans/s", 25_000, "spans"),
    ("1k rps", 1000, "traces"),
    ("1000 traces/s", 1000, "traces"),
    ("200/s", 200, "traces"),
    ("60 requests per min", 1, "traces"),
    ("20000 spans/s", 20_000, "spans"),
    ("20,000 spans/s", 20_000, "spans"),
    ("5000spans/s", 5000, "spans"),
    ("8MB/s", 8e6, "bytes"),
    ("8MiB/s", 8 * 2**20, "bytes"),
    ("1.5 kB/s", 1500, "bytes"),
    ("50M traces/day", 50e6 / 86400, "traces"),
    ("1G spans/d", 1e9 / 86400, "spans"),
]


@pytest.mark.parametrize(("text", "per_s", "counted"), FORMS, ids=[form[0] for form in FORMS])
def test_accepted_forms(text: str, per_s: float, counted: str) -> None:
    """Each documented form means a rate of traces, spans or bytes."""
    stated = parse_traffic(text)

    assert (pytest.approx(per_s), counted) == (stated.per_s, stated.counted)


@pytest.mark.parametrize(
    "text",
    ["", "banana", "1000", "rps", "-5rps", "0rps", "1000 rps/s", "5 spans", "1 traces/fortnight", "1Mi traces/s",
     "1e99 traces/s", "nan rps", "1000000000000000rps", "1 000rps", "1erps", "1e3.5rps", "٣rps"],
)  # fmt: skip
def test_refused_forms(text: str) -> None:
    """Anything else is refused with the place and the accepted forms."""
    with pytest.raises(InputError, match=r"--traffic: got .*must be (traffic such as 1000rps|over 0)"):
        parse_traffic(text)


@given(st.floats(1e-3, 1e6))
def test_units_agree(shape_of: Callable[..., TraceShape], per_s: float) -> None:
    """The same rate stated in traces, spans and bytes is the same traffic."""
    shape = shape_of()
    spans, size = per_s * shape.spans_per_trace, per_s * shape.spans_per_trace * shape.wire_bytes_per_span

    rates = [
        read_traffic(text, shape, 1).traces_per_s.value
        for text in (f"{per_s:.12f} traces/s", f"{spans:.12f} spans/s", f"{size:.12f} B/s")
    ]

    assert [pytest.approx(per_s, rel=1e-6)] * 3 == rates


def test_what_is_stated_is_exact_and_what_follows_has_a_range(shape: TraceShape) -> None:
    """Spans per trace come from a sample, so spans/s from traces/s are uncertain, and the other way round."""
    by_traces, by_spans = read_traffic("1000rps", shape, 1), read_traffic("46000 spans/s", shape, 1)

    assert by_traces.traces_per_s.low == by_traces.traces_per_s.high
    assert by_traces.spans_per_s.low < 46_000 < by_traces.spans_per_s.high
    assert by_spans.spans_per_s.low == by_spans.spans_per_s.high
    assert by_spans.traces_per_s.low < 1000 < by_spans.traces_per_s.high


def test_first_line(shape: TraceShape) -> None:
    """The first line names topology, place, spans per trace, bytes per span and the rates they make."""
    line = first_line(read_traffic("1000rps", shape, 1), shape, "scenarios/shop.yaml")

    assert (
        line == "1000 traces/s of shop (scenarios/shop.yaml): 46.0 spans/trace, 498 B/span on the wire "
        "-> 46,000 spans/s, 22.9 MB/s"
    )


def test_worked_example_of_a_day(shape: TraceShape) -> None:
    """1000 traces/s x 46 spans x 498 B are 22.9 MB/s, 1.98 TB a day; a tenth of it is 198 GB."""
    figures = traffic_figures(read_traffic("1000rps", shape, 1), shape)

    assert pytest.approx(198e9, rel=0.01) == figures["bytes_per_day"].value / 10


def test_peak_factor_scales_every_rate(shape: TraceShape) -> None:
    """The peak is the mean times the factor, in all units, and the factor itself is shown."""
    figures = traffic_figures(read_traffic("1000rps", shape, 3), shape)

    assert figures["peak_factor"].value == 3
    for unit in ("traces", "spans", "bytes"):
        assert pytest.approx(3 * figures[f"{unit}_per_s"].value) == figures[f"peak_{unit}_per_s"].value


def test_one_rps_is_said_to_be_one_trace(shape: TraceShape) -> None:
    """The equation behind rps is stated where the rate is."""
    figures = traffic_figures(read_traffic("1000rps", shape, 1), shape)

    assert "1 rps = 1 trace/s" in figures["traces_per_s"].source
