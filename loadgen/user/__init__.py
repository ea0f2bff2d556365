"""Locust as host: import :class:`TraceUser` in a locustfile.

Only asking for ``TraceUser`` imports locust, which patches the process it is imported into; the
modules that hold no greenlet (options, session, tally, owner ...) can be used and tested without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.user.trace_user import TraceUser

__all__ = ["TraceUser"]


def __getattr__(name: str) -> object:
    if name != "TraceUser":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The wiring for its effect, and locust before all else: it patches ssl and sockets.
    import_module("loadgen.user.wiring")
    found: object = import_module("loadgen.user.trace_user").TraceUser
    return found
