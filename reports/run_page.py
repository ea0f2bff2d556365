"""A run's page, its terminal summary and its JSON: all from one reading of the run file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadgen.run.file import RunFile
from reports.page import render, write_whole
from reports.run_facts import read_facts
from reports.run_text import lines_of
from reports.run_times import read_timeline
from reports.run_view import run_page
from reports.run_words import sentence


def run_html(run: RunFile) -> str:
    """The run as one self-contained HTML page; equal run files give equal bytes.

    Raises:
        InputError: The run file is damaged.
    """
    facts = read_facts(run)
    return render("run.jinja", run_page(facts, read_timeline(run, facts)))


def run_lines(run: RunFile) -> list[str]:
    """The run on one screen of a terminal; the first line is the page's first sentence.

    Raises:
        InputError: The run file is damaged.
    """
    return lines_of(read_facts(run))


def run_dict(run: RunFile) -> dict[str, Any]:
    """The run's numbers as plain values for JSON, under the page's names, the sentence first.

    Raises:
        InputError: The run file is damaged.
    """
    facts = read_facts(run)
    return {"sentence": sentence(facts), **facts.as_dict()}


def write_run_page(run: RunFile, path: Path) -> None:
    """Write :func:`run_html` to ``path``, whole or not at all; missing folders are made.

    Raises:
        InputError: The place cannot be written, or the run file is damaged.
    """
    write_whole(path, run_html(run))
