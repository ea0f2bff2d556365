"""Freed memory stays with the process, so that the next array costs no page faults."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from loadgen.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
for _ in range(3):
    [np.ones(40_000) for _ in range(20)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    [np.ones(40_000) for _ in range(20)]
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> tuple[str, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, timeout=60, check=True)
    kept, count = done.stdout.split()
    return kept, int(count)


def test_arrays_of_one_size_stop_faulting() -> None:
    """Twenty arrays of 320 kB made and dropped fifty times: next to no page faults once memory is kept."""
    kept, count = faults("keep")
    if kept == "False":
        pytest.skip("this C library takes no advice on freed memory")
    assert count < 200
    assert faults("default")[1] > 10 * count
