"""The samplers of one Collector pipeline, one behind the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loadgen.samplers.head import HeadSampler
from loadgen.samplers.tail import TailSampler
from loadgen.samplers.traces import Bools, Traces
from loadgen.samplers.tracestate import no_tracestates


class Stage(NamedTuple):
    """A sampler and the name of its component, e.g. ``probabilistic_sampler/x``."""

    component: str
    sampler: HeadSampler | TailSampler


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A traces pipeline: which traces leave it, given those that enter.

    Args:
        name: Its name in the configuration, e.g. ``traces``.
        stages: Its samplers in order.
        processors: All its processors in order, samplers included, as configured.
    """

    name: str = "traces"
    stages: tuple[Stage, ...] = ()
    processors: tuple[str, ...] = ()

    def keep(self, traces: Traces) -> Bools:
        """Which of n traces leave the pipeline, bool[n]; they carry no sampling state when they enter."""
        kept = np.arange(len(traces.ids))
        # A head sampler leaves its threshold in the tracestate, where the next one finds it.
        states = no_tracestates(len(kept))
        for _, sampler in self.stages:
            left = traces.take(kept)
            if isinstance(sampler, HeadSampler):
                passed, states = sampler.decide(left.ids, states)
            else:
                passed = sampler.keep(left)
            kept, states = kept[passed], states.take(passed)
        inside = np.zeros(len(traces.ids), np.bool_)
        inside[kept] = True
        return inside

    @property
    def heads(self) -> tuple[HeadSampler, ...]:
        """Its head samplers in order."""
        return tuple(sampler for _, sampler in self.stages if isinstance(sampler, HeadSampler))

    @property
    def tails(self) -> tuple[TailSampler, ...]:
        """Its tail samplers in order."""
        return tuple(sampler for _, sampler in self.stages if isinstance(sampler, TailSampler))

    @property
    def configured_ratio(self) -> float | None:
        """The share asked for: one head sampler's percentage, 1 without any sampler, else None [0-1]."""
        return _of_one(self, "configured_ratio")

    @property
    def effective_ratio(self) -> float | None:
        """The share of uniformly random ids kept: one head sampler's, 1 without any sampler.

        None where it depends on the traces (tail sampling) or on two samplers in series.
        """
        return _of_one(self, "effective_ratio")

    def describe(self) -> list[str]:
        """A line for each sampler."""
        lines = [f"{component}: {sampler.describe()}" for component, sampler in self.stages]
        return lines or [f"{self.name}: no sampler; every trace is kept"]


def _of_one(pipeline: Pipeline, ratio: str) -> float | None:
    if not pipeline.stages:
        return 1.0
    if len(pipeline.stages) > 1 or not pipeline.heads:
        return None
    return float(getattr(pipeline.heads[0], ratio))
