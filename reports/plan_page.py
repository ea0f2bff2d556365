"""A plan's page: made, and written."""

from __future__ import annotations

from pathlib import Path

from planner.records import Plan
from reports.page import render, write_whole
from reports.plan_view import plan_page


def plan_html(plan: Plan) -> str:
    """The plan as one self-contained HTML page; equal plans give equal bytes."""
    return render("plan.jinja", plan_page(plan))


def write_plan_page(plan: Plan, path: Path) -> None:
    """Write :func:`plan_html` to ``path``, whole or not at all; missing folders are made.

    Raises:
        InputError: The place cannot be written.
    """
    write_whole(path, plan_html(plan))
