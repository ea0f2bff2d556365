"""Pages made from views by templates, and files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import InputError
from reports.outside import printable
from reports.view import Column

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  (a --help needs none)

    templates = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["groups"] = column_groups
    return templates


def column_groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Neighbouring columns of one group: its name and how many they are."""
    return [(group, len(list(members))) for group, members in groupby(columns, key=lambda column: column.group)]


def render(template: str, page: object) -> str:
    """The page of a view; everything in it is escaped but figures, which are drawn here."""
    return printable(_templates().get_template(template).render(page=page))


def write_whole(path: Path, content: str) -> None:
    """``content`` at ``path``: a reader sees the old file or the new one, never half of one.

    Raises:
        InputError: The place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_text(content, encoding="utf-8")  # a device or a pipe: nothing to replace
        else:
            _replace(path, content)
    except OSError as error:
        raise InputError("--out", str(path), f"must be a place to write to ({error.strerror})") from error


def _replace(path: Path, content: str) -> None:
    half = path.with_name(f".{path.name[:40]}.{os.getpid()}.part")
    half.touch()
    try:
        half.write_text(content, encoding="utf-8", newline="\n")
        half.replace(path)
    except OSError:
        half.unlink()
        raise
