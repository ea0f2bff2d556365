"""A Prometheus text page as an immutable table of samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from loadgen.errors import RemoteError


class Sample(NamedTuple):
    """One line of a page: labels and value, under the name the page itself uses."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Page:
    """Every finite sample of one scrape but the histogram buckets, by metric name.

    ``refused`` holds the lines that were no samples; a page may be read in spite of them.
    """

    by_name: Mapping[str, tuple[Sample, ...]]
    refused: tuple[str, ...] = ()

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    def find(self, name: str, /, **labels: str) -> tuple[Sample, ...]:
        """The samples of ``name`` whose labels include those given."""
        found = self.by_name.get(name, ())
        return tuple(s for s in found if labels.items() <= s.labels.items())

    def total(self, name: str, /, **labels: str) -> float:
        """The sum over :meth:`find`; 0 where there is none.

        Both systems show a counter only once it has counted something, so absent means 0.
        """
        return sum((s.value for s in self.find(name, **labels)), 0.0)


def _parse_line(line: str) -> tuple[str, Sample] | None:
    # A line alone carries no TYPE, so client_python leaves counter names as the page spells them;
    # besides, one bad line cannot take the page with it. IndexError: it trips over '{, =a'.
    try:
        name, labels, value, *_ = next(iter(text_string_to_metric_families(line))).samples[0]
        return name, Sample(MappingProxyType(labels), float(value))
    except (ValueError, IndexError, OverflowError):
        return None


def _sample_lines(text: str) -> Iterable[str]:
    # Buckets are three quarters of Tempo's page and its parse time, and no quantity is made of them.
    lines = (line.strip() for line in text.split("\n"))
    return (line for line in lines if line and line[0] != "#" and "_bucket{" not in line)


def _describe(text: str) -> str:
    words = " ".join(text.split())
    return f"an answer that begins {words[:60]!r}" if words else "an empty answer"


def parse_page(text: str, place: str) -> Page:
    """The page that ``text`` is.

    Raises:
        RemoteError: More lines are nonsense than are samples, as in HTML or JSON, or none is a sample.
    """
    by_name: dict[str, list[Sample]] = {}
    # A last line without its line feed was cut short: its number may lack digits.
    whole, _, cut = text.rpartition("\n")
    refused = [cut] if cut.strip() else []
    for line in _sample_lines(whole):
        parsed = _parse_line(line)
        if parsed is None:
            refused.append(line)
        elif isfinite(parsed[1].value):
            by_name.setdefault(parsed[0], []).append(parsed[1])
    if not by_name or len(refused) > sum(map(len, by_name.values())):
        raise RemoteError(place, _describe(text), "a Prometheus text page")
    frozen = {name: tuple(samples) for name, samples in by_name.items()}
    return Page(MappingProxyType(frozen), tuple(refused))
