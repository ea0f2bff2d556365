"""Counter-based random words: what a block draws depends on nothing but seed, purpose and block.

Facts. Philox4x64 is a keyed permutation of a counter (Salmon et al., SC'11): the words of one
(key, counter) are the same on every machine and in every NumPy release, and no stream has to be
drawn to reach another. Distributions of NumPy's generators, by contrast, may change between
releases (NEP 19), so they are not used: what decides an outcome is integer arithmetic on words.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def stream_key(seed: int, *purpose: str) -> tuple[int, int]:
    """The 128-bit Philox key of a purpose under a seed, as two words."""
    digest = blake2b("\0".join((str(seed), *purpose)).encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


class Stream:
    """The words of one purpose in one block, in order."""

    __slots__ = ("_bits",)

    def __init__(self, key: tuple[int, int], block: int) -> None:
        # The block stands in the counter's second word, so a block may draw 2**66 words before it meets the next.
        self._bits = np.random.Philox(counter=np.array([0, block, 0, 0], np.uint64), key=np.array(key, np.uint64))

    def words(self, n: int) -> Words:
        """The next ``n`` words, uint64[n]."""
        words: Words = self._bits.random_raw(n)
        return words


def high(words: Words) -> Words:
    """The upper 32 bits of each word, as numbers below 2**32."""
    return words >> _HALF


def low(words: Words) -> Words:
    """The lower 32 bits of each word; independent of the upper ones."""
    return words & _LOW


def threshold(probability: float) -> int:
    """How many 32-bit values mean yes: a 32-bit draw lies below this with the probability asked for, +- 2**-33."""
    return round(probability * 2**32)


def mixed(words: Words) -> Words:
    """Words made of words one to one, each output bit depending on all input bits: SplitMix64's finalizer."""
    x = words ^ (words >> np.uint64(30))
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
