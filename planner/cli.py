"""``honua-plan``: what tracing will cost at this traffic, and what its sampling will hide."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from loadgen.errors import HonuaError, InputError

if TYPE_CHECKING:
    from loadgen.shape import Shape
    from loadgen.topology import Topology
    from planner.evidence import Evidence
    from planner.records import Plan
    from planner.request import PlanRequest

HOLDS, NOT_MET, WRONG_USE = 0, 1, 2
DEFAULT_TOPOLOGY = "checkout"


class Asked(NamedTuple):
    """The options as given."""

    traffic: str | None
    topology: str | None
    run: Path | None
    peak_factor: float
    sampling: tuple[str, ...]
    retention: tuple[str, ...]
    out: Path | None
    json_to: str | None
    max_usd: float | None
    error_within: str | None


class Subject(NamedTuple):
    """The traces to plan for, where they are described, and the run that is planned from."""

    topology: Topology
    place: str
    evidence: Evidence | None
    seen_in_run: bool


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--traffic",
    metavar="RATE",
    help="Mean traffic: 1000rps (= 1000 traces/s), '20000 spans/s', 8MB/s, "
    "'50M traces/day'. Default with --run: the run's own rate.",
)
@click.option("--topology", metavar="FILE|NAME", help=f"Traces to plan for.  [default: {DEFAULT_TOPOLOGY}]")
@click.option("--run", type=click.Path(path_type=Path), help="Plan from a measured run: its folder or run.sqlite.")
@click.option(
    "--peak-factor",
    type=float,
    default=1.0,
    show_default=True,
    help="Peak over mean; memory, CPU and limits are planned for the peak.",
)
@click.option(
    "--sampling",
    multiple=True,
    metavar="CHOICE",
    help="A choice to compare: 10%, proportional:10%, "
    "equalizing:10%, tail:5% (errors, slower than 1 s, 5 % of the rest), tail:5%:2s. Repeatable.",
)
@click.option("--retention", multiple=True, metavar="TIME", help="A retention to compare: 24h, 7d. Repeatable.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help='Write the plan as a page of its own; "-" is standard output.',
)
@click.option(
    "--json",
    "json_to",
    is_flag=False,
    flag_value="-",
    metavar="[PATH]",
    help="Write the plan as JSON, to standard output unless a path is given.",
)
@click.option("--max-usd", type=float, metavar="USD", help="Constraint: price of a month.")
@click.option(
    "--error-within",
    metavar="TIME",
    help="Constraint: a 1-in-10,000 error is kept within this time in 95 of 100 cases.",
)
def main(**options: Any) -> None:  # noqa: ANN401  (as click has converted them)
    """Plan a Collector and Tempo: storage, memory, CPU and price for choices of sampling and retention.

    Exit code 0: planned; 1: a stated constraint cannot be met; 2: wrong use.
    """
    asked = Asked(**options)
    if asked.json_to == "-" and str(asked.out) == "-":
        _fail("--out: got '-', must be a file where --json writes to standard output")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without en dashes still shows the table
    try:
        sys.exit(_plan(asked))
    except HonuaError as error:
        _fail(str(error))
    except BrokenPipeError:
        raise  # the reader had enough; click ends quietly
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    click.echo(f"honua-plan: {message}", err=True)
    sys.exit(WRONG_USE)


def _plan(asked: Asked) -> int:
    from planner.advise import unmet
    from planner.plan import make_plan

    subject = _subject(asked)
    request = _request(asked, subject)  # before the traces are drawn: a wrong option answers at once
    plan = make_plan(request, _shape(subject), subject.evidence)
    _write(plan, asked)
    broken = unmet(plan.chosen, request)
    for sentence in broken:
        click.echo(f"not met: {sentence}", err=True)
    return NOT_MET if broken else HOLDS


def _subject(asked: Asked) -> Subject:
    from loadgen.topology import find_topology, parse_topology

    evidence, own_text = _read_run(asked.run) if asked.run else (None, None)
    if evidence and own_text and asked.topology is None:
        place = f"run {evidence.run_id}"
        return Subject(parse_topology(own_text, place), place, evidence, seen_in_run=True)
    text, place = find_topology(asked.topology or DEFAULT_TOPOLOGY)
    return Subject(parse_topology(text, place), place, evidence, seen_in_run=False)


def _read_run(path: Path) -> tuple[Evidence, str]:
    from loadgen.run import open_run
    from planner.evidence import read_evidence

    with open_run(path) as run:
        text = run.meta().get("topology_yaml")
        if not isinstance(text, str):
            raise InputError(f"{path}: topology_yaml", text, "must be recorded in the run")
        return read_evidence(run), text


def _shape(subject: Subject) -> Shape:
    from loadgen.shape import measure_shape

    shape = measure_shape(subject.topology)
    return _as_seen(shape, subject.evidence) if subject.evidence and subject.seen_in_run else shape


def _as_seen(shape: Shape, evidence: Evidence) -> Shape:
    """The drawn shape with the run's own sizes, where the run tells them."""
    spans, wire = evidence.spans_per_trace, evidence.wire_bytes_per_span
    shape = replace(shape, spans_per_trace=spans) if spans else shape
    return replace(shape, wire_bytes_per_span=wire) if wire else shape


def _request(asked: Asked, subject: Subject) -> PlanRequest:
    from planner.request import DEFAULT_RETENTIONS_S, PlanRequest, parse_duration
    from planner.sampling import DEFAULT_SAMPLINGS, parse_sampling

    retentions = sorted({parse_duration(text, "--retention") for text in asked.retention})
    within = parse_duration(asked.error_within, "--error-within") if asked.error_within else None
    return PlanRequest(
        traffic=_traffic(asked, subject),
        topology_place=subject.place,
        peak_factor=asked.peak_factor,
        samplings=tuple(dict.fromkeys(map(parse_sampling, asked.sampling))) or DEFAULT_SAMPLINGS,
        retentions_s=tuple(retentions) or DEFAULT_RETENTIONS_S,
        max_usd_per_month=asked.max_usd,
        error_within_s=within,
        circumstances=_circumstances(subject),
    )


def _traffic(asked: Asked, subject: Subject) -> str:
    if asked.traffic is not None:
        return asked.traffic
    if subject.evidence is None:
        raise InputError("--traffic", None, "is needed unless --run gives a rate, e.g. --traffic 1000rps")
    if subject.evidence.traces_per_s is None:
        raise InputError("--run", subject.evidence.run_id, "offered no traces over time, so --traffic is needed")
    return f"{subject.evidence.traces_per_s:.6g} traces/s"


def _circumstances(subject: Subject) -> tuple[tuple[str, str], ...]:
    import platform

    import numpy as np

    import loadgen

    versions = (("honua", str(loadgen.__version__)), ("python", platform.python_version()), ("numpy", np.__version__))
    if subject.evidence is None:
        return versions
    target = f"{subject.evidence.target} {subject.evidence.version}".strip()
    return (*versions, ("run", f"{subject.evidence.run_id}, target {target}"))


def _write(plan: Plan, asked: Asked) -> None:
    if asked.out is not None:
        _write_page(plan, asked.out)
    if asked.json_to is not None:
        _write_json(plan, asked.json_to)
    if "-" not in {asked.json_to, str(asked.out)}:
        from planner.table import print_plan

        print_plan(plan, sys.stdout)


def _write_page(plan: Plan, path: Path) -> None:
    from reports.plan_page import plan_html, write_plan_page

    if str(path) == "-":
        click.echo(plan_html(plan).encode(), nl=False)  # bytes: the page is UTF-8 whatever the terminal is
        return
    write_plan_page(plan, path)
    click.echo(f"wrote {path}", err=True)


def _write_json(plan: Plan, where: str) -> None:
    import json

    text = json.dumps(plan.as_dict(), indent=1, allow_nan=False) + "\n"
    if where == "-":
        sys.stdout.write(text)
        return
    Path(where).write_text(text, "utf-8")
    click.echo(f"wrote {where}", err=True)


if __name__ == "__main__":
    main()
