"""Say it: HTML, terminal, JSON.

What is exported is loaded when it is first asked for, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.plan_page import plan_html, write_plan_page
    from reports.run_page import run_dict, run_html, run_lines, write_run_page

__all__ = ["plan_html", "run_dict", "run_html", "run_lines", "write_plan_page", "write_run_page"]

_ROOMS = dict.fromkeys(("plan_html", "write_plan_page"), "reports.plan_page") | dict.fromkeys(
    ("run_dict", "run_html", "run_lines", "write_run_page"), "reports.run_page"
)


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)
