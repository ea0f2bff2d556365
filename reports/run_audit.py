"""The last audit of a run: what had to arrive, what did, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports import text
from reports.outside import clean, first, name
from reports.run_facts import mapping
from reports.view import Cell, Column, Row, Table

ROWS = 60
EXAMPLES = 3
AMOUNTS = {
    "offered": "drawn by the run",
    "delivered": "of these, answered as accepted",
    "doubtful": "without a clear answer: may have arrived",
    "expected": "delivered and kept by the samplers: must have arrived",
    "observed": "seen to have arrived",
}
SHARES = {
    "configured": "what the sampler was asked for",
    "effective": "what it keeps of random ids",
    "predicted": "what it keeps of this run, exactly",
    "observed": "what arrived",
}
FINDINGS = {
    "missing": "delivered and kept, but not there",
    "unexpected": "there, but should have been sampled out",
    "contradicting": "there, but the target had refused them",
    "incomplete": "there, but not all of their spans",
    "duplicated": "there, with spans more than once",
    "foreign": "there, but not drawn by this run",
}


def audit_tables(audit: Mapping[str, Any], audits: int) -> tuple[Table, ...]:
    """The audit's tables; one of another form is shown as it stands.

    Args:
        audit: The result as the run file keeps it.
        audits: How many audits the run file holds.
    """
    earlier = (f"and {audits - 1:,} earlier audits in the run file",) if audits > 1 else ()
    amounts = {key: mapping(audit.get(key)) for key in AMOUNTS if mapping(audit.get(key))}
    if "expected" not in amounts:
        return (_as_it_stands(audit, earlier),)
    return tuple(
        table
        for table in (_amounts(audit, amounts, earlier), _share(mapping(audit.get("share"))), _findings(audit))
        if table
    )


def _amounts(audit: Mapping[str, Any], amounts: Mapping[str, Mapping[str, Any]], earlier: tuple[str, ...]) -> Table:
    rows = [_amount(key, of) for key, of in amounts.items() if key != "doubtful" or of.get("traces")]
    if audit.get("unsettled_spans"):
        meaning = "without any recorded answer: the run was cut off"
        rows.append(Row((Cell("unsettled", sub=meaning), Cell(""), Cell(_count(audit["unsettled_spans"])))))
    left = audit.get("unexplained_spans")
    meaning = "what arrived differs from what must or may have by so much"
    rows.append(Row((Cell("unexplained", sub=meaning), Cell(""), Cell(_count(left))), "bad" if left else "total"))
    pipeline = audit.get("pipeline")
    lines = [clean(line, 200) for line in pipeline[:ROWS]] if isinstance(pipeline, list) else []
    where = f"Looked for at {clean(audit.get('place', 'an unnamed place'), 200)}. "
    assumed = f"Sampling: {'; '.join(lines)}." if lines else "No sampling was assumed."
    doubts = audit.get("doubts")
    notes = tuple(f"Doubt: {clean(doubt)}" for doubt in doubts[:10]) if isinstance(doubts, list) else ()
    heads = (Column("", "name"), Column("traces"), Column("spans"))
    return Table("What had to arrive and what did", where + assumed, heads, tuple(rows), (*notes, *earlier))


def _amount(key: str, of: Mapping[str, Any]) -> Row:
    return Row((Cell(key, sub=AMOUNTS[key]), Cell(_count(of.get("traces"))), Cell(_count(of.get("spans")))))


def _count(value: object) -> str:
    return text.count(value) if isinstance(value, int | float) else text.UNKNOWN


def _ratio(value: object) -> str:
    return text.percent(value, 6) if isinstance(value, int | float) else text.UNKNOWN


def _share(share: Mapping[str, Any]) -> Table | None:
    if not share:
        return None
    rows = [Row((Cell(key, sub=meaning), Cell(_ratio(share.get(key))))) for key, meaning in SHARES.items()]
    interval = f"{_ratio(share.get('low'))} – {_ratio(share.get('high'))}"
    note = (f"95 % interval of the observed share, as if chance had decided: {interval}",)
    aid = "The sampler works in steps, so what it keeps differs a little from what it was asked for."
    return Table("Share of traces kept", aid, (Column("", "name"), Column("share")), tuple(rows), note)


def _findings(audit: Mapping[str, Any]) -> Table | None:
    found = audit.get("findings")
    findings = [mapping(finding) for finding in found] if isinstance(found, list) else []
    if not findings:
        return None
    shown, more = first(findings, ROWS)
    heads = (Column("Difference", "name"), Column("traces"), Column("spans"), Column("likely cause, e.g.", "text"))
    return Table("Differences", "Each should be zero.", heads, tuple(_finding(finding) for finding in shown), more)


def _finding(finding: Mapping[str, Any]) -> Row:
    kind = str(finding.get("name", ""))
    causes, examples = (_strings(finding.get(key)) for key in ("causes", "examples"))
    why = Cell("; or ".join(causes[:EXAMPLES]), sub=" ".join(examples[:EXAMPLES]))
    numbers = (Cell(_count(finding.get("traces"))), Cell(_count(finding.get("spans"))))
    return Row(
        (Cell(clean(kind, 60), sub=FINDINGS.get(kind, "")), *numbers, why), "bad" if finding.get("traces") else ""
    )


def _strings(value: object) -> Sequence[str]:
    return [clean(item, 160) for item in value] if isinstance(value, list) else []


def _flat(value: object, path: str = "") -> list[tuple[str, object]]:
    if isinstance(value, Mapping) and value:
        return [row for key, item in value.items() for row in _flat(item, f"{path}.{key}" if path else str(key))]
    return [(path, value)]


def _as_it_stands(audit: Mapping[str, Any], earlier: tuple[str, ...]) -> Table:
    shown, more = first(_flat(audit), ROWS)
    rows = tuple(Row((Cell(clean(path.replace("_", " "), 120)), Cell(_told(path, value)))) for path, value in shown)
    aid = "The audit's result as the run file keeps it."
    return Table("Result", aid, (Column("", "name"), Column("", "value")), rows, (*more, *earlier))


def _told(path: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return name(value)
    return _ratio(value) if path.endswith("_ratio") else text.significant(value, 6)
