"""A block is a function of its arguments: here, there, alone, in sequence, today, and on another processor.

``HONUA_ACCEPT=1 pytest tests/loadgen/test_synth_replay.py`` accepts what the shipped topologies make now.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from loadgen.otlp import compile_pieces, encode_batch, for_run
from loadgen.synth import Program, SpanBatch, compile_topology, draw
from loadgen.topology import Topology, load_topology

Make = Callable[..., Topology]
SCENARIOS = ("checkout", "deploy")
GOLD = Path(__file__).parent.parent / "gold" / "synth.json"
BLOCKS = (0, 7, 2**40 + 3)
STARTS_NS = 1_800_000_000 * 10**9 + np.arange(150) * 1_234_567
RANDOM_FIELDS = {"trace_ids", "span_ids"}


def hashes() -> dict[str, str]:
    """One hash per shipped topology, over the requests of a few blocks."""
    return {name: hash_of(name) for name in SCENARIOS}


def hash_of(name: str) -> str:
    program = compile_topology(load_topology(name))
    pieces = for_run(compile_pieces(program), 20260131, "gold")
    batches = (draw(program, 20260131, "gold", block, STARTS_NS, ending=True) for block in BLOCKS)
    return sha256(b"".join(encode_batch(pieces, batch) for batch in batches)).hexdigest()


def elsewhere(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The hashes as a fresh process with some environment variables computes them, and the features it chose by."""
    here = Path(__file__)
    done = subprocess.run(
        [sys.executable, str(here)],
        cwd=here.parent.parent.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found, features = json.loads(done.stdout)
    return found, features


def dispatched_features() -> list[str]:
    """The processor's features that this NumPy would choose its loops by, beyond those it was built to need."""
    umath = import_module("numpy._core._multiarray_umath")
    return [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]


@pytest.fixture(scope="module")
def gold() -> dict[str, str]:
    """What was accepted last."""
    if os.environ.get("HONUA_ACCEPT") == "1":
        GOLD.write_text(json.dumps(hashes(), indent=2) + "\n", "utf-8")
    accepted: dict[str, str] = json.loads(GOLD.read_text("utf-8"))
    return accepted


def test_shipped_topologies_make_the_accepted_bytes(gold: dict[str, str]) -> None:
    """A change of any byte of the same arguments' requests is a change of the product, to be accepted as one."""
    assert hashes() == gold, "accept with HONUA_ACCEPT=1 if the topologies or the synthesis were meant to change"


def test_bytes_do_not_depend_on_the_process(gold: dict[str, str]) -> None:
    """A fresh process with another hash seed makes the same bytes."""
    assert elsewhere({"PYTHONHASHSEED": "4711"})[0] == gold


def test_bytes_do_not_depend_on_numpys_choice_of_loops(gold: dict[str, str]) -> None:
    """With every processor feature that NumPy can be told to do without switched off, the bytes are the same."""
    assert elsewhere({"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched_features())}) == (gold, [])


def test_bytes_do_not_depend_on_the_c_library_s_choice_of_functions(gold: dict[str, str]) -> None:
    """Powers and exponentials differ in their last bit between processors; nothing that is drawn does."""
    tunables = "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable"
    assert elsewhere({"GLIBC_TUNABLES": tunables})[0] == gold


# --- pure --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SCENARIOS)
def program(request: pytest.FixtureRequest) -> Program:
    """Each shipped topology."""
    return compile_topology(load_topology(request.param))


def differing(one: SpanBatch, other: SpanBatch) -> set[str]:
    """Names of the fields that are not the same."""
    names = [field.name for field in fields(SpanBatch)]
    return {name for name in names if not np.array_equal(getattr(one, name), getattr(other, name))}


def test_the_same_arguments_give_the_same_block(program: Program) -> None:
    """Nothing that was drawn before leaves a trace in what is drawn now."""
    alone = draw(program, 5, "run", 9, STARTS_NS)
    for block in range(8, 12):
        draw(program, 6, "other", block, STARTS_NS)
    assert differing(alone, draw(program, 5, "run", 9, STARTS_NS)) == set()


def test_equal_topologies_draw_alike(make: Make) -> None:
    """The order in which services are written matters, the object that was parsed does not."""
    tree = {"o": {"calls": ["s/a"]}, "a": {"attributes": {"x": {"zipf": {"cardinality": 9}}}}}
    batches = [draw(compile_topology(make(tree)), 1, "run", 0, STARTS_NS) for _ in range(2)]
    assert differing(*batches) == set()


def test_a_run_id_changes_ids_and_nothing_else(program: Program) -> None:
    """Two runs of one seed send the same content, and never the same id."""
    one, other = (draw(program, 5, run_id, 9, STARTS_NS) for run_id in ("first", "second"))
    assert differing(one, other) == RANDOM_FIELDS
    assert not set(one.span_ids.tolist()) & set(other.span_ids.tolist())
    assert not set(map(bytes, one.trace_ids)) & set(map(bytes, other.trace_ids))


def test_a_seed_changes_the_content(program: Program) -> None:
    """Another seed is another load."""
    one, other = (draw(program, seed, "run", 9, STARTS_NS) for seed in (5, 6))
    assert {"number", "end_ns"} | RANDOM_FIELDS <= differing(one, other)


def test_the_schedule_moves_traces_and_changes_none(program: Program) -> None:
    """When a trace begins has no part in what happens in it."""
    one = draw(program, 5, "run", 9, STARTS_NS)
    other = draw(program, 5, "run", 9, STARTS_NS + 777)
    assert differing(one, other) <= {"starts_ns", "start_ns", "end_ns", "number"}
    assert (other.start_ns - one.start_ns == 777).all()
    assert (other.end_ns - one.end_ns == 777).all()


def test_drawing_leaves_its_arguments_alone(program: Program) -> None:
    """The caller's schedule is read, not written."""
    starts_ns = STARTS_NS.copy()
    starts_ns.flags.writeable = False
    draw(program, 5, "run", 9, starts_ns, ending=True)
    assert (starts_ns == STARTS_NS).all()


def test_ids_are_unique_and_never_zero(program: Program) -> None:
    """A hundred thousand spans of several blocks and workers, and no id twice."""
    span_ids: list[int] = []
    trace_ids: list[bytes] = []
    for block in range(1000):
        batch = draw(program, 5, "run", (block % 3) * 2**40 + block, STARTS_NS)
        span_ids += batch.span_ids.tolist()
        trace_ids += map(bytes, batch.trace_ids)
        if len(span_ids) > 100_000:
            break
    assert len(span_ids) > 100_000
    assert len(set(span_ids)) == len(span_ids)
    assert len(set(trace_ids)) == len(trace_ids)
    assert 0 not in span_ids
    assert bytes(16) not in trace_ids


def test_ids_are_random_in_every_bit(program: Program) -> None:
    """What samplers decide by is as often one as zero, in each bit."""
    batch = draw(program, 5, "run", 9, np.full(20_000, 10**18))
    ones = np.unpackbits(batch.trace_ids, axis=1).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 5 * 0.5 / np.sqrt(20_000)


if __name__ == "__main__":
    sys.stdout.write(json.dumps([hashes(), dispatched_features()]))
