"""Nested-set numbers: where each span stands in its trace's tree, as three integers.

Source: Grafana Tempo v3.0.3, tempodb/encoding/vparquet4/nested_set_model.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ROOT_PARENT = -1
SERVER, CLIENT = 2, 3


class NestedSet(NamedTuple):
    """Numbers of a trace's spans, in the order of its spans; all 0 where a span hangs on no root."""

    left: list[int]
    right: list[int]
    parent: list[int]


def nested_set(span_ids: Sequence[bytes], parent_ids: Sequence[bytes], kinds: Sequence[int]) -> NestedSet:
    """The numbers a depth-first walk gives, counting up by one on the way in and on the way out.

    A span without a parent id is a root and has parent -1. Two spans may share an id (client and
    server of one call, as Zipkin sends them); where more than two do, every number is 0.
    """
    by_id: dict[bytes, list[int]] = {}
    for n, span_id in enumerate(span_ids):
        by_id.setdefault(span_id, []).append(n)
    numbers = NestedSet(*([0] * len(span_ids) for _ in range(3)))
    if max(map(len, by_id.values()), default=0) > 2:
        return numbers
    roots, children = _children(by_id, parent_ids, kinds)
    bound = 1
    for root in roots:
        numbers.parent[root] = ROOT_PARENT
        bound = _walk(root, children, numbers, bound)
    return numbers


def _children(
    by_id: dict[bytes, list[int]], parent_ids: Sequence[bytes], kinds: Sequence[int]
) -> tuple[list[int], dict[int, list[int]]]:
    roots: list[int] = []
    children: dict[int, list[int]] = {}
    for n, parent_id in enumerate(parent_ids):
        if not parent_id:
            roots.append(n)
            continue
        parent = _parent(by_id.get(parent_id, []), kinds, kinds[n])
        if parent is not None:
            children.setdefault(parent, []).append(n)
    return roots, children


def _parent(candidates: Sequence[int], kinds: Sequence[int], kind: int) -> int | None:
    """The one candidate, or of two that share an id the one on the other side of the call."""
    if len(candidates) == 1:
        return candidates[0]
    wanted = CLIENT if kind == SERVER else SERVER
    return next((n for n in candidates if kinds[n] == wanted), None)


def _walk(root: int, children: dict[int, list[int]], numbers: NestedSet, bound: int) -> int:
    """Numbers everything under ``root`` and returns the next free number.

    A loop instead of a recursion, because a trace may be deeper than Python's stack.
    """
    numbers.left[root] = bound
    path = [(root, iter(children.get(root, ())))]
    while path:
        bound += 1
        span, rest = path[-1]
        child = next(rest, None)
        if child is None:
            numbers.right[span] = bound
            path.pop()
        else:
            numbers.left[child], numbers.parent[child] = bound, numbers.left[span]
            path.append((child, iter(children.get(child, ()))))
    return bound + 1
