"""The finite sets that attribute values are drawn from, and exact weighted choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray

from loadgen.synth.streams import Stream, Words, high, stream_key
from loadgen.topology import Value
from loadgen.topology.values import IntegerRange, Pattern, Scalar, Text

# An integer range up to this wide is encoded value by value; a wider one is written as digits of its own.
WIDEST_POOLED_RANGE = 4096

_WORDS = [
    "the",
    "request",
    "could",
    "not",
    "be",
    "completed",
    "because",
    "upstream",
    "service",
    "returned",
    "an",
    "unexpected",
    "response",
    "while",
    "reading",
    "select",
    "insert",
    "update",
    "where",
    "order",
    "customer",
    "product",
    "inventory",
    "payment",
    "shipping",
    "address",
    "total",
    "amount",
    "status",
    "created",
    "retry",
    "timeout",
    "connection",
    "pool",
    "cache",
    "miss",
    "partition",
    "offset",
    "commit",
    "schema",
    "tile",
    "layer",
    "feature",
    "bounds",
]
_ALPHABETS = {
    "hex": "0123456789abcdef",
    "base64": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
}


def pool_values(rule: Value, name: str) -> tuple[Scalar, ...]:
    """Every value that ``rule`` can draw, empty where they are too many to list.

    ``name`` keys the texts, so that two attributes of the same rule do not say the same.
    """
    if rule.choice is not None:
        return tuple(weighted.value for weighted in rule.choice)
    if (pattern := rule.zipf or rule.uniform) is not None:
        return _patterned(pattern)
    if rule.text is not None:
        return _texts(rule.text, name)
    if rule.integer is not None and _width(rule.integer) <= WIDEST_POOLED_RANGE:
        return tuple(range(rule.integer.min, rule.integer.max + 1))
    return ()


def pool_weights(rule: Value) -> Sequence[float]:
    """The weight of each of :func:`pool_values`."""
    if rule.choice is not None:
        return [weighted.weight for weighted in rule.choice]
    if rule.zipf is not None:
        # Rounded, because the last bits of a power are the platform's own.
        return [float(f"{n**-rule.zipf.exponent:.9g}") for n in range(1, rule.zipf.cardinality + 1)]
    size = rule.uniform or rule.text
    if size is not None:
        return [1.0] * size.cardinality
    return [1.0] * _width(rule.integer) if rule.integer is not None else []


def _width(span: IntegerRange) -> int:
    return span.max - span.min + 1


def _patterned(pattern: Pattern) -> tuple[str, ...]:
    return tuple(pattern.pattern.format(n=n) for n in range(pattern.cardinality))


def _texts(text: Text, name: str) -> tuple[str, ...]:
    stream = Stream(stream_key(0, "text", name), 0)
    lengths = high(stream.words(text.cardinality)) * np.uint64(text.max - text.min + 1) >> np.uint64(32)
    return tuple(_one_text(text.alphabet, text.min + int(extra), stream) for extra in lengths)


def _one_text(alphabet: str, length: int, stream: Stream) -> str:
    if alphabet in _ALPHABETS:
        letters = _ALPHABETS[alphabet]
        return "".join(letters[i] for i in _picks(stream, length, len(letters)))
    # Words of two letters and a space at least: a third as many words as characters always suffices.
    picked = " ".join(_WORDS[i] for i in _picks(stream, length // 3 + 1, len(_WORDS)))
    return picked[:length].rstrip().ljust(length, ".")


def _picks(stream: Stream, n: int, choices: int) -> list[int]:
    words: Words = stream.words(n)
    picked: list[int] = (high(words) * np.uint64(choices) >> np.uint64(32)).tolist()
    return picked


def alias_table(weights: Sequence[float]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Walker's alias table of ``weights``: one column and one comparison make an exact weighted draw.

    Returns:
        accept: uint64[n]: keep the drawn column when a 32-bit number is below this.
        alias: uint64[n]: the value to take otherwise.

    Source: Vose, "A linear algorithm for generating random numbers with a given distribution", 1991.
    """
    n = len(weights)
    total = sum(weights)
    share = [weight * n / total for weight in weights]
    small = [i for i, s in enumerate(share) if s < 1]
    large = [i for i, s in enumerate(share) if s >= 1]
    accept, alias = [2**32] * n, list(range(n))
    while small and large:
        under, over = small.pop(), large[-1]
        accept[under], alias[under] = floor(share[under] * 2**32 + 0.5), over
        share[over] -= 1 - share[under]
        if share[over] < 1:
            small.append(large.pop())
    return np.array(accept, np.uint64), np.array(alias, np.uint64)
