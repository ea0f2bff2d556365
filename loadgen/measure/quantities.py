"""What a metrics page says, in this product's own quantities and units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from loadgen.measure.names import COLLECTOR, QUANTITIES, Pairs, Quantity, System
from loadgen.measure.page import Page, Sample

SINK_MARK = "honua_sink_info"  # the embedded stack shows both systems' names, and this one


class Reading(NamedTuple):
    """One value of one quantity."""

    quantity: Quantity
    labels: Mapping[str, str]
    value: float


def quantity(system: System, name: str) -> Quantity:
    """The quantity of that name; KeyError where ``system`` has none."""
    return {q.name: q for q in QUANTITIES[system]}[name]


def _counts(sample: Sample, where: Pairs) -> bool:
    found = ((sample.labels.get(label, wanted), wanted) for label, wanted in where)
    return all(value == wanted or value.startswith(f"{wanted}/") for value, wanted in found)


def _samples(page: Page, wanted: Quantity) -> Iterable[Sample]:
    shown = next((name for name in wanted.metrics if name in page), None)
    return (s for s in page.find(shown) if _counts(s, wanted.where)) if shown else ()


def _read(page: Page, wanted: Quantity) -> Iterator[Reading]:
    totals: dict[Pairs, float] = {}
    for sample in _samples(page, wanted):
        key = tuple((label, sample.labels[label]) for label in wanted.by if label in sample.labels)
        totals[key] = totals.get(key, 0.0) + sample.value
    if not totals and wanted.absent is not None:
        totals[()] = wanted.absent
    yield from (Reading(wanted, dict(key), value) for key, value in totals.items())


def read(page: Page, system: System) -> list[Reading]:
    """Every quantity of ``system`` on ``page``, split by its labels; absent counters read 0."""
    return [reading for wanted in QUANTITIES[system] for reading in _read(page, wanted)]


def read_quantities(page: Page, system: System) -> dict[str, float]:
    """Every quantity of ``system`` on ``page`` by name, summed over its labels.

    A quantity whose absence means unknown, such as the memory of a process, is left out.
    """
    totals: dict[str, float] = {}
    for reading in read(page, system):
        totals[reading.quantity.name] = totals.get(reading.quantity.name, 0.0) + reading.value
    return totals


def identify(page: Page) -> Literal["collector", "tempo", "sink"] | None:
    """Whose page it is, by the names on it; None where it is neither system's."""
    if SINK_MARK in page:
        return "sink"
    if any(name.startswith("otelcol_") for name in page.by_name):
        return "collector"
    return "tempo" if any(name.startswith(("tempo_", "tempodb_")) for name in page.by_name) else None


def read_version(page: Page) -> str | None:
    """The release the page names; None where it names none, as builds without a stamp do."""
    label = {"collector": "service_version", "tempo": "version", "sink": "version"}
    names = {
        "collector": ("target_info", *COLLECTOR[0].metrics),
        "tempo": ("tempo_build_info",),
        "sink": (SINK_MARK,),
    }
    system = identify(page)
    if system is None:
        return None
    found = (s.labels.get(label[system], "") for name in names[system] for s in page.find(name))
    return next((version for version in found if version), None)
