"""The official encoder's bytes of a span, cut into the parts that requests are put together from.

Facts. Protobuf writes a message's fields in the order of their numbers: a Span is ids (1, 2, 4),
name (5), kind (6), start and end (7, 8), attributes (9), events (11), status (15) and flags (16).
So a span is a head (ids .. constant attributes), the varying attributes, and a tail (events ..
flags), each of which stands on its own. Ids are bytes and times are fixed64: they are holes of
known width. Everything else was written by OpenTelemetry's own encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from loadgen.synth import Form
from loadgen.topology.values import Constant

# Stand-ins that mark the holes. Each has a byte that no UTF-8 text contains, so no name is mistaken for one.
_TRACE_ID = 0xE1E2E3E4E5E6E7E8F1F2F3F4F5F6F7F8
_SPAN_ID, _PARENT_ID = 0xC1C2C3C4C5C6C7C8, 0xD1D2D3D4D5D6D7D8
_START, _END, _EVENT = 0xFF72737475767778, 0xFF62636465666768, 0xFF52535455565758
EXCEPTION_EVENT = "exception"


class Head(NamedTuple):
    """Ids to constant attributes of a span, without the enclosing tag and length.

    The ids come first; ``start_at`` is the start time, behind whose eight bytes stands the end's tag.
    """

    content: bytes
    start_at: int


class Tail(NamedTuple):
    """Events, status and flags; ``event_at`` is the event's time, -1 where there is no event."""

    content: bytes
    event_at: int


def exception_attributes(form: Form) -> dict[str, Constant]:
    """Attributes of the exception event of a failed form, by semantic convention."""
    if form.failure is None:
        return {}
    named = {
        "exception.type": form.failure.type,
        "exception.message": form.failure.message,
        "exception.stacktrace": form.failure.stacktrace,
    }
    return {key: value for key, value in named.items() if value}


def readable_span(
    form: Form, attributes: Mapping[str, Constant], *, has_parent: bool, remote: bool, event_ns: int = _EVENT
) -> ReadableSpan:
    """The SDK's view of a span of ``form`` with the given attributes and the stand-in ids and times."""
    events = [Event(EXCEPTION_EVENT, exception_attributes(form), event_ns)] if form.failure else []
    message = form.failure.message if form.failure else ""
    return ReadableSpan(
        name=form.name,
        context=SpanContext(_TRACE_ID, _SPAN_ID, is_remote=False, trace_flags=TraceFlags(1)),
        parent=SpanContext(_TRACE_ID, _PARENT_ID, is_remote=remote) if has_parent else None,
        attributes=dict(attributes),
        events=events,
        kind=SpanKind[form.kind.upper()],
        status=Status(StatusCode.ERROR, message or None) if form.failed else Status(StatusCode.UNSET),
        start_time=_START,
        end_time=_END,
        resource=Resource({}),
        instrumentation_scope=None,
    )


def _encoded(span: ReadableSpan) -> Span:
    encoded: Span = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
    return encoded


def make_head(form: Form, *, has_parent: bool) -> Head:
    """The head of spans of ``form``."""
    span = _encoded(readable_span(form, form.constants, has_parent=has_parent, remote=False))
    for field in ("events", "status", "flags"):
        span.ClearField(field)
    content = span.SerializeToString()
    return Head(content, content.find(_START.to_bytes(8, "little")))


def make_tail(form: Form, *, remote: bool) -> Tail:
    """The tail of spans of ``form``; ``remote`` says that the parent is in another process."""
    span = _encoded(readable_span(form, {}, has_parent=True, remote=remote))
    for field in (
        "trace_id",
        "span_id",
        "parent_span_id",
        "name",
        "kind",
        "start_time_unix_nano",
        "end_time_unix_nano",
    ):
        span.ClearField(field)
    content = span.SerializeToString()
    return Tail(content, content.find(_EVENT.to_bytes(8, "little")))


def make_attribute(key: str, value: Constant) -> bytes:
    """One attribute as it stands in a Span: tag, length, key and value.

    The exporter makes the same message of it, at ten times the cost; a test holds the two together.
    """
    return Span(attributes=[KeyValue(key=key, value=_any_value(value))]).SerializeToString()


def _any_value(value: Constant) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(array_value=ArrayValue(values=[_any_value(each) for each in value]))


class ResourceFrame(NamedTuple):
    """What encloses the spans of one resource: its Resource field, and the scope's field in ScopeSpans."""

    resource: bytes
    scope: bytes


def make_resource(form: Form, attributes: Mapping[str, Constant], scope: InstrumentationScope | None) -> ResourceFrame:
    """The enclosing parts of a resource with ``attributes`` and spans of one scope."""
    bare = readable_span(form, {}, has_parent=False, remote=False)
    span = ReadableSpan(
        name=bare.name,
        context=bare.context,
        resource=Resource(dict(attributes)),
        instrumentation_scope=scope,
        start_time=_START,
        end_time=_END,
    )
    encoded: ResourceSpans = encode_spans([span]).resource_spans[0]
    scope_spans = encoded.scope_spans[0]
    scope_spans.ClearField("spans")
    encoded.ClearField("scope_spans")
    return ResourceFrame(encoded.SerializeToString(), scope_spans.SerializeToString())
