"""honua-report: a run, on the terminal, as a page, as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.errors import HonuaError

if TYPE_CHECKING:
    from loadgen.run.file import RunFile


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", metavar="FILE", help='Write the HTML page there; "-" is standard output.')
@click.option(
    "--json",
    "json_path",
    is_flag=False,
    flag_value="-",
    metavar="[PATH]",
    help="Write the numbers; standard output without a PATH.",
)
@click.option(
    "--csv", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Write the run's tables there."
)
def main(run: Path, out: str | None, json_path: str | None, folder: Path | None) -> None:
    """Report on RUN, the folder or file of a run, finished or not.

    The summary goes to the terminal, unless standard output is taken by --out - or --json. Give RUN first:
    --json takes the next word as its PATH.
    """
    try:
        _report(run, out, json_path, folder)
    except HonuaError as error:
        click.echo(f"honua-report: {error}", err=True)
        sys.exit(2)


def _report(path: Path, out: str | None, json_path: str | None, folder: Path | None) -> None:
    from loadgen.run.file import open_run
    from loadgen.run.frames import write_tables
    from reports import run_lines

    with open_run(path) as run:
        if "-" not in {out, json_path}:
            click.echo("\n".join(run_lines(run)))
        if json_path is not None:
            _put(_json(run), json_path)
        if out is not None:
            _put(_page(run), out)
        for written in write_tables(run, folder) if folder is not None else ():
            click.echo(f"written: {written}", err=True)


def _json(run: RunFile) -> str:
    import json

    from reports import run_dict

    return json.dumps(run_dict(run), indent=2) + "\n"


def _page(run: RunFile) -> str:
    from reports import run_html

    return run_html(run)


def _put(content: str, place: str) -> None:
    from reports.page import write_whole

    if place == "-":
        click.echo(content, nl=False)
        return
    write_whole(Path(place), content)
    click.echo(f"written: {place}", err=True)


if __name__ == "__main__":
    main()
