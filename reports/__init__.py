"""Say it: HTML, terminal, JSON.

Each of these loads what it needs when it is first called, so that importing the package costs nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadgen.run.file import RunFile
    from planner.records import Plan

__all__ = ["plan_html", "run_dict", "run_html", "run_lines", "write_plan_page", "write_run_page"]


def plan_html(plan: Plan) -> str:
    """The plan as one self-contained HTML page; equal plans give equal bytes."""
    from reports.page import render  # noqa: PLC0415
    from reports.plan_view import plan_page  # noqa: PLC0415

    return render("plan.jinja", plan_page(plan))


def run_html(run: RunFile) -> str:
    """The run as one self-contained HTML page; equal run files give equal bytes.

    Raises:
        InputError: The run file is damaged.
    """
    from reports.page import render  # noqa: PLC0415
    from reports.run_facts import read_facts  # noqa: PLC0415
    from reports.run_times import read_timeline  # noqa: PLC0415
    from reports.run_view import run_page  # noqa: PLC0415

    facts = read_facts(run)
    return render("run.jinja", run_page(facts, read_timeline(run, facts)))


def run_lines(run: RunFile) -> list[str]:
    """The run on one screen of a terminal; the first line is the page's first sentence.

    Raises:
        InputError: The run file is damaged.
    """
    from reports.run_facts import read_facts  # noqa: PLC0415
    from reports.run_text import lines_of  # noqa: PLC0415

    return lines_of(read_facts(run))


def run_dict(run: RunFile) -> dict[str, Any]:
    """The run's numbers as plain values for JSON, under the page's names, the sentence first.

    Raises:
        InputError: The run file is damaged.
    """
    from reports.run_facts import read_facts  # noqa: PLC0415
    from reports.run_words import sentence  # noqa: PLC0415

    facts = read_facts(run)
    return {"sentence": sentence(facts), **facts.as_dict()}


def write_plan_page(plan: Plan, path: Path) -> None:
    """Write :func:`plan_html` to ``path``, whole or not at all; missing folders are made.

    Raises:
        InputError: The place cannot be written.
    """
    from reports.page import write_whole  # noqa: PLC0415

    write_whole(path, plan_html(plan))


def write_run_page(run: RunFile, path: Path) -> None:
    """Write :func:`run_html` to ``path``, whole or not at all; missing folders are made.

    Raises:
        InputError: The place cannot be written, or the run file is damaged.
    """
    from reports.page import write_whole  # noqa: PLC0415

    write_whole(path, run_html(run))
