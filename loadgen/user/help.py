"""``--help-load``: Locust prints its ``--help`` before it imports a locustfile, so ours cannot be in it."""

from __future__ import annotations

import argparse

from loadgen.user.options import OPTIONS, TITLE, WHAT


class HelpLoad(argparse.Action):
    """Prints the options of the trace load and ends the process."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and end."""
        print(options_help(), end="")
        parser.exit(0)


def options_help() -> str:
    """The options with their environment variables and defaults."""
    shown = argparse.ArgumentParser(add_help=False, usage="locust -f scenarios/checkout.py [options]")
    group = shown.add_argument_group(TITLE, WHAT)
    for option in OPTIONS:
        given = f"; default {option.default}" if option.default not in ("", False) else ""
        settings = {key: value for key, value in option.settings.items() if key != "type"}
        group.add_argument(option.name, help=f"{option.text}{given} [env var: {option.variable}]", **settings)
    return shown.format_help()
