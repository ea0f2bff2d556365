"""An audit's result as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.measure.audit_types import AuditResult, Finding, Share

_MEANINGS = {
    "missing": "delivered and kept, but not there",
    "unexpected": "there, but should have been sampled out",
    "contradicting": "there, but the target had refused them",
    "incomplete": "there, but not all of their spans",
    "duplicated": "there, with spans more than once",
    "foreign": "there, but not drawn by this run",
}


def audit_lines(result: AuditResult) -> list[str]:
    """The result as aligned lines, the verdict first."""
    return [
        f"audit of run {result.run_id} at {result.place}: {verdict(result)}",
        *(f"  sampling       {line}" for line in result.pipeline),
        f"  {'':<14}{'traces':>12}{'spans':>15}",
        *_counts(result),
        f"  kept           {_share(result.share)}",
        *(line for finding in result.findings for line in _finding(finding)),
        f"  {'unexplained':<14}{'':>12}{result.unexplained_spans:>15,}",
        *(f"  doubt          {doubt}" for doubt in result.doubts),
    ]


def verdict(result: AuditResult) -> str:
    """Whether it holds, in one sentence."""
    if not result.delivered.traces:
        return "nothing to judge: no trace was delivered"
    wrong = [f"{finding.traces:,} {finding.name}" for finding in result.counting]
    absent = next((finding.traces for finding in result.findings if finding.name == "missing"), 0)
    if result.holds and absent:
        arrived = f"{result.expected.traces - absent:,} of {result.expected.traces:,} expected traces arrived whole"
        return f"holds as far as is known: {arrived}; {result.unsettled_spans:,} spans have no recorded answer"
    if result.holds and result.exhaustive:
        return f"holds: all {result.expected.traces:,} expected traces arrived, whole, once, and no others"
    if result.holds:
        return f"holds: the count of spans fits, and so do all {result.looked_for:,} traces looked up"
    return f"does not hold: {', '.join([*wrong, f'{result.unexplained_spans:,} spans unexplained'])}"


def _counts(result: AuditResult) -> Iterator[str]:
    found = "observed" if result.exhaustive else "found"
    rows = [("offered", result.offered), ("delivered", result.delivered), ("expected", result.expected)]
    for name, (traces, spans) in [*rows, (found, result.observed)]:
        yield f"  {name:<14}{traces:>12,}{spans:>15,}"
    if not result.exhaustive:
        yield f"  {'looked up':<14}{result.looked_for:>12,}   traces by id; the spans found are counted by query"
    if result.doubtful.traces:
        traces, spans = result.doubtful
        yield f"  {'doubtful':<14}{traces:>12,}{spans:>15,}   without a clear answer: may have arrived"
    if result.unsettled_spans:
        yield f"  {'unsettled':<14}{'':>12}{result.unsettled_spans:>15,}   without any: the run was cut off"


def percent(ratio: float | None) -> str:
    """A ratio as percent to six digits, ``-`` if there is none; never 0 or 100 % unless it is."""
    if ratio is None:
        return "-"
    text = f"{ratio * 100:.6g}"
    rounded = text in {"0", "100"} and ratio not in {0.0, 1.0}
    return f"{'>' if ratio < 0.5 else '<'}{text} %" if rounded else f"{text} %"


def _share(share: Share) -> str:
    told = [f"asked {percent(share.configured)}", f"effective {percent(share.effective)}"]
    told.append(f"predicted {percent(share.predicted)}")
    if share.observed is None:
        return ", ".join([*told, "observed - (only a sample was looked up)"])
    between = f"(95 %: {percent(share.low)} to {percent(share.high)})"
    return ", ".join([*told, f"observed {percent(share.observed)} {between}"])


def _finding(finding: Finding) -> Iterator[str]:
    about = f"   {_MEANINGS[finding.name]}" if finding.traces else ""
    yield f"  {finding.name:<14}{finding.traces:>12,}{finding.spans:>15,}{about}"
    for first in range(0, len(finding.examples), 3):
        shown = " ".join(finding.examples[first : first + 3])
        yield f"  {'':<14} {'' if first else 'e.g.':>6} {shown}"
    for rank, cause in enumerate(finding.causes):
        yield f"  {'':<14} {'likely' if rank == 0 else 'or':>6}: {cause}"
