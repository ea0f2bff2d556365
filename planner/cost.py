"""What it costs: bytes at rest, requests to the object store, and compute, by a dated price file.

Prices are list prices of one region; a month has 730 hours. What the sum leaves out is in NOT_COUNTED.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import Any

from planner.at_rest import AtRest
from planner.figures import Range, ends_of, figure, weakest
from planner.records import Basis, Figure
from planner.shipped import Known, Shipped, read_data, read_entries
from planner.text import GIB, number, size, usd

PRICES = "prices-2026-06-17.json"
NOT_COUNTED = (
    "data transfer (between zones, out of the region, from the applications to the Collector)",
    "queries: memory and CPU of searches, and their GET and LIST requests",
    "Prometheus, Loki, Grafana, and the storage of metrics made from traces",
    "spare replicas (N+1), and rounding up to whole machines or task sizes",
    "support, taxes, discounts, savings plans and free tiers",
    "the applications' own cost of creating and sending spans",
    "people",
)


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices of one region at one date."""

    date: str
    region: str
    figures: Mapping[str, Known]
    tiers: tuple[Mapping[str, Any], ...]
    tier_source: str

    def __getitem__(self, name: str) -> float:
        return self.figures[name].value


@cache
def load_prices() -> Prices:
    """The prices that come with this release."""
    raw = json.loads(read_data(PRICES))
    tiers = raw["storage_tiers"]
    cited = f"{tiers['source']}; {tiers['conditions']}"
    return Prices(raw["date"], raw["region"], read_entries(raw["figures"]), tuple(tiers["rows"]), cited)


def bytes_usd(stored_bytes: float, prices: Prices) -> float:
    """Price of so many bytes on the object store for a month, tier by tier."""
    left, start, total = stored_bytes / GIB, 0.0, 0.0
    for tier in prices.tiers:
        end = inf if tier["up_to_gib"] is None else tier["up_to_gib"]
        part = min(left, end - start)
        total, left, start = total + part * tier["usd_per_gib_month"], left - part, end
    return total


def requests_usd(shipped: Shipped, prices: Prices) -> Range:
    """Price of writing blocks for a month: from no merges to as many blocks merged as flushed."""
    blocks = prices["hours_per_month"] * 3600 / shipped["block_duration_s"].value
    puts = blocks * shipped["block_files"].value
    single = puts * prices["put_usd"]
    # Merging two or more at a time rewrites at most as many blocks again, and reads each once.
    merged = single + puts * (prices["put_usd"] + prices["get_usd"])
    return Range((single + merged) / 2, single, merged)


def storage_cost(rest: AtRest, shipped: Shipped, prices: Prices) -> Figure:
    """Object store: bytes at rest and write requests; Tempo's own disk beyond what comes with the task."""
    backend, local = ends_of(rest.backend), ends_of(rest.local)
    stored = Range(*(bytes_usd(end, prices) for end in backend))
    requests = requests_usd(shipped, prices) if backend.high > 0 else Range.exact(0.0)
    free = prices["disk_free_gib"] * GIB
    per_disk_byte = prices["disk_usd_per_gib_h"] * prices["hours_per_month"] / GIB
    disk = Range(*(max(0.0, end - free) * per_disk_byte for end in local))
    working = (
        f"{size(backend.value)} on S3 Standard = {usd(stored.value)}; block writes {usd(requests.value)}; "
        f"{size(local.value)} local disk, {number(prices['disk_free_gib'])} GiB free = {usd(disk.value)}"
    )
    source = f"{rest.backend.source}; {prices.tier_source}, {prices.region}, prices of {prices.date}"
    basis = weakest(rest.backend.basis, Basis.PUBLISHED)
    return figure(stored.plus(requests).plus(disk), "USD/month", basis, source, working)


@dataclass(frozen=True, slots=True)
class Machine:
    """What one component needs: cores and memory [bytes] with their ranges, over all replicas."""

    component: str
    replicas: int
    cores: Range
    memory_bytes: Range
    basis: Basis
    working: str


def compute_cost(machines: Sequence[Machine], prices: Prices) -> Figure:
    """Fargate price of what is provisioned."""
    hours = prices["hours_per_month"]
    per_core, per_byte = prices["vcpu_usd_per_h"] * hours, prices["memory_usd_per_gib_h"] * hours / GIB
    total, parts = Range.exact(0.0), []
    for machine in machines:
        price = machine.cores.times(per_core).plus(machine.memory_bytes.times(per_byte))
        total = total.plus(price)
        cores, memory = number(machine.cores.value), size(machine.memory_bytes.value)
        parts.append(f"{machine.component} {cores} vCPU + {memory} = {usd(price.value)}")
    working = f"{'; '.join(parts)} at {usd(per_core)} a vCPU-month, {usd(per_byte * GIB)} a GiB-month"
    source = f"{prices.figures['vcpu_usd_per_h'].source}, {hours:.0f} h a month; range: of cores and memory"
    basis = weakest(Basis.PUBLISHED, *(machine.basis for machine in machines))
    return figure(total, "USD/month", basis, source, working)


def total_cost(storage: Figure, compute: Figure) -> Figure:
    """Storage and compute together."""
    total = ends_of(storage).plus(ends_of(compute))
    working = f"storage {usd(ends_of(storage).value)} + compute {usd(ends_of(compute).value)}"
    source = f"{storage.source} | {compute.source}"
    return figure(total, "USD/month", weakest(storage.basis, compute.basis), source, working)
