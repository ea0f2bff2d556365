"""What an audit found, as records that a report can print and a run file can keep."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

EXAMPLES = 5


class Amount(NamedTuple):
    """So many traces with so many spans together."""

    traces: int
    spans: int


class Finding(NamedTuple):
    """One way in which what arrived differs from what should have.

    Args:
        name: ``missing``, ``unexpected``, ``contradicting``, ``incomplete``, ``duplicated`` or ``foreign``.
        traces: How many.
        spans: Spans lost or too many.
        examples: Up to five trace ids, hexadecimal.
        causes: Likely causes, the likeliest first; none where nothing was found.
    """

    name: str
    traces: int
    spans: int
    examples: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()


class Share(NamedTuple):
    """Kept ratios [0-1]; None where not defined or not known.

    Args:
        configured: What the sampler was asked for.
        effective: What it keeps of uniformly random ids.
        predicted: What it keeps of this run's delivered traces, exactly.
        observed: What arrived of them.
        low, high: 95 % interval of the underlying ratio by the observed one (Clopper-Pearson).
    """

    configured: float | None
    effective: float | None
    predicted: float | None
    observed: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What arrived of a run against what should have.

    Attributes:
        run_id: The run.
        place: Where it was looked for.
        pipeline: The samplers assumed, a line each.
        exhaustive: Whether every trace there was listed; otherwise findings are about ``looked_for`` traces.
        looked_for: Traces of the run that were looked for.
        offered: Drawn by the run.
        delivered: Of these, answered as accepted.
        doubtful: Without a clear answer: may have arrived, in whole or in part.
        unsettled_spans: Without any recorded answer, because the run was cut off.
        expected: Delivered and kept by the samplers: must have arrived.
        observed: Seen to have arrived.
        share: Kept ratios.
        findings: The differences; all are listed, those of 0 traces too.
        unexplained_spans: Spans by which what arrived differs from what must or may have.
        doubts: What may be wrong with the audit itself.
    """

    run_id: str
    place: str
    pipeline: tuple[str, ...]
    exhaustive: bool
    looked_for: int
    offered: Amount
    delivered: Amount
    doubtful: Amount
    unsettled_spans: int
    expected: Amount
    observed: Amount
    share: Share
    findings: tuple[Finding, ...]
    unexplained_spans: int
    doubts: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing is unexplained and there was something to judge."""
        return self.unexplained_spans == 0 and self.delivered.traces > 0 and not self.counting

    @property
    def counting(self) -> tuple[Finding, ...]:
        """The differences that count: all but missing spans no more than those without a recorded answer."""
        return tuple(
            finding
            for finding in self.findings
            if finding.traces and (finding.name != "missing" or finding.spans > self.unsettled_spans)
        )

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        named = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return named | {"holds": self.holds}


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    if hasattr(value, "_asdict"):
        return {key: _plain(entry) for key, entry in value._asdict().items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value
