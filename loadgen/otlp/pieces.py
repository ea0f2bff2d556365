"""A program's pieces: every part that a request can be joined from, compiled once per run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from loadgen.otlp.templates import (
    Head,
    ResourceFrame,
    make_attribute,
    make_head,
    make_resource,
    make_tail,
)
from loadgen.synth import Meaning, Program, Slot
from loadgen.synth.digits import text_width, value_of
from loadgen.synth.slots import SlotMaker, draw_numbers, slot_table
from loadgen.synth.streams import Stream, stream_key
from loadgen.topology import Service, Topology
from loadgen.topology.values import Constant

Ints = NDArray[np.int64]
RUN_ID_KEY = "loadtest.run.id"
LONGEST_VARINT = 10
_SPAN_TAG = b"\x12"  # field 2 of ScopeSpans: spans


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces as one pool of bytes, and where each kind of part stands in it.

    Attributes:
        pool: bytes objects, object[p].
        length: Their lengths, int64[p].
        head: Piece of a head, int64[forms, has parent, bytes of the span's length field - 1].
        head_bytes: Its length without tag and length field, int64[forms, has parent].
        start_at: Offset of the start time behind the length field, int64[forms, has parent].
        tail: Piece of a tail, int64[forms, remote].
        event_at: Offset of the event's time in the tail, int64[forms], -1 where there is none.
        slot_piece: First piece of each slot, int64[slots].
        resources: What encloses spans, per resource.
        program: What all this was compiled from.
    """

    program: Program
    pool: NDArray[np.object_]
    length: Ints
    head: Ints
    head_bytes: Ints
    start_at: Ints
    tail: Ints
    event_at: Ints
    slot_piece: Ints
    resources: tuple[ResourceFrame, ...]


def varint(number: int) -> bytes:
    """Base-128 encoding of a number >= 0, low group first (protobuf)."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def compile_pieces(program: Program) -> Pieces:
    """The pieces of a program that are the same in every run; see :func:`for_run`."""
    pool: list[bytes] = []
    heads = [[make_head(form, has_parent=parent) for parent in (False, True)] for form in program.forms]
    tails = [[make_tail(form, remote=remote) for remote in (False, True)] for form in program.forms]
    head = [[_add(pool, _framed(each)) for each in pair] for pair in heads]
    tail = [[_add(pool, [each.content])[0] for each in pair] for pair in tails]
    slots = [slot for form in program.forms for slot in form.slots]
    slot_piece = _slot_pieces(pool, slots)
    return Pieces(
        program=program,
        pool=_objects(pool),
        length=np.array([len(piece) for piece in pool], np.int64),
        head=np.array(head, np.int64),
        head_bytes=np.array([[len(each.content) for each in pair] for pair in heads], np.int64),
        start_at=np.array([[each.start_at for each in pair] for pair in heads], np.int64),
        tail=np.array(tail, np.int64),
        event_at=np.array([pair[0].event_at for pair in tails], np.int64),
        slot_piece=slot_piece,
        resources=(),
    )


def for_run(pieces: Pieces, seed: int, run_id: str) -> Pieces:
    """The pieces with the resources of one run, each of which names the run."""
    any_form = pieces.program.forms[0]
    frames = (
        make_resource(any_form, attributes, _scope(service))
        for service, attributes in _resources(pieces.program.topology, seed, run_id)
    )
    return replace(pieces, resources=tuple(frames))


def _objects(pool: list[bytes]) -> NDArray[np.object_]:
    array = np.empty(len(pool), np.object_)
    array[:] = pool
    return array


def _add(pool: list[bytes], pieces: list[bytes]) -> list[int]:
    first = len(pool)
    pool += pieces
    return list(range(first, first + len(pieces)))


def _framed(head: Head) -> list[bytes]:
    """The head behind the span's tag and a length field of one, two or three bytes."""
    return [_SPAN_TAG + bytes(width) + head.content for width in (1, 2, 3)]


def _slot_pieces(pool: list[bytes], slots: list[Slot]) -> Ints:
    """The first piece of each slot; slots that say the same things share their pieces."""
    known: dict[tuple[object, ...], int] = {}
    first = []
    for slot in slots:
        # Slots that draw alike share their tuple of values, so its identity will do (and 1 == True would not).
        key = (slot.key, slot.meaning, text_width(slot.rule), id(slot.values))
        if key not in known:
            known[key] = _add(pool, [make_attribute(slot.key, value) for value in _examples(slot)])[0]
        first.append(known[key])
    return np.array(first, np.int64)


def _examples(slot: Slot) -> list[Constant]:
    """One value per piece of a slot: each value of a pool, one number per length of varint, one text."""
    if slot.meaning is Meaning.POOL:
        return list(slot.values)
    if slot.meaning is Meaning.NUMBER:
        # int_value is a signed 64-bit field: nine bytes hold all that are not negative.
        return [1 << 7 * i for i in range(LONGEST_VARINT - 1)]
    return ["0" * text_width(slot.rule)]


def _scope(service: Service) -> InstrumentationScope | None:
    return InstrumentationScope(service.scope.name, service.scope.version) if service.scope else None


def _resources(topology: Topology, seed: int, run_id: str) -> list[tuple[Service, dict[str, Constant]]]:
    """Every resource's service and attributes, in the order of their numbers."""
    return [
        (service, resource_attributes(topology, name, instance, seed, run_id))
        for name, service in topology.services.items()
        for instance in range(service.instances)
    ]


def resource_attributes(topology: Topology, service: str, instance: int, seed: int, run_id: str) -> dict[str, Constant]:
    """Attributes of one instance's resource; what varies is drawn by seed, service and instance."""
    rules = topology.resource | topology.services[service].resource
    attributes: dict[str, Constant] = {
        "service.name": service,
        "service.instance.id": f"{service}-{instance}",
    }
    for key, rule in rules.items():
        if rule.constant is not None:
            attributes[key] = rule.constant
            continue
        slot = SlotMaker({}).slot(key, rule)
        word = Stream(stream_key(seed, "resource", service, key), instance).words(1)
        number = draw_numbers(slot_table([slot]), np.zeros(1, np.intp), word)
        attributes[key] = value_of(slot, int(number[0]))
    return attributes | {RUN_ID_KEY: run_id}
