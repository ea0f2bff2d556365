"""The page of a run, its terminal twin and its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import InputError
from loadgen.run.file import LedgerRow, RunWriter, SampleRow, TroubleRow, create_run, open_run
from loadgen.run.lateness import OVER_US
from reports import run_dict, run_html, run_lines, write_run_page
from reports.run_audit import audit_tables
from reports.run_facts import read_facts
from reports.run_times import read_timeline

Check = Callable[[str], Any]
Make = Callable[..., Path]
START_S = 1_790_000_000.0
HOSTILE = "</script><script>alert(1)</script>\x00\x1b[31m"
VERDICT = (
    "Broken: of 552,000 sent spans 18,400 refused, 0 rejected, 0 unknown; "
    "200 traces/s asked, 193 delivered over 60.0 s; no span unexplained."
)


AUDIT = {
    "place": "here",
    "pipeline": ["head 10 %"],
    "offered": {"traces": 12000, "spans": 552000},
    "expected": {"traces": 1159, "spans": 53314},
    "observed": {"traces": 1133, "spans": 52110},
    "share": {"configured": 0.1, "effective": 0.0999},
    "unexplained_spans": 0,
    "holds": True,
}


def page_of(path: Path) -> str:
    """The page of the run at ``path``."""
    with open_run(path) as run:
        return run_html(run)


def lines_of(path: Path) -> list[str]:
    """The terminal summary of the run at ``path``."""
    with open_run(path) as run:
        return run_lines(run)


def write(path: Path) -> RunWriter:
    """Appends to the run at ``path``."""
    return RunWriter(path / "run.sqlite")


def test_page_terminal_and_json_begin_with_one_sentence(run_path: Path, check: Check) -> None:
    """Verdict, asked against delivered, and what is unexplained: the same words everywhere."""
    with open_run(run_path) as run:
        told = run_dict(run)

    assert lines_of(run_path)[0] == VERDICT
    assert next(iter(told.values())) == VERDICT
    assert VERDICT in check(page_of(run_path)).text


def test_page_is_the_accepted_one(run_path: Path, gold: Callable[[str, str], None]) -> None:
    """The page changes only when someone has looked at it."""
    gold("run.html", page_of(run_path))


def test_equal_runs_give_equal_bytes(run_path: Path) -> None:
    """The page depends on the run file alone."""
    assert page_of(run_path) == page_of(run_path)


def test_ledger_balances_on_the_page(run_path: Path, check: Check) -> None:
    """Both sums stand there with their numbers, and every state in spans and traces."""
    shown = check(page_of(run_path)).text

    assert "552,000 offered = 552,000 sent + 0 shed + 0 unfinished + 0 waiting" in shown
    assert "0 unknown + 0 in flight: it balances." in shown
    assert "refused as retryable until the retries were spent 18,400 3.33 % 400 10" in shown


def test_page_and_json_carry_the_same_numbers(run_path: Path, check: Check) -> None:
    """Ledger, lateness and audit of the JSON stand on the page."""
    shown = check(page_of(run_path)).text
    with open_run(run_path) as run:
        told = json.loads(json.dumps(run_dict(run)))

    assert [n for n in told["ledger"]["spans"].values() if f"{n:,}" not in shown] == []
    assert "≤ 6.40 ms" in shown
    assert told["lateness_us"]["p99"] == 6400
    assert "effective what it keeps of random ids 9.99756 %" in shown
    assert "expected delivered and kept by the samplers: must have arrived 1,159 53,314" in shown
    assert told["audit"]["share"]["effective"] == 1638 / 16384


def test_delivered_and_asked_are_means_over_the_load(run_path: Path) -> None:
    """Delivered counts accepted traces over the time in which load was offered."""
    with open_run(run_path) as run:
        load = read_facts(run).load

    assert load is not None
    assert (load.asked_traces_per_s, round(load.delivered_traces_per_s * load.length_s)) == (200.0, 11600)


def test_rates_asked_in_steps_are_averaged_over_time(make_run: Make) -> None:
    """A quarter of the time at triple the rate raises the mean by half."""
    path = make_run(seconds=40)
    with write(path) as writer:
        writer.rate(START_S + 30, 600.0, 27600.0, "600/s")
    with open_run(path) as run:
        load = read_facts(run).load

    assert load is not None
    assert load.asked_traces_per_s == pytest.approx(300, rel=1e-3)


def test_what_was_drawn_ahead_of_the_end_was_not_asked(make_run: Make) -> None:
    """Traces still to be sent when the run stopped do not lower what was delivered, nor does a late first row."""
    path = make_run(seconds=20, schedule={"0": int((START_S + 0.4) * 1e9)})
    with write(path) as writer:
        ahead = (("offered", 2300, 50), ("unfinished", 2300, 50))
        writer.ledger(LedgerRow(START_S + 20.5, 1, state, spans, traces, 1, 0) for state, spans, traces in ahead)
    with open_run(path) as run:
        load = read_facts(run).load

    assert load is not None
    assert (load.delivered_ratio, load.delivered_traces_per_s) == (1.0, pytest.approx(200))
    assert load.length_s == pytest.approx(20)


def test_load_that_stopped_early_is_short_of_its_rate(make_run: Make) -> None:
    """Half of the workers gone: what was never offered is missing by the clock."""
    path = make_run(seconds=30)
    with write(path) as writer:
        writer.ledger([LedgerRow(START_S + 62, 1, "offered", 46, 1, 1, 0)])
    with open_run(path) as run:
        load = read_facts(run).load

    assert load is not None
    assert load.delivered_traces_per_s == pytest.approx(5920 / 60)


def test_course_keeps_every_span(run_path: Path) -> None:
    """Rates over the steps add up to the ledger, though workers write at moments of their own."""
    with open_run(run_path) as run:
        facts = read_facts(run)
        course = read_timeline(run, facts)

    assert course is not None
    widths = course.edges_s[1:] - course.edges_s[:-1]
    for state, total in (("accepted", facts.spans.accepted), ("refused", facts.spans.refused)):
        assert pytest.approx(total) == float((course.rates[state] * widths).sum())
    assert {2} == {len(name) for name in [[memory.source for memory in course.memory]]}


def test_course_asks_for_what_the_schedule_asked(make_run: Make) -> None:
    """Steps of what was asked add up to the rates over the schedule, changes and the cut last step included."""
    path = make_run(seconds=40)
    with write(path) as writer:
        writer.rate(START_S + 30.5, 600.0, 27600.0, "600/s")
        writer.ledger([LedgerRow(START_S + 40.5, 1, "unfinished", 4600, 100, 1, 0)])
    with open_run(path) as run:
        facts = read_facts(run)
        course = read_timeline(run, facts)

    assert course is not None
    assert facts.load is not None
    spans = float((course.asked * (course.edges_s[1:] - course.edges_s[:-1])).sum())
    assert spans == pytest.approx(30.5 * 9200 + (facts.load.length_s - 30.5) * 27600)


def test_steady_window_and_scraped_figures_are_shown(run_path: Path, check: Check) -> None:
    """The steady window is named, and medians and peaks stand beside the load."""
    shown = check(page_of(run_path)).text

    assert "Shaded: the steady window, second 1 to 60." in shown
    assert re.search(r"tempo memory \(RSS\) 188 MiB 235 MiB 237 MiB", shown)


def test_killed_run_says_so(make_run: Make, check: Check) -> None:
    """A run without an end is reported as far as it goes, with its own verdict on the ledger."""
    path = make_run(finished=False, audited=False)

    assert lines_of(path)[0].startswith("Unfinished, so far: broken: of 552,000 sent spans 18,400 refused")
    assert "The run has no end on record" in check(page_of(path)).text


def test_spans_in_flight_of_a_killed_run_count_as_unknown(make_run: Make) -> None:
    """What was sent and never answered may or may not have arrived."""
    path = make_run(finished=False, audited=False)
    with write(path) as writer:
        writer.ledger([(START_S + 61, 1, "offered", 100, 2, 0, 0), (START_S + 61, 1, "sent", 100, 2, 1, 0)])

    assert "100 unknown" in lines_of(path)[0]


def test_run_that_sent_nothing_has_a_page(tmp_path: Path, check: Check) -> None:
    """A run file with no more than its first facts."""
    create_run(tmp_path, "empty").close()
    page = check(page_of(tmp_path / "empty"))

    assert "Unfinished, so far: not valid: nothing was sent; not audited." in page.text
    assert [name for name in ("course", "lateness", "audit", "measured", "troubles") if name in page.ids] == []
    assert page.tags.get("svg") is None


def test_run_without_samples_or_audit(tmp_path: Path, check: Check, make_run: Make) -> None:
    """What was not looked at is said to be missing."""
    path = make_run(audited=False)
    with open_run(path) as run:
        kept = run.path
    import sqlite3  # noqa: PLC0415

    with sqlite3.connect(kept) as database:
        database.execute("DELETE FROM samples")
    database.close()
    shown = check(page_of(path)).text

    assert "No steady window was found. No memory was scraped." in shown
    assert "The run was not audited" in shown
    assert "Unexplained - not audited" in shown


def test_embedded_sink_is_named(make_run: Make, check: Check) -> None:
    """Its memory and CPU are never mistaken for a backend's, on page and terminal."""
    path = make_run(target={"endpoint": "http://127.0.0.1:4318", "kind": "sink"})
    sentence = "Embedded sink: not a backend; its RSS and CPU say nothing about Tempo"

    assert sentence in check(page_of(path)).text
    assert any(sentence in line for line in lines_of(path))
    assert "against the embedded sink" in lines_of(path)[1]


def test_sink_is_recognized_by_what_was_scraped(make_run: Make) -> None:
    """A target of unknown kind whose metrics page was the sink's."""
    path = make_run(target={"endpoint": "http://127.0.0.1:4318", "kind": "unknown"})
    with write(path) as writer:
        writer.samples([SampleRow(START_S + 10, "sink", "rss_bytes", {"as": "collector"}, 1e8, "bytes")])

    assert any("Embedded sink" in line for line in lines_of(path))


def test_audit_that_fails_outweighs_a_load_that_holds(make_run: Make, check: Check) -> None:
    """What was accepted and is not there comes first, with the likely cause in the audit."""
    path = make_run(finished=False, verdict={"exit_code": 0, "text": "holds: all sent"}, finished_utc="2026-09-21")
    missing = {"name": "missing", "traces": 26, "spans": 1204, "examples": ["00ff"], "causes": ["Tempo's limit"]}
    with write(path) as writer:
        writer.audit(START_S + 100, {**AUDIT, "unexplained_spans": 1204, "findings": [missing], "holds": False})
    page = check(page_of(path))

    expected = "Not accounted for: 1,204 spans unexplained; the load itself holds: all sent; 200 traces/s asked, 193 "
    assert lines_of(path)[0].startswith(expected)
    assert 'class="failed"' in page.html
    assert "missing delivered and kept, but not there 26 1,204 Tempo's limit 00ff" in page.text
    assert "and 1 earlier audits in the run file" in page.text


def test_audit_of_another_form_is_shown_as_it_stands(make_run: Make, check: Check) -> None:
    """An audit this release does not know is not hidden, and claims nothing."""
    path = make_run()
    with write(path) as writer:
        writer.audit(START_S + 100, {"seen": {"kept_ratio": 0.5}, "findings": [3], "expected": 1.5, "note": None})

    assert lines_of(path)[0].endswith("; audited.")
    assert "seen.kept ratio 50.0000 %" in check(page_of(path)).text


@pytest.mark.parametrize("key", ["share", "findings", "pipeline", "doubts", "observed", "unexplained_spans", "place"])
@pytest.mark.parametrize("value", [None, 5, "x", [], [None, {"traces": "x"}], {"low": "x"}])
def test_odd_values_in_an_audit_are_passed_over(key: str, value: object) -> None:
    """Any value under a known name leaves the rest of the audit readable."""
    tables = audit_tables({**AUDIT, key: value}, 1)

    assert tables[0].caption == "What had to arrive and what did"
    assert "expected" in [row.cells[0].text for row in tables[0].rows]


def test_lateness_past_the_histogram_reads_over(make_run: Make, check: Check) -> None:
    """A value at the histogram's end is not shown as if it were known."""
    path = make_run()
    with write(path) as writer:
        writer.lateness([(START_S + 30, 1, OVER_US, 5)])
    with open_run(path) as run:
        told = run_dict(run)["lateness_us"]

    assert (told["max"], told["p99.9"]) == ("over", 51200)
    assert "max over" in "".join(lines_of(path))
    assert "≤ 51.2 ms over" in check(page_of(path)).text


def test_troubles_are_bounded(make_run: Make, check: Check) -> None:
    """Ten thousand different causes: the largest ones, the rest counted, and a small file."""
    path = make_run()
    with write(path) as writer:
        writer.trouble(TroubleRow(1, i, 0, 1, i, "rejected", f"service {i}: {'x' * 1000}") for i in range(10_000))
    page = check(page_of(path))

    assert "and 9,981 more causes, all of them in the run file" in page.text
    assert len(page.html) < 300_000
    assert len(lines_of(path)) < 40


def test_outside_text_is_inert(make_run: Make, check: Check) -> None:
    """Markup and control characters from run file, target and audit are shown, not obeyed."""
    facts = dict.fromkeys(
        ("note", "command", "topology_name", "topology_yaml", "collector_config", "stop_reason", HOSTILE), HOSTILE
    )
    path = make_run(
        target={"endpoint": HOSTILE, "kind": HOSTILE, HOSTILE: [HOSTILE]}, silent_workers=[HOSTILE], **facts
    )
    with write(path) as writer:
        writer.audit(START_S + 100, {HOSTILE: HOSTILE, "unexplained_spans": HOSTILE})
        writer.samples([SampleRow(START_S + 10 + i, HOSTILE, "rss_bytes", {}, 1e8, HOSTILE) for i in range(9)])
        writer.trouble([TroubleRow(1, 10**9, 0, 1, 46, HOSTILE, HOSTILE)])
        writer.gap(START_S + 100, HOSTILE, HOSTILE)
    page = check(page_of(path))

    assert page.tags.get("script") is None
    assert not re.search("[\x00\x1b]", page.html + "".join(lines_of(path)))


@pytest.mark.parametrize(
    "meta",
    [
        {"verdict": "yes", "target": 5, "versions": None, "silent_workers": 3, "host": [1, {"a": 2}]},
        {"verdict": {"exit_code": "0"}, "target": [], "options": {"a": {"b": [1, 2]}}, "created_utc": 5},
    ],
)
def test_facts_of_another_form_do_not_break_the_report(make_run: Make, check: Check, meta: dict[str, object]) -> None:
    """A run file from another hand may hold anything under a known name."""
    path = make_run(finished=False, **meta)

    check(page_of(path))
    assert lines_of(path)[0].startswith("Unfinished, so far: broken")


def test_ledger_that_does_not_balance_is_not_valid(make_run: Make, check: Check) -> None:
    """More answers than sends: counted twice or from nowhere, and said first."""
    path = make_run(finished=False)
    with write(path) as writer:
        writer.ledger([(START_S + 61, 1, "accepted", 10**6, 2, 0, 0)])
    shown = check(page_of(path)).text

    assert "not valid: the ledger does not balance" in lines_of(path)[0]
    assert "IT DOES NOT BALANCE" in shown
    assert "What to doubt The ledger does not balance." in shown


def test_late_worker_and_long_run_are_stepped(make_run: Make) -> None:
    """A long run has at most 240 steps and loses no span to them."""
    path = make_run(seconds=500)
    with write(path) as writer:
        writer.ledger((START_S + 300 + i, 7, "accepted", 10, 1, 1, 0) for i in range(100))
        writer.ledger((START_S + 300 + i, 7, "sent", 10, 1, 1, 0) for i in range(100))
    with open_run(path) as run:
        facts = read_facts(run)
        course = read_timeline(run, facts)

    assert course is not None
    assert len(course.asked) == 240
    widths = course.edges_s[1:] - course.edges_s[:-1]
    assert pytest.approx(facts.spans.accepted) == float((course.rates["accepted"] * widths).sum())


def test_damaged_run_file_is_named(run_path: Path) -> None:
    """Facts that are not JSON: one clear line instead of a traceback."""
    import sqlite3  # noqa: PLC0415

    with sqlite3.connect(run_path / "run.sqlite") as database:
        database.execute("UPDATE meta SET value = '{' WHERE key = 'note'")
    database.close()
    with open_run_raw(run_path) as run, pytest.raises(InputError, match=r"RUN: got .* is damaged"):
        run_lines(run)


def open_run_raw(path: Path) -> Any:
    """The run file without the check of its format."""
    from loadgen.run.file import RunFile  # noqa: PLC0415

    return RunFile(path / "run.sqlite")


def test_page_is_written_whole(run_path: Path, tmp_path: Path) -> None:
    """The file is the page."""
    with open_run(run_path) as run:
        write_run_page(run, tmp_path / "a" / "run.html")

    assert page_of(run_path) == (tmp_path / "a" / "run.html").read_text(encoding="utf-8")
