"""When a load was steady, and what was measured while it was."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.summary import Series, counted, describe, rates, series, steady_window, summary
from loadgen.run import create_run, open_run
from loadgen.run.file import SampleRow


def counter_of(rates_per_s: Iterable[float], step_s: float = 1.0, start_s: float = 1000.0) -> Series:
    """A counter that grew at these rates, one for each step, read at each step."""
    steps = np.array(list(rates_per_s), float)
    time_s = start_s + step_s * np.arange(len(steps) + 1)
    return Series(time_s, np.concatenate([[0.0], np.cumsum(steps * step_s)]), "spans")


@pytest.mark.parametrize(
    ("rates_per_s", "window"),
    [
        ([100] * 30, (1000, 1030)),
        ([0] * 10 + [100] * 30 + [0] * 10, (1010, 1040)),
        ([0] * 5 + [20, 40, 60, 80] + [100] * 30, (1009, 1039)),
        ([100] * 20 + [300] * 40, (1020, 1060)),
        ([100] * 10 + [0] * 10 + [100] * 20, (1020, 1040)),
        ([90, 110] * 15, (1000, 1030)),
        ([0] * 30, None),
        ([100] * 4, None),
        ([], None),
    ],
    ids=["even", "pauses around", "ramp", "two steps", "longer part", "jitter", "nothing", "too short", "empty"],
)
def test_steady_window(rates_per_s: list[float], window: tuple[float, float] | None) -> None:
    """The longest even stretch is found, to a second; pauses, ramps and other rates stay outside."""
    found = steady_window(counter_of(rates_per_s))

    if window is None:
        assert found is None
    else:
        assert np.abs(np.subtract(found, window)).max() <= 1.0


def test_steady_window_of_irregular_readings() -> None:
    """Uneven times of reading, and gaps between, do not make an even load uneven."""
    draw = np.random.default_rng(1)
    time_s = 1000 + np.sort(draw.uniform(0, 60, 80))
    found = steady_window(Series(time_s, 250 * (time_s - 1000), "spans"))

    assert found == (time_s[0], time_s[-1])


def test_restart_ends_the_steady_time() -> None:
    """A process that has just begun holds less than it will: its memory does not count with the old one's."""
    even = counter_of([100] * 40)
    restarted = even._replace(value=np.where(even.time_s > 1015, even.value - 1500, even.value))

    assert steady_window(restarted) == (1016, 1040)


@given(st.lists(st.floats(0, 1e6), min_size=6, max_size=60), st.floats(0.2, 3))
def test_steady_window_keeps_its_promise(rates_per_s: list[float], step_s: float) -> None:
    """Whatever the load did, the window lies within the readings and spans at least the width asked for."""
    counter = counter_of(rates_per_s, step_s)
    found = steady_window(counter)

    if found is not None:
        assert counter.time_s[0] <= found[0] < found[1] <= counter.time_s[-1]
        assert found[1] - found[0] >= 5.0 - 1e-9


def test_counted_and_rates() -> None:
    """Increases go through a restart, and rates are per second of the time between two readings."""
    broken = Series(np.array([0.0, 2.0, 3.0, 7.0]), np.array([10.0, 30.0, 5.0, 45.0]), "spans")

    assert counted(broken.value).tolist() == [0, 20, 25, 65]
    assert counted(np.array([])).tolist() == []
    assert rates(broken).value.tolist() == [10, 5, 10]
    assert (rates(broken).time_s.tolist(), rates(broken).unit) == ([2, 3, 7], "spans/s")


def test_describe() -> None:
    """Median, 95th percentile and peak come with unit and number."""
    part = Series(np.arange(101.0), np.arange(101.0), "bytes")

    assert describe(part) == {"unit": "bytes", "n": 101, "median": 50.0, "p95": 95.0, "peak": 100.0}


def written_run(folder: Path) -> Path:
    """A run of 10 s silence and 30 s at 200 spans/s through a Collector, a restart of Tempo, two processes."""
    even = counter_of([0] * 10 + [200] * 30)
    with create_run(folder, "r1") as writer:
        for time_s, count in zip(even.time_s, even.value, strict=True):
            busy = time_s > 1010

            def row(source: str, what: str, value: float, unit: str, now_s: float = time_s, **labels: str) -> SampleRow:
                return SampleRow(now_s, source, what, labels, value, unit)

            writer.samples(
                [
                    row("collector", "receiver_accepted_spans", count / 4, "spans", receiver="a"),
                    row("collector", "receiver_accepted_spans", count * 3 / 4, "spans", receiver="b"),
                    row("collector", "rss_bytes", 2e8 if busy else 1e8, "bytes"),
                    row("collector", "version", 1.0, "release", version="0.161.0"),
                    row("tempo", "received_spans", count % 5000, "spans"),
                    row("process", "rss_bytes", 5e7, "bytes", pid="7", name="locust"),
                    row("process", "rss_bytes", 6e7, "bytes", pid="8", name="locust"),
                    row("process", "cpu_s", time_s / 4, "s", pid="7", name="locust"),
                ]
            )
        writer.gap(1003.0, "tempo", "down")
    return folder / "r1"


def test_summary_of_a_run(tmp_path: Path) -> None:
    """Figures are those of the steady time, counters as rates; each process stands alone; gaps are counted."""
    with open_run(written_run(tmp_path)) as run:
        found = summary(run)
    steady, sources = found["steady"], found["sources"]
    assert isinstance(steady, dict)
    assert isinstance(sources, dict)
    accepted = sources["collector"]["receiver_accepted_spans"]

    assert (steady["source"], steady["quantity"]) == ("collector", "receiver_accepted_spans")
    assert np.abs(np.subtract((steady["from_s"], steady["to_s"]), (1010, 1040))).max() <= 1
    assert (accepted["unit"], accepted["median"], accepted["increase"], accepted["restarts"]) == (
        "spans/s",
        200,
        6000,
        0,
    )
    assert (sources["collector"]["rss_bytes"]["median"], sources["collector"]["rss_bytes"]["peak"]) == (2e8, 2e8)
    assert sources["tempo"]["received_spans"]["restarts"] == 1
    assert sources["process locust 7"]["cpu_s"]["median"] == pytest.approx(0.25)
    assert sources["process locust 8"]["rss_bytes"]["peak"] == 6e7
    assert (found["versions"], found["gaps"]) == ({"collector": ["0.161.0"]}, {"tempo": 1})
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_summary_without_a_steady_time(tmp_path: Path) -> None:
    """A run without load says that it was never steady; its figures are those of the whole run."""
    with create_run(tmp_path, "r2") as writer:
        writer.samples(SampleRow(t, "collector", "rss_bytes", {}, 1e8 + t, "bytes") for t in (1.0, 2.0, 3.0))
    with open_run(tmp_path / "r2") as run:
        found = summary(run)

    assert found["steady"] is None
    assert found["sources"] == {
        "collector": {
            "rss_bytes": {"unit": "bytes", "n": 3, "median": 100000002.0, "p95": 100000002.9, "peak": 100000003.0}
        }
    }


def test_empty_run(tmp_path: Path) -> None:
    """A run nobody observed has nothing to tell, and says so without an error."""
    create_run(tmp_path, "r3").close()
    with open_run(tmp_path / "r3") as run:
        assert summary(run) == {"steady": None, "sources": {}, "versions": {}, "gaps": {}}
        assert series(run, "tempo", "received_spans").value.tolist() == []
