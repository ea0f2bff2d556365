"""The plan as a whole: every number honest, monotone, and the same in every output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

import pytest

from loadgen.errors import InputError
from planner.advise import advise, caught_within_s, price, retention_to_recommend, unmet
from planner.limits import GROWING, growth_left, rounded_up
from planner.plan import make_plan
from planner.records import Basis, Choice, Figure, Plan
from planner.request import PlanRequest, parse_duration
from planner.sampling import Sampling
from planner.shape import TraceShape
from planner.text import DAY_S

UNITS = {"bytes", "bytes/s", "bytes/day", "spans/s", "traces/s", "cores", "USD/month", "ratio", "s", "traces"}
NAMES = {
    "kept_ratio", "kept_traces_per_s", "kept_spans_per_s", "stored_bytes_per_day", "at_rest_bytes",
    "collector_rss_bytes", "collector_cores", "tempo_rss_bytes", "tempo_cores", "storage_usd_per_month",
    "compute_usd_per_month", "cost_usd_per_month", "error_wait_s", "error_rate_halfwidth_ratio",
}  # fmt: skip
REQUESTS = [
    {},
    {"traffic": "0.01rps"},
    {"traffic": "50000rps"},
    {"traffic": "8MB/s", "peak_factor": 4.0},
    {"samplings": (Sampling("head", 0.00005), Sampling("tail", 0.0), Sampling("tail", 1.0))},
    {"retentions_s": (0.0, 365 * DAY_S)},
]


def _figures(plan: Plan) -> Iterator[tuple[str, Figure]]:
    yield from plan.traffic.items()
    yield from plan.shape.items()
    for choice in plan.choices:
        yield from choice.figures.items()


@pytest.mark.parametrize("changes", REQUESTS, ids=str)
@pytest.mark.parametrize("spans", [1.0, 46.0, 5000.0])
def test_every_figure_is_honest(
    shape_of: Callable[..., TraceShape],
    request_of: Callable[..., PlanRequest],
    changes: dict[str, object],
    spans: float,
) -> None:
    """Low <= value <= high, or no value and a reason; always a source, a working and a documented unit."""
    plan = make_plan(request_of(**changes), shape_of(spans_per_trace=spans))

    for name, figure in _figures(plan):
        assert figure.unit in UNITS, name
        assert figure.source, name
        assert figure.working, name
        if figure.value is None:
            assert (figure.low, figure.high, bool(figure.reason)) == (None, None, True), name
        else:
            assert figure.low <= figure.value <= figure.high, name
            assert not figure.reason, name


def test_grid_is_every_sampling_with_every_retention(plan: Plan) -> None:
    """Seven samplings times four retentions, each with every documented figure."""
    assert len(plan.choices) == 28
    assert len({(choice.sampling, choice.retention_s) for choice in plan.choices}) == 28
    assert all(set(choice.figures) >= NAMES for choice in plan.choices)


def test_first_line(plan: Plan) -> None:
    """As the traffic module makes it."""
    assert plan.first_line.startswith("1000 traces/s of shop (shop.yaml): 46.0 spans/trace, 498 B/span")


def test_plan_is_plain_data(plan: Plan) -> None:
    """JSON holds everything, without NaN, under the records' names, with the schema version."""
    found = json.loads(json.dumps(plan.as_dict(), allow_nan=False))

    assert found["schema_version"] == 1
    assert [asdict(choice) for choice in plan.choices] == found["choices"]
    assert (
        Figure(**found["choices"][0]["figures"]["cost_usd_per_month"])
        == (plan.choices[0].figures["cost_usd_per_month"])
    )


def test_same_request_same_plan(plan: Plan, shape: TraceShape, request_of: Callable[..., PlanRequest]) -> None:
    """Nothing in a plan depends on when or where it is made."""
    assert plan == make_plan(request_of(), shape)


def _grown(plan: Plan, other: Plan, names: Mapping[str, None] | set[str]) -> None:
    for one, two in zip(plan.choices, other.choices, strict=True):
        for name in names:
            first, second = one.figures[name], two.figures[name]
            assert first.value <= second.value, (name, one.sampling)
            assert first.high <= second.high, (name, one.sampling)


NEEDS = NAMES - {"kept_ratio", "error_wait_s", "error_rate_halfwidth_ratio"}


def test_more_traffic_never_needs_less(plan: Plan, shape: TraceShape, request_of: Callable[..., PlanRequest]) -> None:
    """Twice the traffic: no rate, size or price falls in any choice."""
    _grown(plan, make_plan(request_of("2000rps"), shape), NEEDS)


def test_a_peak_costs_memory_and_cpu_but_no_storage(
    plan: Plan, shape: TraceShape, request_of: Callable[..., PlanRequest]
) -> None:
    """Storage follows the mean."""
    peak = make_plan(request_of(peak_factor=2.0), shape)

    _grown(plan, peak, NEEDS)
    for one, two in zip(plan.choices, peak.choices, strict=True):
        assert one.figures["at_rest_bytes"] == two.figures["at_rest_bytes"]


def test_keeping_more_costs_more_and_hides_less(plan: Plan) -> None:
    """Along the head ratios at one retention."""
    heads = [c for c in plan.choices if c.sampling_kind == "head" and c.retention_s == DAY_S]

    prices = [price(choice) for choice in heads]
    waits = [caught_within_s(choice) for choice in heads]

    assert sorted(prices) == prices
    assert sorted(waits, reverse=True) == waits


def test_retention_costs_storage_only(plan: Plan) -> None:
    """Longer retention changes bytes at rest and their price, nothing else: not Tempo's memory."""
    same = NAMES - {"at_rest_bytes", "storage_usd_per_month", "cost_usd_per_month"}
    day, quarter = (next(c for c in plan.choices if c.retention_s == days * DAY_S) for days in (1, 90))

    assert {name: day.figures[name] for name in same} == {name: quarter.figures[name] for name in same}
    assert price(day) < price(quarter)


def test_recommended_is_the_cheapest_that_sees_errors_in_time(plan: Plan) -> None:
    """10 % at 1000 traces/s: an error within 5 minutes in 95 of 100 cases, for 7 days."""
    within = [c for c in plan.choices if caught_within_s(c) <= 300 and c.retention_s == 7 * DAY_S]

    assert (plan.chosen.sampling, plan.chosen.retention_s) == ("head 10 %", 7 * DAY_S)
    assert min(within, key=price) == plan.chosen


def _advised(plan: Plan, request: object) -> tuple[Choice, tuple[str, ...]]:
    advice = advise(plan.choices, request)
    return plan.choices[advice.index], advice.unmet


def test_constraints_choose(plan: Plan, request_of: Callable[..., PlanRequest]) -> None:
    """A tighter time keeps more; a tighter price shortens the retention before it gives up."""
    sooner, _ = _advised(plan, request_of(error_within_s=60.0))
    cheaper, missing = _advised(plan, request_of(max_usd_per_month=price(plan.chosen) - 1))

    assert caught_within_s(sooner) <= 60
    assert missing == ()
    assert (cheaper.sampling, cheaper.retention_s) == ("head 10 %", DAY_S)


def test_constraints_that_cannot_be_met_are_named(plan: Plan, request_of: Callable[..., PlanRequest]) -> None:
    """Each broken constraint is a sentence with what it asked and what there is."""
    request = request_of(error_within_s=1.0, max_usd_per_month=1.0)
    choice, missing = _advised(plan, request)

    assert missing == unmet(choice, request)
    assert [sentence.partition(":")[0] for sentence in missing] == ["--error-within 1 s", "--max-usd $1.00"]


def test_without_a_stated_time_little_traffic_is_not_refused(
    shape: TraceShape, request_of: Callable[..., PlanRequest]
) -> None:
    """At one trace a minute no choice sees a rare error in 5 minutes; the soonest is recommended."""
    plan = make_plan(request_of("1 traces/min"), shape)

    assert plan.chosen.configured_ratio == 1.0
    assert "not met" not in plan.verdict
    assert any("keeps it soonest" in assumption for assumption in plan.assumptions)


@pytest.mark.parametrize(
    ("retentions_d", "expected_d"), [((1, 7, 30, 90), 7), ((1,), 1), ((30, 90), 30), ((1, 3), 3), ((7,), 7)]
)
def test_recommended_retention(retentions_d: tuple[float, ...], expected_d: float) -> None:
    """The shortest of at least a week, else the longest."""
    assert expected_d * DAY_S == retention_to_recommend([d * DAY_S for d in retentions_d])


def test_default_limits_bite_where_they_were_measured_to(
    shape: TraceShape, request_of: Callable[..., PlanRequest]
) -> None:
    """At 1000 kept traces/s some 10,000 are live, Tempo's default limit; the remedy names the key."""
    plan = make_plan(request_of(samplings=(Sampling("head", 1.0),)), shape)
    limits = {limit.name: limit for limit in plan.limits}

    found = limits["max_traces_per_user"]

    assert (10_000, pytest.approx(10_000, rel=0.05), False) == (found.limit, found.expected, found.holds)
    assert "overrides.defaults.ingestion.max_traces_per_user: 21000" in found.remedy
    assert "dropped while the client is told OK" in found.remedy
    assert "max_traces_per_user, exceeded" in plan.verdict


def test_limits_stand_worst_first(plan: Plan) -> None:
    """By what is left of them."""
    margins = [limit.margin_ratio for limit in plan.limits]

    assert sorted(margins) == margins
    assert {limit.name for limit in plan.limits} & GROWING


def test_batches_of_large_spans_exceed_the_message_limit(
    shape_of: Callable[..., TraceShape], request_of: Callable[..., PlanRequest]
) -> None:
    """8,192 spans of 520 B are more than 4 MiB."""
    plan = make_plan(request_of(), shape_of(wire_bytes_per_span=520.0))

    assert (plan.limits[0].name, plan.limits[0].holds) == ("max_recv_msg_size", False)


def test_tail_sampling_brings_its_own_limits(
    shape_of: Callable[..., TraceShape], request_of: Callable[..., PlanRequest]
) -> None:
    """One core a shard, num_traces, decision_wait against the 99th percentile of durations."""
    plan = make_plan(request_of("5000rps", samplings=(Sampling("tail", 0.05),)), shape_of())
    limits = {limit.name: limit for limit in plan.limits}

    assert not limits["tail sampler core"].holds
    assert not limits["num_traces"].holds
    assert pytest.approx(0.89, abs=0.01) == limits["decision_wait"].expected


def test_beyond_one_process_the_components_are_the_published_ones(
    shape: TraceShape, request_of: Callable[..., PlanRequest]
) -> None:
    """60 MB/s kept: component sizes with their full range, and the basis says published."""
    plan = make_plan(request_of("2600rps", samplings=(Sampling("head", 1.0),)), shape)
    memory = plan.chosen.figures["tempo_rss_bytes"]

    assert memory.basis == Basis.PUBLISHED
    assert memory.high > 4 * memory.low
    assert {"Collector", "Tempo distributor", "Tempo live-store", "Tempo querier"} <= {
        s.component for s in plan.settings
    }
    assert any("Kafka" in text for text in plan.not_counted)


def test_settings_leave_the_headroom(plan: Plan) -> None:
    """CPU request twice what is expected; memory limit no less than the high end or twice the value."""
    for setting in plan.settings:
        prefix = setting.component.lower()
        cores, memory = plan.chosen.figures[f"{prefix}_cores"], plan.chosen.figures[f"{prefix}_rss_bytes"]
        assert pytest.approx(max(0.1, 2 * cores.value)) == setting.cpu_request_cores * setting.replicas
        assert max(2 * memory.value, memory.high) <= setting.memory_limit_bytes * setting.replicas + 1
        assert "headroom 2" in setting.working


def test_doubts_are_few_and_complete(plan: Plan) -> None:
    """At most five, each with effect and remedy."""
    assert 1 <= len(plan.doubts) <= 5
    assert all(doubt.what and doubt.effect and doubt.remedy for doubt in plan.doubts)


def test_a_stated_peak_is_no_doubt(shape: TraceShape, request_of: Callable[..., PlanRequest]) -> None:
    """Whoever names a peak factor is not reminded of it."""
    plan = make_plan(request_of(peak_factor=1.5), shape)

    assert not any("peak" in doubt.what for doubt in plan.doubts)


def test_long_traces_are_a_doubt(shape_of: Callable[..., TraceShape], request_of: Callable[..., PlanRequest]) -> None:
    """A tail sampler decides about a process of hours after ten seconds."""
    shape = shape_of(duration_s=shape_of().duration_s * 1000)
    plan = make_plan(request_of(samplings=(Sampling("tail", 0.05),)), shape)

    assert any("decision_wait" in doubt.what for doubt in plan.doubts)


def test_path_falls_at_the_sampler_and_in_the_blocks(plan: Plan) -> None:
    """Six places; rates fall by the effective ratio after sampling, bytes again in storage."""
    received, sampled, blocks = plan.path[1], plan.path[2], plan.path[-1]

    assert len(plan.path) == 6
    assert pytest.approx(1638 / 16384) == sampled.spans_per_s / received.spans_per_s
    assert blocks.bytes_per_s < 0.6 * sampled.bytes_per_s


def test_curves_hold_their_ranges_and_points(plan: Plan) -> None:
    """Low <= y <= high along every curve, of one length, and the measured runs are on Tempo's."""
    for curve in plan.curves:
        assert len(curve.x) == len(curve.y) == len(curve.low) == len(curve.high)
        assert all(a <= b <= c for a, b, c in zip(curve.low, curve.y, curve.high, strict=True))
        assert list(curve.y) == sorted(curve.y)
        assert curve.valid_from < curve.valid_to
    assert {curve.name: len(curve.points) for curve in plan.curves} == {
        "Tempo RSS, peak": 8,
        "Tempo RSS, median": 8,
        "Tempo CPU": 8,
        "Collector RSS": 3,
        "Stored per day": 7,
    }


def test_plan_passes_through_its_own_curve(plan: Plan) -> None:
    """The curve at the planned rate is the planned memory."""
    curve = plan.curves[0]
    rate = plan.chosen.figures["kept_spans_per_s"].value

    at = next(i for i, x in enumerate(curve.x) if x >= rate)

    assert curve.y[at - 1] <= plan.chosen.figures["tempo_rss_bytes"].value <= curve.y[at]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("24h", 86400), ("7d", 7 * 86400), ("5m", 300), ("5min", 300), ("90s", 90), ("2w", 14 * 86400)],
)
def test_times(text: str, seconds: float) -> None:
    """Times carry their unit."""
    assert seconds == parse_duration(text, "--retention")


@pytest.mark.parametrize("text", ["", "7", "0d", "-1h", "7 days", "1e9d", "d", "9999999d"])
def test_refused_times(text: str) -> None:
    """Anything else is refused with the option's name."""
    with pytest.raises(InputError, match="--retention: got"):
        parse_duration(text, "--retention")


@pytest.mark.parametrize(
    "changes",
    [{"peak_factor": 0.5}, {"peak_factor": float("nan")}, {"samplings": ()}, {"max_usd_per_month": float("nan")}],
    ids=str,
)
def test_refused_requests(request_of: Callable[..., PlanRequest], changes: dict[str, object]) -> None:
    """A request is valid once made."""
    with pytest.raises(InputError):
        request_of(**changes)


@pytest.mark.parametrize(("value", "text"), [(0.5, "1"), (19_800, "20000"), (20_123, "21000"), (123_456, "130000")])
def test_limits_are_rounded_up(value: float, text: str) -> None:
    """To two digits, never down."""
    assert text == rounded_up(value)


def test_growth_left(plan: Plan) -> None:
    """A limit at 10 % of use is reached at ten times the traffic."""
    limit = next(limit for limit in plan.limits if limit.name == "monolithic spans/s")

    assert pytest.approx(limit.limit / limit.expected) == growth_left(limit)
