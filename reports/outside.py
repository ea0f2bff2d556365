"""What comes from outside is bounded and made printable before it meets a page.

Escaping is the templates' work; here strings lose control characters and length, and lists
lose their tail, with what was left out said in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

TEXT_LENGTH = 400
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


def printable(text: str) -> str:
    """``text`` with control characters and lone surrogates replaced."""
    return _UNPRINTABLE.sub("\ufffd", text)


def clean(text: object, length: int = TEXT_LENGTH) -> str:
    """``text`` without control characters or lone surrogates, cut at ``length`` characters."""
    whole = printable(str(text))
    if len(whole) <= length:
        return whole
    return f"{whole[:length]}… ({len(whole) - length:,} more characters)"


def name(value: object) -> str:
    """A value of unknown kind as one line: strings as they are, the rest as JSON."""
    if isinstance(value, str):
        return clean(value)
    return clean(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))


def first(items: Sequence[Item], limit: int) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """The first ``limit`` items, and the note "and 1,204 more" if there are others."""
    rest = len(items) - limit
    return tuple(items[:limit]), (f"and {rest:,} more",) if rest > 0 else ()
