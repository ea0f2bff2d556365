"""One sampling choice worked out: what arrives where, and what every component needs for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from planner.collector_memory import (
    Base,
    Collectors,
    collector_memory,
    held_s,
    measured_base,
    shipped_base,
)
from planner.components import component_machines, component_settings, components_total, over_ceiling
from planner.cost import Machine, Prices
from planner.cpu import CollectorCpu, TempoCpu, collector_cores, collector_costs, fit_cpu, tempo_cores
from planner.evidence import Evidence, Observed
from planner.figures import Range, ends_of, figure
from planner.load import Load, tempo_load
from planner.memory import TempoMemory, fit_memory, tempo_memory
from planner.records import Basis, Figure, Setting
from planner.sampling import Kept, Sampling, error_wait, kept, rate_halfwidth
from planner.shape import TraceShape
from planner.shipped import Shipped
from planner.storage import stored_per_day, stored_per_span
from planner.text import number, size
from planner.traffic import Traffic

REPLICA_CORES = 4.0  # a Collector replica gets no more; beyond it there are several


@dataclass(frozen=True, slots=True)
class Models:
    """Everything a plan calculates with, fitted once."""

    shape: TraceShape
    shipped: Shipped
    prices: Prices
    memory: TempoMemory
    cpu: TempoCpu
    collector: CollectorCpu
    base: Base
    per_span: Figure

    @property
    def headroom(self) -> float:
        """Provisioned over expected."""
        return self.shipped["headroom"].value


def fit_models(shape: TraceShape, shipped: Shipped, prices: Prices, evidence: Evidence | None) -> Models:
    """The shipped models, moved onto what a run of one's own measured."""
    memory, cpu, base = fit_memory(shipped), fit_cpu(shipped), shipped_base(shipped)
    if evidence and evidence.tempo:
        load = _load_of(evidence.tempo, shape, shipped)
        tempo = evidence.tempo
        memory = memory.anchored(load, tempo.rss_median_bytes, tempo.rss_max_bytes, tempo.source)
        if evidence.tempo.cores:
            cpu = cpu.anchored(load, evidence.tempo.cores, evidence.tempo.source)
    if evidence and evidence.collector:
        base = measured_base(evidence.collector, shipped)
    per_span = stored_per_span(shape, shipped, evidence.stored if evidence else None)
    return Models(shape, shipped, prices, memory, cpu, collector_costs(shipped), base, per_span)


def _load_of(observed: Observed, shape: TraceShape, shipped: Shipped) -> Load:
    return tempo_load(shape, observed.spans_per_s / shape.spans_per_trace, shipped)


@dataclass(frozen=True, slots=True)
class Sized:
    """What one sampling choice needs, whatever the retention.

    Attributes:
        sampling: The choice.
        keeps: What it keeps.
        load: Tempo's load at the peak.
        figures: The choice's figures that do not depend on retention.
        machines: What to provision, for the price.
        settings: What to set.
        monolithic: Whether one Tempo process carries the peak by its documentation.
    """

    sampling: Sampling
    keeps: Kept
    load: Load
    figures: Mapping[str, Figure]
    machines: tuple[Machine, ...]
    settings: tuple[Setting, ...]
    monolithic: bool

    def replicas(self, component: str) -> int:
        """Replicas of a component; 1 where it is not a component of its own."""
        return next((s.replicas for s in self.settings if s.component == component), 1)


def size_sampling(models: Models, traffic: Traffic, sampling: Sampling) -> Sized:
    """What ``sampling`` needs at this traffic: storage at the mean rate, memory and CPU at the peak."""
    keeps = kept(sampling, models.shape)
    rates = _kept_figures(keeps, traffic)
    peak_traces = traffic.peak.traces_per_s.value
    load = tempo_load(models.shape, peak_traces * keeps.ratio.value, models.shipped)
    monolithic = not over_ceiling(load.megabytes_per_s * 1e6, load.spans_per_s, models.shipped)
    tempo, tempo_machines, tempo_settings = (_one_tempo if monolithic else _many_tempos)(models, load)
    collector, machine, setting = _collectors(models, traffic.peak, sampling, keeps)
    mean_traces = traffic.traces_per_s.value
    hidden = {
        "error_wait_s": error_wait(sampling, keeps, mean_traces, held_s(models.shipped)),
        "error_rate_halfwidth_ratio": rate_halfwidth(sampling, keeps, models.shape, mean_traces),
    }
    per_day = stored_per_day(ends_of(rates["kept_spans_per_s"]), models.per_span)
    figures = rates | {"stored_bytes_per_day": per_day} | collector | tempo | hidden
    machines = (machine, *tempo_machines)
    return Sized(sampling, keeps, load, figures, machines, (setting, *tempo_settings), monolithic)


def _kept_figures(keeps: Kept, traffic: Traffic) -> dict[str, Figure]:
    share = number(keeps.ratio.value, 6)
    traces, spans = traffic.traces_per_s, traffic.spans_per_s
    by_traces = f"{number(traces.value)} traces/s x {share}"
    by_spans = f"{number(spans.value)} spans/s x {share}; kept traces taken to be as large as the others"
    basis, source = Basis.COMPUTED, keeps.source
    return {
        "kept_ratio": figure(keeps.ratio, "ratio", basis, source, keeps.working),
        "kept_traces_per_s": figure(traces.times(keeps.ratio), "traces/s", basis, source, by_traces),
        "kept_spans_per_s": figure(spans.times(keeps.ratio), "spans/s", basis, source, by_spans),
    }


def provisioned(needed: Range, headroom: float) -> Range:
    """Memory to provision: ``headroom`` times what is expected, and no less than the high end."""
    value = max(needed.value * headroom, needed.high)
    return Range(value, needed.low * headroom, needed.high * headroom)


def _setting(machine: Machine, request_bytes: float) -> Setting:
    return Setting(
        component=machine.component,
        replicas=machine.replicas,
        cpu_request_cores=machine.cores.value / machine.replicas,
        memory_request_bytes=ceil(request_bytes / machine.replicas),
        memory_limit_bytes=ceil(machine.memory_bytes.value / machine.replicas),
        working=machine.working,
    )


def _machine(models: Models, component: str, replicas: int, memory: Figure, cores: Figure, note: str) -> Machine:
    headroom, needed, used = models.headroom, ends_of(memory), ends_of(cores)
    limit, least = provisioned(needed, headroom), models.shipped["least_cores"].value
    working = (
        f"CPU {number(used.value)} cores x headroom {number(headroom)}, at least {number(least)}; "
        f"memory limit: the larger of "
        f"{size(needed.value)} x {number(headroom)} and the high end {size(needed.high)}; {note}"
    )
    basis = max((memory.basis, cores.basis), key=lambda basis: basis is Basis.EXTRAPOLATED)
    return Machine(component, replicas, used.times(headroom).at_least(least), limit, basis, working)


def _one_tempo(models: Models, load: Load) -> tuple[dict[str, Figure], tuple[Machine, ...], tuple[Setting, ...]]:
    median, peak = tempo_memory(models.memory, load)
    cores = tempo_cores(models.cpu, load)
    note = "one process (target=all runs once only); GOMEMLIMIT at 80 to 90 % of the memory limit"
    machine = _machine(models, "Tempo", 1, peak, cores, note)
    figures = {"tempo_rss_bytes": peak, "tempo_rss_median_bytes": median, "tempo_cores": cores}
    return figures, (machine,), (_setting(machine, ends_of(peak).value),)


def _many_tempos(models: Models, load: Load) -> tuple[dict[str, Figure], tuple[Machine, ...], tuple[Setting, ...]]:
    machines = component_machines(load.megabytes_per_s * 1e6, models.shipped)
    memory, cores = components_total(machines, models.shipped)
    return {"tempo_rss_bytes": memory, "tempo_cores": cores}, machines, component_settings(machines)


def _collectors(
    models: Models, peak: Traffic, sampling: Sampling, keeps: Kept
) -> tuple[dict[str, Figure], Machine, Setting]:
    tail, spans = sampling.kind == "tail", peak.spans_per_s
    cores = collector_cores(models.collector, spans.value, spans.times(keeps.ratio), tail=tail)
    replicas = max(1, ceil(ends_of(cores).value * models.headroom / REPLICA_CORES))
    how = Collectors(replicas, tail)
    memory = collector_memory(models.shape, peak.traces_per_s.value, models.shipped, how, models.base)
    note = f"at most {number(REPLICA_CORES)} cores a replica"
    if tail and replicas > 1:
        note += "; a tier with the loadbalancing exporter (by trace id) must stand before them"
    machine = _machine(models, "Collector", replicas, memory, cores, note)
    figures = {"collector_rss_bytes": memory, "collector_cores": cores}
    return figures, machine, _setting(machine, ends_of(memory).value)
