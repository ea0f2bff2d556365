"""A realistic plan, and what must hold for every page."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from planner.records import Basis, Choice, Curve, Doubt, Figure, Hop, Limit, Plan, Point, Setting

SPANS, BYTES_PER_SPAN, STORED = 46.02, 331.4, 57.5
TRACES_PER_S = 1000.0
GIB, MIB, DAY = 1024**3, 1024**2, 86400.0
SAMPLINGS = (
    ("everything", "none", 1.0, 1.0),
    ("head 50 %", "head", 0.5, 8191 / 16384),
    ("head 10 %", "head", 0.1, 1638 / 16384),
    ("head 5 %", "head", 0.05, 819 / 16384),
    ("head 1 %", "head", 0.01, 163 / 16384),
    ("tail: errors, > 1 s, 5 % of the rest", "tail", 0.05, 0.0731),
)
RETENTIONS_D = (1, 7, 30, 90)
MEASURED = "Tempo v3.0.3, monolithic, local storage, 2 cores; 90 % prediction interval of 8 runs"


def figure(
    value: float | None, unit: str, basis: Basis, working: str, spread: float = 0.0, source: str = "arithmetic"
) -> Figure:
    if value is None:
        return Figure(
            value=None, low=None, high=None, unit=unit, basis=basis, source=source, working="", reason=working
        )
    ends = (value * (1 - spread), value * (1 + spread))
    return Figure(value=value, low=ends[0], high=ends[1], unit=unit, basis=basis, source=source, working=working)


def choice(name: str, kind: str, configured: float, kept: float, days: int) -> Choice:
    spans = TRACES_PER_S * SPANS * kept
    per_day = spans * STORED * DAY
    storage_usd = per_day * days / 1e9 * 0.023
    outside = spans > 16000
    tempo = Basis.EXTRAPOLATED if outside else Basis.MEASURED
    tail = kind == "tail"
    collector = (0.09 + 11 * SPANS * 1186 * 1000 / GIB * 1.65 if tail else 0.09) * GIB
    rss = (160 + 23 * spans / 1000) * MIB
    cores = 31e-6 * spans + 0.01
    compute = (cores + 0.8) * 29.55 + (rss + 2 * collector) / GIB * 3.24
    computed = Basis.COMPUTED
    return Choice(
        sampling=name,
        sampling_kind=kind,
        configured_ratio=configured,
        retention_s=days * DAY,
        figures={
            "kept_ratio": figure(kept, "ratio", computed, f"floor({configured:g} x 16384) / 16384 = {kept:.7f}"),
            "kept_traces_per_s": figure(TRACES_PER_S * kept, "traces/s", computed, f"1000 x {kept:.7f}"),
            "kept_spans_per_s": figure(spans, "spans/s", computed, f"1000 x 46.02 x {kept:.7f} = {spans:.1f}"),
            "stored_bytes_per_day": figure(
                per_day, "bytes/day", Basis.PUBLISHED, f"{spans:.1f} x 57.5 x 86400", 0.12, "57.5 B a span, vParquet5"
            ),
            "at_rest_bytes": figure(
                per_day * days, "bytes", Basis.PUBLISHED, f"{per_day:.0f} x {days} d", 0.14, "57.5 B a span, vParquet5"
            ),
            "collector_rss_bytes": figure(collector, "bytes", Basis.MEASURED, "90 MiB + tail state", 0.18, MEASURED),
            "collector_cores": figure(0.34, "cores", Basis.MEASURED, "46020 x 7.4e-6", 0.2, MEASURED),
            "tempo_rss_bytes": figure(
                rss, "bytes", tempo, f"160 MiB + 23 MiB x {spans / 1000:.2f}", 0.55 if outside else 0.21, MEASURED
            ),
            "tempo_cores": figure(cores, "cores", tempo, f"31e-6 x {spans:.1f} + 0.01", 0.3, MEASURED),
            "storage_usd_per_month": figure(
                storage_usd,
                "USD/month",
                Basis.PUBLISHED,
                f"{per_day * days / 1e9:.1f} GB x 0.023",
                0.14,
                "S3 list price",
            ),
            "compute_usd_per_month": figure(
                compute, "USD/month", Basis.PUBLISHED, "cores x 29.55 + GiB x 3.24", 0.2, "Fargate list price, x86"
            ),
            "cost_usd_per_month": figure(
                storage_usd + compute, "USD/month", Basis.PUBLISHED, "storage + compute", 0.18, "list prices"
            ),
            "error_wait_s": figure(
                1 / (TRACES_PER_S * 1e-4 * (1 if tail else kept)), "s", computed, "1 / (1000 x 1/10000 x kept ratio)"
            ),
            "error_rate_halfwidth_ratio": figure(
                None if tail else 1.96 * ((1 - kept * 0.001) / (300 * kept)) ** 0.5,
                "ratio",
                computed,
                "weights differ between policies; not derived yet" if tail else f"1.96 / sqrt(300 x {kept:.5f})",
            ),
        },
    )


def curve(name: str, y_unit: str, slope: float, base: float, top: float) -> Curve:
    x = tuple(top * i / 40 for i in range(41))
    y = tuple(base + slope * at for at in x)
    rates = tuple(share * top for share in (0.05, 0.1, 0.2, 0.2, 0.4, 0.8))
    wobble = (1.06, 0.95, 0.97, 1.01, 1.02, 0.99)
    return Curve(
        name=name,
        x_unit="spans/s",
        y_unit=y_unit,
        x=x,
        y=y,
        low=tuple(v * 0.79 for v in y),
        high=tuple(v * 1.21 for v in y),
        points=tuple(
            Point(x=r, y=(base + slope * r) * w, label=f"run {i}")
            for i, (r, w) in enumerate(zip(rates, wobble, strict=True), 1)
        ),
        valid_from=1000,
        valid_to=0.8 * top,
    )


def hop(place: str, traces: float, bytes_per_span: float, note: str) -> Hop:
    spans = traces * SPANS
    return Hop(place=place, traces_per_s=traces, spans_per_s=spans, bytes_per_s=spans * bytes_per_span, note=note)


def sample_plan() -> Plan:
    kept = 1638 / 16384 * TRACES_PER_S
    return Plan(
        first_line="checkout: 46.0 spans a trace, 331 B a span; 1,000 traces/s = 46,020 spans/s = 15.3 MB/s",
        verdict=(
            "1,000 traces/s of checkout with 10 % head sampling and 7 days of retention need two Collectors of "
            "0.5 cores and 512 MiB and one Tempo of 1 core and 1 GiB, for about $33 a month."
        ),
        traffic={
            "traces_per_s": figure(TRACES_PER_S, "traces/s", Basis.ASSUMED, "1000rps as given, taken as the mean"),
            "spans_per_s": figure(TRACES_PER_S * SPANS, "spans/s", Basis.COMPUTED, "1000 x 46.02"),
            "bytes_per_s": figure(46020 * BYTES_PER_SPAN, "bytes/s", Basis.COMPUTED, "46020 x 331.4"),
            "peak_ratio": figure(1.0, "ratio", Basis.ASSUMED, "no peak factor given"),
        },
        shape={
            "spans_per_trace": figure(
                SPANS, "", Basis.COMPUTED, "mean of 2,000 traces, seed 1", 0.006, "checkout.yaml"
            ),
            "wire_bytes_per_span": figure(
                BYTES_PER_SPAN, "bytes", Basis.COMPUTED, "OTLP protobuf, uncompressed", 0.0, "checkout.yaml"
            ),
        },
        choices=tuple(choice(*sampling, days) for sampling in SAMPLINGS for days in RETENTIONS_D),
        recommended=9,
        path=(
            hop("Applications", TRACES_PER_S, BYTES_PER_SPAN, "OTLP/HTTP protobuf, uncompressed"),
            hop("Collector receives", TRACES_PER_S, BYTES_PER_SPAN, "before sampling, all replicas together"),
            hop("Collector exports", kept, BYTES_PER_SPAN, "after head sampling: 9.99756 %, not 10 %"),
            hop("Tempo receives", kept, BYTES_PER_SPAN, "the metrics-generator sees only these"),
            hop("Storage", kept, STORED, "vParquet5 blocks, compacted"),
        ),
        limits=(
            Limit(
                name="max_traces_per_user",
                component="Tempo",
                limit=10000,
                expected=1000,
                unit="traces",
                remedy="raise overrides.defaults.ingestion.max_traces_per_user",
                source="Tempo v3.0.3 default",
            ),
            Limit(
                name="rate_limit_bytes",
                component="Tempo",
                limit=15e6,
                expected=1.525e6,
                unit="bytes/s",
                remedy="raise overrides.defaults.ingestion.rate_limit_bytes",
                source="Tempo v3.0.3 default",
            ),
            Limit(
                name="sending queue",
                component="Collector",
                limit=1000,
                expected=1180,
                unit="requests",
                remedy="set sending_queue.sizer to items and queue_size to 200000",
                source="Collector v0.161.0 default, for a 10 min outage of Tempo",
            ),
        ),
        settings=(
            Setting(
                component="Collector",
                replicas=2,
                cpu_request_cores=0.5,
                memory_request_bytes=256 * MIB,
                memory_limit_bytes=512 * MIB,
                working="0.34 cores / 0.7 = 0.49; 107 MiB / 0.5 = 214 MiB; N+1",
            ),
            Setting(
                component="Tempo, monolithic",
                replicas=1,
                cpu_request_cores=1,
                memory_request_bytes=512 * MIB,
                memory_limit_bytes=GIB,
                working="0.15 cores; 321 MiB median, peak up to 2 x",
            ),
        ),
        doubts=(
            Doubt(
                what="Tempo's peak memory was measured for two minutes",
                effect="compaction of large blocks may add up to 0.5 GiB",
                remedy="run honua-load for an hour at this rate and plan from it",
            ),
            Doubt(
                what="No search load is in the figures",
                effect="queries can need several times the memory of ingest",
                remedy="give --queries",
            ),
            Doubt(
                what="1,000 traces/s is taken as a mean",
                effect="a daily peak of 3 x triples CPU and memory, not storage",
                remedy="give --peak",
            ),
            Doubt(what="One price region", effect="up to 30 %", remedy="give --prices"),
        ),
        curves=(
            curve("Tempo memory (RSS)", "bytes", 23 * MIB / 1000, 160 * MIB, 20000),
            curve("Tempo CPU", "cores", 31e-6, 0.01, 20000),
            curve("Collector memory (RSS)", "bytes", 0.4 * MIB / 1000, 72 * MIB, 60000),
            curve("Collector CPU", "cores", 7.4e-6, 0.0, 60000),
            curve("Stored per day", "bytes/day", STORED * DAY, 0.0, 20000),
        ),
        assumptions=("A month has 730 hours.", "Whole traces reach the Collector within decision_wait."),
        not_counted=(
            "network transfer between zones",
            "object requests",
            "Grafana, Prometheus and Loki",
            "support, taxes",
        ),
        circumstances={
            "command": "honua-plan --traffic 1000rps --out sizing.html",
            "versions": "honua 0.1.0, Tempo v3.0.3, Collector v0.161.0",
            "prices": "us-east-1, list, on demand, read 2026-09-20",
            "calibration": "shipped, 2026-08",
            "created": "2026-11-23 12:00:00 UTC",
        },
    )


@pytest.fixture
def plan() -> Plan:
    return sample_plan()


VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr"}
LOADING = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("use", "href"), ("object", "data")}


class Page(HTMLParser):
    """What a page consists of: ids, links, things it would load, its text, and where its tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html, self.open, self.faults = html, list[str](), list[str]()
        self.ids, self.links, self.loads, self.texts = list[str](), list[str](), list[str](), list[str]()
        self.tags: dict[str, int] = {}
        self.feed(html)
        self.close()
        self.faults += [f"never closed: {tag}" for tag in self.open]

    @property
    def text(self) -> str:
        """What a reader reads, blanks collapsed."""
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids, links and what would be loaded, and remember the tag."""
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids, links and what would be loaded."""
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for key, value in attrs:
            if key == "id":
                self.ids.append(value or "")
            if tag == "a" and key == "href":
                self.links.append(value or "")
            if (tag, key) in LOADING:
                self.loads.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        """The last opened tag must be the closed one."""
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        """Collect what is shown."""
        if not {"style", "title", "desc"} & set(self.open[-1:]):
            self.texts.append(data)


@pytest.fixture
def parse() -> Callable[[str], Page]:
    return Page


def check_page(html: str) -> Page:
    """The page, after what must hold for every page: well-formed, self-contained, links resolve, small."""
    page = Page(html)
    assert page.faults == []
    assert [link for link in page.links if link[:1] != "#"] == []
    assert sorted({link[1:] for link in page.links} - set(page.ids)) == []
    assert len(page.ids) == len(set(page.ids))
    assert [place for place in page.loads if not place.startswith(("#", "data:,"))] == []
    assert not re.search(r"url\((?!#)|@import|<script", html)
    assert len(html.encode()) < 1_500_000
    return page


@pytest.fixture
def check() -> Callable[[str], Page]:
    return check_page


@pytest.fixture
def gold(tmp_path: Path) -> Callable[[str, str], None]:
    """Compares a page to the one last accepted; ``HONUA_ACCEPT=1 pytest tests/reports`` accepts what it is now.

    Nothing in a page varies, so nothing is scrubbed.
    """

    def compare(name: str, page: str) -> None:
        accepted, now = Path(__file__).parents[1] / "gold" / name, tmp_path / name
        now.write_text(page, encoding="utf-8", newline="\n")
        if os.environ.get("HONUA_ACCEPT") == "1":
            accepted.write_text(page, encoding="utf-8", newline="\n")
        same = accepted.is_file() and accepted.read_text(encoding="utf-8") == page
        assert same, f"{accepted} is not what {now} is now; look at it, then accept it with HONUA_ACCEPT=1"

    return compare
