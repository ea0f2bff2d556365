"""Locust as host: import :class:`TraceUser` in a locustfile; this is the only room that imports locust."""

from loadgen.user.trace_user import TraceUser
from loadgen.user.wiring import Wiring

__all__ = ["TraceUser", "Wiring"]
