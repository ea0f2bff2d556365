"""Locust's web page: start, stop, start again, and a rate edited while the load runs."""

from __future__ import annotations

import json
import signal
import time
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

SECRET = "hunter2-and-more"  # noqa: S105  (of nothing)
FORKED = ["--processes", "2", "--master-bind-port", "{port}", "--master-port", "{port}"]
HEADERS = {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRET}"}
CASES: dict[str, dict[str, Any]] = {
    "single": {"arguments": [], "web": True, "rated": False, "environment": HEADERS},
    "workers": {"arguments": FORKED, "web": True, "rated": False, "environment": HEADERS},
    "wrong": {"arguments": [], "web": True, "rated": False},
    "master": {"arguments": ["--master", "--master-bind-port", "{port}"], "web": True},
}


class Page:
    """Locust's web page at a port of this machine."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str = "/") -> str:
        """A page's text."""
        with urlopen(self._url + path, timeout=10) as answer:  # noqa: S310  (our own loopback URL)
            return str(answer.read().decode())

    def post(self, path: str, **form: object) -> dict[str, Any]:
        """The answer to a form, as the page would send it."""
        with urlopen(self._url + path, urlencode(form).encode(), timeout=30) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found

    def swarm(self, users: int = 8, **options: object) -> None:
        """Start the load, or edit it while it runs."""
        assert self.post("/swarm", user_count=users, spawn_rate=100, **options)["success"] is True

    def is_there(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.get("/stats/requests"))
        except OSError:
            return False


@pytest.fixture(scope="module", name="edited")
def _edited(cases: Any) -> dict[str, tuple[Any, str]]:
    """Two runs one after the other from each page, of a single process and of workers; the first one is edited."""
    pages = {name: _open(cases[name]) for name in ("single", "workers")}
    cases["workers"].locust.until(lambda: "2 workers connected" in cases["workers"].locust.log)
    shown = {name: page.get() for name, page in pages.items()}
    _swarm(cases, pages, rate="1000spans/s", note="first")
    _swarm(cases, pages, rate="4000spans/s", note="edited")
    time.sleep(1.2)
    for page in (*pages.values(), *pages.values()):
        page.swarm(rate="banana")
    time.sleep(0.8)
    first = {}
    for name, page in pages.items():
        page.post("/stop")
        (first[name],) = cases[name].locust.run_ids()
    _swarm(cases, pages, rate="2000spans/s", note="second", runs_dir="/nowhere", collector_config="/etc/hostname")
    for name, page in pages.items():
        page.post("/stop")
        shown[name] += page.get() + page.get("/stats/requests")
        cases[name].locust.signal_group(signal.SIGINT)
    return {name: (first[name], shown[name]) for name in pages}


def _swarm(cases: Any, pages: dict[str, Page], **options: object) -> None:
    before = {name: cases[name].target.requests for name in pages}
    for page in pages.values():
        page.swarm(**options)
    for name, requests in before.items():
        case = cases[name]
        case.locust.until(lambda case=case, requests=requests: case.target.requests > requests + 4)


@pytest.mark.parametrize("name", ["single", "workers"])
def test_each_start_is_a_run_of_its_own_and_an_edited_rate_is_followed(name: str, cases: Any, edited: Any) -> None:
    """Two run files with two seeds, each settled; the first holds both rates, a wrong one changed nothing."""
    case, (first, _) = cases[name], edited[name]
    log = case.locust.finished(0)
    one, two = case.settled(first), case.settled(case.locust.run_ids()[1])
    assert [row[3] for row in one.rates] == ["1000spans/s", "4000spans/s"]
    assert (one.code, one.meta["note"], one.meta["stop_reason"]) == (0, "first", "stopped")
    assert log.count("--rate: got 'banana', must be a rate") == log.count("the rate stays as it was") == 1
    assert (two.code, two.meta["note"], [row[3] for row in two.rates]) == (0, "second", ["2000spans/s"])
    assert one.meta["seed"] != two.meta["seed"]


@pytest.mark.parametrize("name", ["single", "workers"])
def test_the_page_shows_no_secret_and_reaches_no_file(name: str, cases: Any, edited: Any) -> None:
    """Headers are neither in the page's source nor in the log; what a page posts names no folder and no file."""
    case, (first, shown) = cases[name], edited[name]
    assert SECRET not in shown + case.locust.finished(0)
    assert "rate" in shown
    second = case.settled(case.locust.run_ids()[1])
    assert "collector_config" not in second.meta
    assert case.locust.run_ids()[0] == first


def test_a_wrong_start_from_the_page_sends_nothing_and_the_next_one_may_be_right(cases: Any) -> None:
    """The form is not checked by Locust: a wrong option is one line, and consent cannot be given by a web page."""
    case = cases["wrong"]
    page = _open(case)
    page.swarm(rate="fast")
    case.locust.until(lambda: "--rate: got 'fast', must be a rate" in case.locust.log)
    page.swarm(rate="2000spans/s", otlp_endpoint="http://collector.invalid", yes_load="collector.invalid")
    case.locust.until(lambda: "--yes-load: got '', must be collector.invalid" in case.locust.log)
    assert (case.target.requests, case.locust.run_ids()) == (0, [])
    page.swarm(rate="2000spans/s", otlp_endpoint=case.target.url)
    case.locust.until(lambda: case.target.requests > 3)
    case.locust.signal(signal.SIGTERM)
    case.locust.finished(0)
    assert case.settled().meta["stop_reason"] == "SIGTERM"


def test_page_and_master_listen_on_this_machine_only(cases: Any) -> None:
    """Neither has a login or encryption, so nobody else may reach them unless asked for."""
    case = cases["master"]
    _open(case)
    ports = {case.web, case.places["port"]}
    listening = {(address, port) for address, port in case.locust.listening() if port in ports}
    assert listening == {("127.0.0.1", port) for port in ports}
    assert "anyone" not in case.locust.log


def _open(case: Any) -> Page:
    page = Page(case.web)
    case.locust.until(page.is_there)
    return page
