import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from loadgen.errors import RemoteError
from loadgen.measure.page import Page, parse_page

DATA = Path(__file__).parents[1] / "data"
PAGES = ["metrics-collector-v0.161.0.txt.gz", "metrics-tempo-v3.0.3.txt.gz"]


def real_page(name: str) -> str:
    return gzip.decompress((DATA / name).read_bytes()).decode()


def parse(text: str) -> Page:
    return parse_page(text, "http://here/metrics")


def test_total_adds_what_the_labels_leave() -> None:
    """A total is the sum over all samples whose labels include those asked for."""
    page = parse('a{x="1",y="1"} 1\na{x="1",y="2"} 2.5\na{x="2",y="1"} 4\n')

    assert (
        page.total("a"),
        page.total("a", x="1"),
        page.total("a", y="1"),
        page.total("a", x="2", y="1"),
    ) == (7.5, 3.5, 5.0, 4.0)


def test_absent_is_zero() -> None:
    """A counter that has counted nothing is not on the page, and reads 0."""
    page = parse("a 1\n")

    assert (page.total("b"), page.total("a", x="1"), "b" in page, "a" in page) == (0.0, 0.0, False, True)


def test_label_called_name() -> None:
    """No label name clashes with an argument."""
    page = parse('a{name="n",self="s"} 3\n')

    assert page.total("a", name="n", self="s") == 3.0


def test_counter_names_are_those_of_the_page() -> None:
    """A counter without _total keeps its name: the Collector writes both kinds."""
    page = parse("# TYPE a counter\na 1\n# TYPE b_total counter\nb_total 2\n")

    assert list(page.by_name) == ["a", "b_total"]


def test_one_bad_line_costs_one_line() -> None:
    """What the parser refuses is kept aside; the rest is read."""
    page = parse('a 1\nb{x="1" 2\nc 3\n# TYPE 0 nonsense\nd{x="\\"}"} 4\ne one\n')

    assert (list(page.by_name), page.refused) == (["a", "c", "d"], ('b{x="1" 2', "e one"))


def test_line_without_line_feed_is_not_believed() -> None:
    """A page cut short ends within a number: 48 of 480000."""
    page = parse("a 1\nspans 48")

    assert (list(page.by_name), page.refused) == (["a"], ("spans 48",))


def test_values_that_are_no_numbers_are_left_out() -> None:
    """NaN and infinities carry no count and would spoil every sum."""
    page = parse("a NaN\nb +Inf\nc -Inf\nd 1\n")

    assert list(page.by_name) == ["d"]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", "an empty answer"),
        ("\n \n", "an empty answer"),
        (
            "<html>\n<head><title>Sign in</title></head>\n</html>\n",
            "'<html> <head><title>Sign in</title></head> </html>'",
        ),
        ('{"status":"ok"}\n', '\'{"status":"ok"}\''),
        ("404 page not found\n", "'404 page not found'"),
        ("# HELP only comments\n", "'# HELP only comments'"),
        ("\x00\xff\x7fELF\n", "'\\x00ÿ\\x7fELF'"),
    ],
)
def test_nonsense_is_named(text: str, seen: str) -> None:
    """What is no metrics page is refused, naming the place and what was seen there."""
    with pytest.raises(RemoteError) as caught:
        parse(text)

    assert "http://here/metrics: " in str(caught.value)
    assert seen in caught.value.seen
    assert caught.value.expected == "a Prometheus text page"


@given(st.text(alphabet='ab_{}="\\, #1.e+N\t\n', max_size=60))
def test_any_text_is_a_page_or_refused(text: str) -> None:
    """No text makes the parser fail in another way."""
    try:
        page = parse(text)
    except RemoteError:
        return

    assert page.by_name


def test_page_cannot_be_changed() -> None:
    """A page is what was scraped, and stays so."""
    page = parse('a{x="1"} 1\n')

    with pytest.raises(TypeError):
        page.by_name["a"] = ()  # type: ignore[index]
    with pytest.raises(TypeError):
        page.by_name["a"][0].labels["x"] = "2"  # type: ignore[index]


@pytest.mark.parametrize("name", PAGES)
def test_agrees_with_client_python(name: str) -> None:
    """On real pages every finite sample but the buckets is what client_python reads from the whole page."""
    text = real_page(name)
    whole = {
        (sample.name.removesuffix("_total"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket") and sample.value == sample.value
    }
    page = parse(text)
    found = {
        (name.removesuffix("_total"), tuple(sorted(sample.labels.items()))): sample.value
        for name, samples in page.by_name.items()
        for sample in samples
    }

    assert whole == found
    assert page.refused == ()
