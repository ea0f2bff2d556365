"""The hashes the Collector's samplers take of trace ids, over whole arrays of ids.

FNV-1a: xor a byte in, multiply by a prime, modulo the word. NumPy's unsigned arrays wrap the
way the definition asks for, so one pass over the sixteen columns of ids hashes all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from loadgen.samplers.traces import Ids, Words

_OFFSET_32, _PRIME_32 = 0x811C9DC5, 0x01000193
_OFFSET_64, _PRIME_64 = 0xCBF29CE484222325, 0x100000001B3
# Ids hashed at a time: their sixteen widened columns stay in a core's second-level cache.
_CHUNK = 4096


def _start(prefix: bytes, offset: int, prime: int, mask: int) -> int:
    state = offset
    for byte in prefix:
        state = ((state ^ byte) * prime) & mask
    return state


def _chunks(n: int) -> Iterable[slice]:
    return (slice(first, first + _CHUNK) for first in range(0, n, _CHUNK))


def fnv1a_32(prefix: bytes, ids: Ids) -> npt.NDArray[np.uint32]:
    """FNV-1a of ``prefix`` followed by each id, uint32[n]."""
    hashes = np.full(len(ids), _start(prefix, _OFFSET_32, _PRIME_32, 0xFFFFFFFF), np.uint32)
    for chunk in _chunks(len(ids)):
        part = hashes[chunk]
        for column in ids[chunk].T.astype(np.uint32, order="C"):
            part ^= column
            part *= np.uint32(_PRIME_32)
    return hashes


def fnv1a_64(prefix: bytes, ids: Ids) -> Words:
    """FNV-1a of ``prefix`` followed by each id, uint64[n]."""
    hashes = np.full(len(ids), _start(prefix, _OFFSET_64, _PRIME_64, 0xFFFFFFFFFFFFFFFF), np.uint64)
    for chunk in _chunks(len(ids)):
        part = hashes[chunk]
        for column in ids[chunk].T.astype(np.uint64, order="C"):
            part ^= column
            part *= np.uint64(_PRIME_64)
    return hashes
