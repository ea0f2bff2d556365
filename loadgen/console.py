"""The edge that all commands share: errors meant for the user become one line and exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from loadgen.errors import HonuaError


def run(command: click.Command, arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code: 0-3 its own, 2 for what the user got wrong."""
    try:
        code = command.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except HonuaError as error:
        click.echo(f"{command.name}: {error}", err=True)
        code = 2
    except click.ClickException as error:
        error.show()
        code = 2
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): that is its right. Nothing may be flushed into the pipe now.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
