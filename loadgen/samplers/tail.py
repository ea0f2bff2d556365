"""The Collector's ``tail_sampling``: a trace is kept when any policy matches it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from loadgen.samplers.policies import AlwaysSample, ErrorStatus, Latency, Policy, Probabilistic
from loadgen.samplers.traces import Bools, Traces


@dataclass(frozen=True, slots=True)
class TailSampler:
    """One tail_sampling processor.

    What it keeps is exact while each trace's spans are all there when its decision falls: no
    trace takes longer than ``decision_wait_s`` to arrive and no more than ``num_traces`` are held.

    Args:
        policies: In configured order.
        decision_wait_s: From a trace's first span to its decision [s].
        num_traces: Traces held; the oldest go undecided when more arrive.
    """

    policies: tuple[Policy, ...]
    decision_wait_s: float = 30.0
    num_traces: int = 50_000

    def keep(self, traces: Traces) -> Bools:
        """Which of n traces pass, bool[n]."""
        none = np.zeros(len(traces.ids), np.bool_)
        return reduce(np.logical_or, (policy.keep(traces) for policy in self.policies), none)

    @property
    def keeps_errors(self) -> bool:
        """Whether every trace with an ERROR is kept for it."""
        return any(isinstance(policy, ErrorStatus) for policy in self.policies)

    @property
    def latency_threshold_ms(self) -> int | None:
        """Traces longer than this are kept for it; None if duration does not matter."""
        return min((policy.threshold_ms for policy in self.policies if isinstance(policy, Latency)), default=None)

    @property
    def random_ratio(self) -> float:
        """The share of traces kept whatever they hold [0-1].

        Policies with one salt share a hash, so the highest percentage counts; other salts are independent.
        """
        if any(isinstance(policy, AlwaysSample) for policy in self.policies):
            return 1.0
        by_salt: dict[str, float] = {}
        for policy in self.policies:
            if isinstance(policy, Probabilistic):
                by_salt[policy.hash_salt] = max(by_salt.get(policy.hash_salt, 0.0), policy.effective_ratio)
        return 1 - float(np.prod([1 - ratio for ratio in by_salt.values()]))

    def expected_ratio(self, matched_ratio: float) -> float:
        """The share of traces kept if the policies on errors and duration match ``matched_ratio`` [0-1]."""
        return 1 - (1 - matched_ratio) * (1 - self.random_ratio)

    def describe(self) -> str:
        """What is kept, in one line."""
        kept = " or ".join(policy.describe() for policy in self.policies)
        return f"{kept or 'nothing'}; decided after {self.decision_wait_s:g} s, {self.num_traces:,} traces held"
