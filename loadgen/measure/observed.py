"""Where to look for what arrived: the ``--observed`` option and what it can name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from loadgen.errors import InputError
from loadgen.measure.observed_files import holds_blocks, read_blocks, read_otlp_json_lines
from loadgen.measure.observed_http import base_url
from loadgen.measure.observed_remote import read_sink, read_tempo, read_url
from loadgen.measure.observed_types import Observed, Question, Reader

__all__ = [
    "Observed",
    "Question",
    "Reader",
    "parse_observed",
    "read_blocks",
    "read_otlp_json_lines",
    "read_sink",
    "read_tempo",
]
_FORMS = "must be a URL (sink or Tempo), a folder of storage blocks, or a file of OTLP JSON lines"
_FILES = (".json", ".jsonl", ".ndjson", ".gz")


def parse_observed(text: str) -> Reader:
    """What reads the place that ``text`` names: an http(s) URL, a folder of blocks, or a file.

    Which of sink and Tempo a URL is, is asked when it is read.

    Raises:
        InputError: None of these.
    """
    if "://" in text:
        return partial(read_url, base_url(text))
    path = Path(text)
    if path.is_dir() and holds_blocks(path):
        return lambda question: read_blocks(path, question.run_id)
    if path.is_dir():
        raise InputError("--observed", text, "must be a storage block or hold some (folders with a meta.json)")
    if path.is_file() and path.suffix in _FILES:
        return lambda question: read_otlp_json_lines(path, question.run_id)
    raise InputError("--observed", text, _FORMS)
