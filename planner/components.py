"""Tempo beyond one process: component sizes as published, with their full range.

The page gives replicas and memory per received MB/s, and leaves the CPU of queriers and frontends open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import Any

from planner.cost import Machine
from planner.figures import Range, figure
from planner.records import Basis, Figure, Setting
from planner.shipped import Shipped
from planner.text import byte_rate, number, size


def over_ceiling(bytes_per_s: float, spans_per_s: float, shipped: Shipped) -> bool:
    """Whether the rates exceed what is documented for a monolithic Tempo, at its lower end."""
    limits = shipped["monolithic_bytes_per_s"].value, shipped["monolithic_spans_per_s"].value
    return bytes_per_s > limits[0] or spans_per_s > limits[1]


def _replicas(row: Mapping[str, Any], bytes_per_s: float) -> Range:
    low, high = row["bytes_per_s_low"], row["bytes_per_s_high"]
    if not high:
        return Range.exact(float(row["replicas"]))
    return Range(*(float(max(1, ceil(bytes_per_s / each))) for each in (sqrt(low * high), high, low)))


def component_machines(bytes_per_s: float, shipped: Shipped) -> tuple[Machine, ...]:
    """Every component at this rate; the central memory is the geometric mean of the published ends."""
    return tuple(_machine(row, bytes_per_s) for row in shipped.series["tempo_components"].rows)


def _machine(row: Mapping[str, Any], bytes_per_s: float) -> Machine:
    replicas = _replicas(row, bytes_per_s)
    low, high = float(row["memory_low_bytes"]), float(row["memory_high_bytes"])
    each = Range(sqrt(low * high), low, high)
    cores = "CPU not published" if row["cores"] is None else f"{number(row['cores'])} cores"
    return Machine(
        component=f"Tempo {row['component']}",
        replicas=int(replicas.value),
        cores=replicas.times(float(row["cores"] or 0)),
        memory_bytes=replicas.times(each),
        basis=Basis.PUBLISHED,
        working=f"published for {byte_rate(bytes_per_s)}: {number(replicas.low)} to {number(replicas.high)} "
        f"replicas, {cores} and {size(low)} to {size(high)} each",
    )


def components_total(machines: Sequence[Machine], shipped: Shipped) -> tuple[Figure, Figure]:
    """Memory and CPU of all components together."""
    cited = f"{shipped.series['tempo_components'].cited}; range: ends of the published table"
    memory, cores = Range.exact(0.0), Range.exact(0.0)
    for machine in machines:
        memory, cores = memory.plus(machine.memory_bytes), cores.plus(machine.cores)
    parts = " + ".join(f"{m.replicas} x {m.component.removeprefix('Tempo ')}" for m in machines)
    return (
        figure(memory, "bytes", Basis.PUBLISHED, cited, f"{parts}; geometric mean of the published ends"),
        figure(cores, "cores", Basis.PUBLISHED, cited, f"{parts}; without queriers and frontends"),
    )


def component_settings(machines: Sequence[Machine]) -> tuple[Setting, ...]:
    """What to set for each component: the published CPU, the central memory as request, the high one as limit."""
    return tuple(
        Setting(
            component=machine.component,
            replicas=machine.replicas,
            cpu_request_cores=machine.cores.value / machine.replicas,
            memory_request_bytes=ceil(machine.memory_bytes.value / machine.replicas),
            memory_limit_bytes=ceil(machine.memory_bytes.high / machine.replicas),
            working=machine.working,
        )
        for machine in machines
    )
