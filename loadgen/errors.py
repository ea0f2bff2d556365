"""One family of errors, told apart by whose fault it is.

Every message names the place, the value found there and the rule it broke, so that the
command line can print it as it stands: one line, no traceback, exit code 2.
"""

from __future__ import annotations


class HonuaError(Exception):
    """Something this product can name; its text is meant for the user as it is."""


class InputError(HonuaError):
    """What the user gave is wrong: an option, a topology, a run file, a configuration.

    Args:
        place: Where it stands, e.g. ``deploy.yaml:12: services.cli.operations``.
        value: What was found there.
        rule: What would be right, e.g. ``must be 0-1``.
    """

    def __init__(self, place: str, value: object, rule: str) -> None:
        super().__init__(f"{place}: got {value!r}, {rule}")
        self.place, self.value, self.rule = place, value, rule


class RemoteError(HonuaError):
    """The other side did not do its part: unreachable, wrong answer, nonsense.

    Args:
        place: The URL or process asked.
        seen: What came back.
        expected: What was expected instead.
    """

    def __init__(self, place: str, seen: str, expected: str) -> None:
        super().__init__(f"{place}: {seen}; expected {expected}")
        self.place, self.seen, self.expected = place, seen, expected
