"""The first facts of a run file: what was asked, of whom, by what, where."""

from __future__ import annotations

import os
import platform
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import loadgen
from loadgen.errors import InputError
from loadgen.run import create_run
from loadgen.samplers import redact_config
from loadgen.user.book import Book
from loadgen.user.load import Load
from loadgen.user.options import LoadOptions

# User and password in a URL; no option takes them, but what was typed is kept as it was typed.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


def new_run_id(topology: str, now_s: float) -> str:
    """A name that sorts by time and says what was run: ``20260131-235959-checkout-3f9a``."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now_s))}-{topology[:24]}-{secrets.token_hex(2)}"


def new_seed() -> int:
    """A seed for a run that was given none."""
    return secrets.randbits(48)


def utc(now_s: float) -> str:
    """A time as text in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))


def circumstances() -> dict[str, Any]:
    """Versions and machine, as every run file has them."""
    names = ("locust", "numpy", "gevent")
    return {
        "versions": {"honua": loadgen.__version__, "python": platform.python_version()}
        | {name: version(name) for name in names},
        "host": {
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "kernel": platform.release(),
        },
    }


def command_line(arguments: Sequence[str]) -> str:
    """What was typed, without the folder of the program and without passwords in URLs."""
    words = [Path(word).name if i == 0 else word for i, word in enumerate(arguments)]
    return _CREDENTIALS.sub("[not shown]@", " ".join(words))


def plain_options(options: LoadOptions) -> dict[str, Any]:
    """The options as JSON values; no option holds a secret."""
    named = {name: getattr(options, name) for name in LoadOptions.__dataclass_fields__}
    return named | {
        "endpoint": options.endpoint.url + options.endpoint.path,
        "rate": options.rate.text if options.rate is not None else "",
        "seed": str(options.seed) if options.seed is not None else "",
    }


def read_config(path: str) -> str:
    """The Collector's configuration without its secrets; empty where none is named.

    Raises:
        InputError: Not a readable text file, or not YAML.
    """
    if not path:
        return ""
    try:
        return redact_config(Path(path).read_text("utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("--collector-config", path, "must be a readable text file") from error


def open_book(options: LoadOptions, run_id: str, seed: int, load: Load, target: Mapping[str, str]) -> Book:
    """A new run file that holds what is known before the first span.

    Raises:
        InputError: It exists, cannot be made, or the Collector's configuration cannot be read.
    """
    config = read_config(options.collector_config)
    writer = create_run(
        Path(options.runs_dir),
        run_id,
        created_utc=utc(time.time()),
        command=command_line(sys.argv),
        seed=str(seed),
        topology_name=load.topology.name,
        topology_yaml=load.text,
        options=plain_options(options),
        note=options.note,
        delivery=options.delivery,
        spans_per_request=options.spans_per_request,
        grouping="by resource within a request",
        target=dict(target),
        shape={"spans_per_trace": load.spans_per_trace, "wire_bytes_per_span": load.wire_bytes_per_span},
        **circumstances(),
        **({"collector_config": config} if config else {}),
    )
    return Book(writer)
