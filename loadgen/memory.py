"""Keep freed memory, so that the next array of the same size costs no page faults.

Facts. glibc gives large blocks back to the kernel when they are freed (mmap above 128 KiB, trimming
above that much free at the top of the heap), and every page of the next one is then faulted in and
zeroed again. A generator that makes and drops the same few hundred kilobytes for every request
spends more time in that than in its arithmetic: measured on checkout at 2,000 spans a request,
0.95 us of CPU a span with the defaults, 0.60 us with these settings (`make bench` shows today's).
"""

from __future__ import annotations

import ctypes

# Of malloc.h; see mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
# glibc takes no larger threshold than this for mmap.
_LARGEST_MMAP_THRESHOLD_BYTES = 32 << 20
_KEPT_BYTES, _PAD_BYTES = 128 << 20, 16 << 20


def keep_freed_memory() -> bool:
    """Tell the C library to keep up to 128 MiB of freed memory; False where it takes no such advice."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = (
        (_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD_BYTES),
        (_TRIM_THRESHOLD, _KEPT_BYTES),
        (_TOP_PAD, _PAD_BYTES),
    )
    return all(mallopt(name, value) == 1 for name, value in settings)
