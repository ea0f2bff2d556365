"""What arrived, asked over HTTP: the embedded sink lists it; Tempo is asked for a count and a sample."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np

from loadgen.errors import InputError, RemoteError
from loadgen.measure.observed_files import run_of
from loadgen.measure.observed_http import get, get_json
from loadgen.measure.observed_ids import SEEN, group_spans
from loadgen.measure.observed_types import RUN_ATTRIBUTE, Observed, Question
from loadgen.samplers import Ids

AT_ONCE = 8
_LISTING = '{"traces": [["<32 hex digits>", spans, different spans], ...], "complete": true}'


def read_sink(url: str, run_id: str) -> Observed:
    """The run's traces as the embedded sink at ``url`` lists them.

    Raises:
        RemoteError: Unreachable or another answer than a listing.
    """
    page = f"{url}/honua/runs/{quote(run_id, safe='')}/traces"
    answer = get_json(page, timeout_s=120)
    try:
        rows = sorted((bytes.fromhex(trace), int(spans), int(unique)) for trace, spans, unique in answer["traces"])
        ids = np.frombuffer(b"".join(row[0] for row in rows), np.uint8).reshape(len(rows), 16)
        complete = answer["complete"] is True
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteError(page, f"{type(error).__name__} {error}", _LISTING) from error
    if not complete:
        raise RemoteError(page, "an incomplete listing", "all traces of the run; the sink has dropped some of its own")
    spans, unique = (np.array([row[i] for row in rows], np.int64) for i in (1, 2))
    return Observed("sink", url, ids, spans, unique, complete=True)


def read_tempo(url: str, question: Question) -> Observed:
    """A count of the run's spans in Tempo, and the traces of the sample that are there.

    Search and metrics lag behind: by 30 s with Tempo v3.0.3's defaults; traces by id do not.

    Args:
        url: Base URL of Tempo's API.
        question: The run, the sample to look for, and the time its spans started in.

    Raises:
        RemoteError: Unreachable or not Tempo's answers.
    """
    total = _count_spans(url, question)
    with ThreadPoolExecutor(AT_ONCE, "tempo") as pool:
        found = pool.map(lambda trace_id: _trace_spans(url, trace_id, question.run_id), _hex(question.sample))
        spans = b"".join(found)
    grouped = group_spans(np.frombuffer(spans, SEEN))
    return Observed("tempo", url, *grouped, complete=False, asked=question.sample, total_spans=total)


def _hex(ids: Ids) -> Iterator[str]:
    return (trace_id.tobytes().hex() for trace_id in ids)


def _count_spans(url: str, question: Question) -> int:
    run_id = question.run_id.replace("\\", "\\\\").replace('"', '\\"')
    query = f'{{ resource."{RUN_ATTRIBUTE}" = "{run_id}" }} | count_over_time()'
    asked = urlencode({"q": query, "start": question.start_s, "end": question.end_s})
    page = f"{url}/api/metrics/query?{asked}"
    answer = get_json(page, timeout_s=120)
    try:
        values = [float(series.get("value", 0)) for series in answer.get("series") or ()]
    except (AttributeError, TypeError, ValueError) as error:
        raise RemoteError(page, str(answer)[:80], "the result of a TraceQL metrics query") from error
    if answer.get("status") == "PARTIAL":
        raise RemoteError(page, f"a partial count ({answer.get('message', 'no reason given')})", "a whole one")
    return round(sum(values))


def _trace_spans(url: str, trace_id: str, run_id: str) -> bytes:
    """The ids of a trace's spans in Tempo; a trace it does not have is an answer without spans."""
    page = f"{url}/api/v2/traces/{trace_id}"
    try:
        answer = get_json(page)
    except RemoteError as error:
        # Tempo v3.0.3 answers 200 with an empty trace; earlier ones answer 404.
        if error.seen.startswith("HTTP 404"):
            return b""
        raise
    try:
        return b"".join(_ids_in_trace(answer["trace"], run_id))
    except (KeyError, TypeError, AttributeError, binascii.Error, ValueError) as error:
        raise RemoteError(page, str(answer)[:80], "a trace with ids in base64") from error


def _ids_in_trace(trace: dict[str, Any], run_id: str) -> Iterator[bytes]:
    for resource_spans in trace.get("resourceSpans", ()):
        if run_of(resource_spans.get("resource", {})) == run_id:
            for scope_spans in resource_spans.get("scopeSpans", ()):
                for span in scope_spans.get("spans", ()):
                    yield _exactly(span["traceId"], 16) + _exactly(span["spanId"], 8)


def _exactly(text: str, size_bytes: int) -> bytes:
    decoded = base64.b64decode(text, validate=True)
    if len(decoded) != size_bytes:
        raise ValueError(text)
    return decoded


def read_url(url: str, question: Question) -> Observed:
    """What arrived at ``url``: the embedded sink if it says it is one, Tempo otherwise.

    Raises:
        InputError: Neither answers there.
        RemoteError: One of them does, but not with what was asked for.
    """
    if _answers(f"{url}/honua/ready"):
        return read_sink(url, question.run_id)
    if _answers(f"{url}/ready") or _answers(f"{url}/api/status/buildinfo"):
        return read_tempo(url, question)
    raise InputError("--observed", url, "neither an embedded sink (/honua/ready) nor Tempo (/ready) answers there")


def _answers(page: str) -> bool:
    try:
        get(page, timeout_s=5)
    except RemoteError:
        return False
    return True
