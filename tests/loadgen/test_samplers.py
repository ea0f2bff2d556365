"""Head and tail decisions against the Collector's own vectors and answers, and against a scalar reference."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from loadgen.errors import InputError
from loadgen.samplers import (
    AlwaysSample,
    HeadSampler,
    Latency,
    Pipeline,
    Probabilistic,
    Stage,
    TailSampler,
    Traces,
    parse_tracestates,
    pipeline_from_config,
)
from loadgen.samplers.hashing import fnv1a_32, fnv1a_64
from loadgen.samplers.threshold import threshold_hex, threshold_of
from loadgen.samplers.tracestate import ABSENT

DATA = Path(__file__).parents[1] / "data"
A, F, ONES = "fefefefefefefefefe80000000000000", "f" * 32, "1" * 18 + "f" * 14
ID_LISTS = st.lists(st.binary(min_size=16, max_size=16), max_size=20)
PERCENTAGES = st.floats(2.0**-30, 150, width=32)


def ids_of(*hexes: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(hexes)), np.uint8).reshape(-1, 16)


def traces_of(ids: np.ndarray, duration_ns: list[int] | None = None, errors: list[bool] | None = None) -> Traces:
    n = len(ids)
    return Traces(
        ids,
        np.array(duration_ns if duration_ns is not None else [0] * n, np.int64),
        np.array(errors if errors is not None else [False] * n, np.bool_),
        np.ones(n, np.int64),
    )


def vectors() -> list[tuple[int, str, bool]]:
    lines = (DATA / "samplers-hash-seed-50.txt").read_text().splitlines()[1:]
    return [(int(seed), trace_id, kept == "1") for seed, trace_id, kept in map(str.split, lines)]


def answers(kind: str) -> list[dict[str, Any]]:
    return json.loads(gzip.decompress((DATA / "samplers-v0.161.0-answers.json.gz").read_bytes()))[kind]


# --- published vectors ---


def test_hash_seed_vectors() -> None:
    """All hundred vectors of contrib's tests at 50 %, each with its own seed."""
    table = vectors()

    assert len(table) == 100
    for seed, trace_id, kept in table:
        assert kept == HeadSampler(50, hash_seed=seed).keep(ids_of(trace_id))[0], trace_id


def test_hash_of_nothing_and_of_zeros() -> None:
    """The seed's bytes are hashed first, little-endian."""
    assert fnv1a_32(bytes(4), np.empty((1, 0), np.uint8))[0] & 0x3FFF == 0x3515
    assert fnv1a_32(bytes(4), ids_of("00" * 16))[0] & 0x3FFF == 0x2455


def test_hash_seed_writes_randomness_and_threshold() -> None:
    """The randomness made of the hash is the published one, and the trace is dropped by it."""
    decided = HeadSampler(10).decide(ids_of("0af7651916cd43dd8448eb211c80319c"))

    assert f"{int(decided.states.rv[0]):014x}" == "886c204b10dde4"
    assert not decided.keep[0]


@pytest.mark.parametrize(
    ("percent", "buckets", "th"),
    [
        *((100, 16384, "0"), (75, 12288, "4"), (50, 8192, "8"), (33.333, 5461, "aaac"), (25, 4096, "c")),
        *((10, 1638, "e668"), (5, 819, "f334"), (1, 163, "fd74"), (0.5, 81, "febc"), (0.1, 16, "ffc")),
        *((0.05, 8, "ffe"), (0.01, 1, "fffc"), (0.006, 0, "")),
    ],
)
def test_effective_ratio_of_hash_seed(percent: float, buckets: int, th: str) -> None:
    """hash_seed mode keeps whole 16384ths, rounded down: 10 % is 1638/16384."""
    sampler = HeadSampler(percent)

    assert (buckets / 16384, th) == (sampler.effective_ratio, sampler.threshold_hex)


BOTH = ("proportional", "equalizing")
CONSISTENT = [
    (A, 50, 0, "", BOTH, "8"),
    (A, 49, 0, "", BOTH, None),
    ("d" * 18 + "c0000000000000", 25, 0, "", BOTH, "c"),
    ("d" * 18 + "b0000000000000", 25, 0, "", BOTH, None),
    (A, 1, 0, "rv:FD70A3D70A3D71", BOTH, "fd70a3d70a3d71"),
    (A, 1, 4, "rv:FD70A3D70A3D71", BOTH, "fd70a"),
    (A, 1, 3, "rv:FD70A3D70A3D71", BOTH, None),
    (A, 1, 0, "rv:FD70A3D70A3D70", BOTH, None),
    ("a0" * 9 + "fe000000000000", 1, 4, "", BOTH, "fd70a"),
    (A, 40, 3, "rv:a0000000000000", BOTH, "99a"),
    ("a0" * 9 + "80000000000000", 40, 3, "th:8", BOTH, None),
    (A, 50, 0, "rv:90000000000000;th:80000000000000", ("equalizing",), "8"),
    (A, 50, 0, "rv:90000000000000;th:80000000000000", ("proportional",), None),
    (F, 25, 0, "th:8", ("equalizing",), "c"),
    (F, 25, 0, "th:8", ("proportional",), "e"),
    ("a0" * 9 + "d0000000000000", 40, 6, "th:8", ("proportional",), "cccccd"),
    ("a0" * 9 + "d0000000000000", 40, 6, "th:8", ("equalizing",), "99999a"),
    (ONES, 100 * 2**-14, 0, "th:fffc", ("equalizing",), "fffc"),
    (ONES, 100 * 2**-14, 0, "th:fffc", ("proportional",), "fffffff"),
    (ONES, (1 - 8e-7) * 100, 10, "", ("proportional",), "00000cccccccd"),
    (ONES, 2**-4, 0, "th:fffffffffffff8", ("proportional",), None),
    (ONES, 2**-4, 0, "th:fffffffffffff8", ("equalizing",), "fffffffffffff8"),
]


@pytest.mark.parametrize(("trace_id", "percent", "precision", "arrived", "modes", "th"), CONSISTENT)
def test_consistent_vectors(
    trace_id: str, percent: float, precision: int, arrived: str, modes: tuple[str, ...], th: str | None
) -> None:
    """The vectors of contrib's tests for proportional and equalizing, tracestate in and out."""
    states = parse_tracestates([f"ot={arrived}" if arrived else ""])
    for mode in modes:
        decided = HeadSampler(percent, mode, sampling_precision=precision).decide(ids_of(trace_id), states)

        assert th == (threshold_hex(int(decided.states.th[0])) if decided.keep[0] else None), mode


@pytest.mark.parametrize(
    ("ratio", "precisions", "expected"),
    [
        (1 / 3, [3, 0], ["aab", "aaaaaaaaaaaaac"]),
        (2 / 3, [3], ["555"]),
        (1.0, [3], ["0"]),
        (2**-56, [3], ["ffffffffffffff"]),
        (2 * 2**-56, [3], ["fffffffffffffe"]),
        (16 * 2**-56, [3], ["fffffffffffff"]),
        (
            1 - 0x456789A * 2**-28,
            [0, 6, 5, 4, 3, 2, 1],
            ["456789a", "45678a", "45679", "4568", "456", "45", "4"],
        ),
        (
            1 - 0x456789A * 2**-40,
            [0, 6, 5, 4, 3, 2, 1],
            ["000456789a", "00045678a", "00045679", "0004568", "000456", "00045", "0004"],
        ),
        (1 - 0x80801 * 2**-28, [0, 3, 1], ["0080801", "00808", "008"]),
    ],
)
def test_thresholds(ratio: float, precisions: list[int], expected: list[str]) -> None:
    """Leading 0 and f digits do not count towards the precision."""
    assert expected == [threshold_hex(threshold_of(ratio, precision)) for precision in precisions]


def test_tail_hash_and_thresholds() -> None:
    """The salted 64-bit hash and the thresholds of a 64-bit big float."""
    ids = ids_of("0af7651916cd43dd8448eb211c80319c")

    assert int(fnv1a_64(b"default-hash-seed", ids)[0]) == 0x33BF83D45F51634C
    percentages = {10: 0x19999999999999FF, 5: 0x0CCCCCCCCCCCCCFF, 0: 0, 100: 2**64 - 1, 150: 2**64 - 1}
    assert percentages == {percent: Probabilistic("p", percent).threshold for percent in percentages}


# --- answers of the real processors ---


def kept_by_collector() -> list[tuple[dict[str, Any], Traces, set[str]]]:
    document = json.loads(gzip.decompress((DATA / "samplers-collector-v0.161.0-kept.json.gz").read_bytes()))
    durations = {"slow": 1_500_000_000, "edge999": 999_999_999, "edge1000": 10**9}
    kinds = document["kind"]
    traces = traces_of(
        ids_of(*document["trace_ids"]),
        [durations.get(kind, 20_000_000) for kind in kinds],
        [kind == "error" for kind in kinds],
    )
    return [(case["config"], traces, set(case["kept"])) for case in document["cases"]]


def collector_config(case: dict[str, Any]) -> str:
    settings_of = {key: value for key, value in case.items() if key not in {"processor", "policies"}}
    if "policies" in case:
        settings_of["policies"] = [
            {"name": "e", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "l", "type": "latency", "latency": {"threshold_ms": 1000}},
            {"name": "p", "type": "probabilistic", "probabilistic": {"sampling_percentage": 5}},
        ]
    name = case["processor"]
    pipelines = {"traces": {"receivers": ["otlp"], "processors": [name], "exporters": ["file"]}}
    return json.dumps({"processors": {name: settings_of}, "service": {"pipelines": pipelines}})


@pytest.mark.parametrize("number", range(6))
def test_kept_sets_equal_the_collectors(number: int) -> None:
    """Of 5,000 traces sent to a Collector v0.161.0, exactly the predicted ones came out."""
    case, traces, kept = kept_by_collector()[number]
    pipeline = pipeline_from_config(collector_config(case), "collector.yaml")

    predicted = {row.tobytes().hex() for row in traces.ids[pipeline.keep(traces)]}
    assert kept == predicted


def test_tracestate_answers_equal_the_processors() -> None:
    """Decision and outgoing state equal those of contrib v0.161.0, whatever tracestate comes in."""
    checked = 0
    for case in answers("head"):
        ids, arrived, left = zip(*case["traces"], strict=True)
        decided = HeadSampler(**case["config"]).decide(ids_of(*ids), parse_tracestates(arrived))

        assert [text is not None for text in left] == decided.keep.tolist(), case["config"]
        told, read = decided.states, parse_tracestates([text or "" for text in left])
        legible = decided.keep & ~told.malformed
        assert (read.th[legible].tolist(), read.rv[legible].tolist()) == (
            told.th[legible].tolist(),
            told.rv[legible].tolist(),
        )
        checked += int(decided.keep.sum())
    assert checked == 1147


def test_tail_answers_equal_the_processors() -> None:
    """Mixed policies decide as contrib v0.161.0 does, durations next to the threshold included."""
    for case in answers("tail"):
        ids, duration_ns, has_error, kept = zip(*case["traces"], strict=True)
        config = case["config"] | {"processor": "tail_sampling"}
        document = json.loads(collector_config(config | {"policies": []}))
        document["processors"]["tail_sampling"]["policies"] = config["policies"]
        pipeline = pipeline_from_config(json.dumps(document), "collector.yaml")

        assert list(kept) == pipeline.keep(traces_of(ids_of(*ids), list(duration_ns), list(has_error))).tolist()


# --- samplers in series ---


@pytest.mark.parametrize(("fail_closed", "kept"), [(True, 0), (False, 1)])
def test_two_hash_seed_samplers_in_series(*, fail_closed: bool, kept: int) -> None:
    """The first leaves a threshold that the second refuses: all is lost, or all of the first's is kept."""
    ids = np.random.default_rng(5).integers(0, 256, (4000, 16), dtype=np.uint8)
    first, second = HeadSampler(50), HeadSampler(50, hash_seed=9, fail_closed=fail_closed)
    pipeline = Pipeline(stages=(Stage("a", first), Stage("b", second)))

    assert kept * first.keep(ids).sum() == pipeline.keep(traces_of(ids)).sum()
    assert pipeline.effective_ratio is None


def test_consistent_samplers_in_series() -> None:
    """Proportional samplers multiply; an equalizing one behind a stricter one changes nothing."""
    ids = np.random.default_rng(6).integers(0, 256, (4000, 16), dtype=np.uint8)
    half, eighth = HeadSampler(50, "proportional"), HeadSampler(12.5, "proportional")
    quarter = HeadSampler(25, "equalizing")

    twice = Pipeline(stages=(Stage("a", half), Stage("b", HeadSampler(25, "proportional")))).keep(traces_of(ids))
    assert eighth.keep(ids).tolist() == twice.tolist()
    after = Pipeline(stages=(Stage("a", eighth), Stage("b", quarter))).keep(traces_of(ids))
    assert eighth.keep(ids).tolist() == after.tolist()


def test_tail_behind_head_sees_what_is_left() -> None:
    """'Always errors' behind a head sampler keeps only the errors the head sampler kept."""
    ids = np.random.default_rng(7).integers(0, 256, (2000, 16), dtype=np.uint8)
    traces = traces_of(ids, errors=[i % 2 == 0 for i in range(2000)])
    config = collector_config({"processor": "tail_sampling", "policies": []})
    tail = pipeline_from_config(config, "c").stages[0]
    head = HeadSampler(10)
    both = Pipeline(stages=(Stage("h", head), tail)).keep(traces)

    assert (head.keep(ids) & tail.sampler.keep(traces)).tolist() == both.tolist()  # type: ignore[arg-type]


# --- ratios and refusals ---


def test_latency_is_cut_to_whole_milliseconds() -> None:
    """A trace of 1000.999999 ms is not longer than 1000 ms for the Collector; one of 1001 ms is."""
    ids = ids_of(A, A, A)
    kept = Latency("l", 1000).keep(traces_of(ids, [1_000_000_000, 1_000_999_999, 1_001_000_000]))

    assert kept.tolist() == [False, False, True]


def test_expected_ratio_of_tail() -> None:
    """Errors or slow ones, plus a share of the rest: 1 - (1 - matched)(1 - p); equal salts do not add up."""
    tail = TailSampler((Latency("l", 1), Probabilistic("p", 5), Probabilistic("q", 3), Probabilistic("r", 50, "x")))

    assert pytest.approx(tail.expected_ratio(0.2), rel=1e-12) == 1 - 0.8 * 0.95 * 0.5
    assert (tail.latency_threshold_ms, tail.keeps_errors) == (1, False)
    assert TailSampler((AlwaysSample("a"),)).expected_ratio(0.0) == 1.0


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"sampling_percentage": -1}, "sampling_percentage"),
        ({"sampling_percentage": math.nan}, "sampling_percentage"),
        ({"sampling_percentage": math.inf}, "sampling_percentage"),
        ({"sampling_percentage": 1e-16}, "sampling_percentage"),
        ({"mode": "hash"}, "mode"),
        ({"hash_seed": 2**32}, "hash_seed"),
        ({"sampling_precision": 15}, "sampling_precision"),
    ],
)
def test_values_out_of_range(wrong: dict[str, Any], place: str) -> None:
    """A sampler that the Collector would refuse is refused, naming the setting."""
    with pytest.raises(InputError) as caught:
        HeadSampler(**({"sampling_percentage": 10} | wrong))

    assert place == caught.value.place


@pytest.mark.parametrize(
    ("text", "th", "rv", "malformed"),
    [
        ("", None, None, False),
        ("ot=th:8", 8 << 52, None, False),
        ("a=b, ot=rv:00000000000001;th:fffffffffffff1;x:y", 0xFFFFFFFFFFFFF1, 1, False),
        ("ot=th:", None, None, True),
        ("ot=rv:1", None, None, True),
        ("ot=th:123456789abcdef", None, None, True),
        ("ot=th:8;", None, None, True),
        ("ot", None, None, True),
        ("OT=th:8", None, None, True),
        ("a=b,,ot=th:c", 12 << 52, None, False),
        ("a=" + "x" * 257, None, None, True),
        (",".join(["a=1"] * 32), None, None, True),
        ("a" * 1025, None, None, True),
    ],
)
def test_tracestate_grammar(text: str, th: int | None, rv: int | None, *, malformed: bool) -> None:
    """What contrib's parser refuses is malformed; what it accepts gives threshold and randomness."""
    states = parse_tracestates([text])
    absent = int(ABSENT)

    assert (absent if th is None else th) == int(states.th[0])
    assert (absent if rv is None else rv) == int(states.rv[0])
    assert malformed == bool(states.malformed[0])
