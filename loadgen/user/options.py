"""The options that a trace load adds to Locust, and what they must be.

Every option is a plain value (Locust sends them to workers by msgpack), and none is a secret:
headers and tokens come from the environment of the process that sends.
"""

from __future__ import annotations

import ipaddress
import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.errors import InputError
from loadgen.pace import Rate, parse_rate
from loadgen.transport import Endpoint, parse_endpoint

DEFAULT_ENDPOINT = "http://localhost:4318"
HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
# Above this a target that is not this machine has to be named a second time.
HARMLESS_SPANS_PER_S = 1000

# name, default, environment variable, help, further argparse settings
OPTIONS: tuple[tuple[str, Any, str, str, dict[str, Any]], ...] = (
    ("--otlp-endpoint", DEFAULT_ENDPOINT, "HONUA_OTLP_ENDPOINT", "OTLP/HTTP base URL of the Collector", {}),
    (
        "--rate",
        "",
        "HONUA_RATE",
        "total rate, e.g. 200/s (traces) or 5000spans/s; without it each user adds 1/s",
        {},
    ),
    (
        "--seed",
        "",
        "HONUA_SEED",
        "whole number that fixes all content; drawn and recorded when not given",
        {},
    ),
    (
        "--delivery",
        "trace",
        "HONUA_DELIVERY",
        "how spans leave: whole traces at once",
        {"choices": ["trace"]},
    ),
    (
        "--spans-per-request",
        2000,
        "HONUA_SPANS_PER_REQUEST",
        "a request is full at this many spans",
        {"type": int},
    ),
    (
        "--otlp-compression",
        "none",
        "HONUA_OTLP_COMPRESSION",
        "of request bodies",
        {"choices": ["none", "gzip"]},
    ),
    (
        "--max-backlog",
        5.0,
        "HONUA_MAX_BACKLOG",
        "seconds a due request may wait before it is shed",
        {"type": float},
    ),
    ("--runs-dir", "runs", "HONUA_RUNS_DIR", "folder for run files", {}),
    ("--run-id", "", "HONUA_RUN_ID", "name of the run; made from time and topology when not given", {}),
    ("--note", "", "HONUA_NOTE", "a note kept with the run", {}),
    (
        "--collector-config",
        "",
        "HONUA_COLLECTOR_CONFIG",
        "the Collector's configuration file, kept with the run",
        {},
    ),
    (
        "--observe",
        False,
        "HONUA_OBSERVE",
        "scrape Collector and Tempo into the run file",
        {"action": "store_true"},
    ),
    (
        "--collector-metrics",
        "http://localhost:8888/metrics",
        "HONUA_COLLECTOR_METRICS",
        "its metrics page",
        {},
    ),
    ("--tempo-metrics", "http://localhost:3200/metrics", "HONUA_TEMPO_METRICS", "its metrics page", {}),
    ("--yes-load", "", "HONUA_YES_LOAD", "host that may be loaded though it is not this machine", {}),
)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of one run, checked."""

    endpoint: Endpoint
    rate: Rate | None
    seed: int | None
    delivery: str
    spans_per_request: int
    gzip: bool
    max_backlog_s: float
    runs_dir: str
    run_id: str
    note: str
    collector_config: str
    observe: bool
    collector_metrics: str
    tempo_metrics: str
    yes_load: str


def add_options(parser: Any) -> None:  # noqa: ANN401  (Locust's parser)
    """Add the options and safe defaults; runs at every view of the web page, so it must be cheap and quiet."""
    parser.set_defaults(
        web_host="127.0.0.1", master_bind_host="127.0.0.1", stop_timeout=10, num_users=8, spawn_rate=100
    )
    group = parser.add_argument_group("Trace load", "What to send, where to, and what to keep of it")
    for name, default, variable, text, settings in OPTIONS:
        checked = settings if "action" in settings else {**settings, "type": _checked(name, settings.get("type", str))}
        group.add_argument(name, default=default, env_var=variable, help=text, **checked)


def _checked(name: str, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """An argparse type that says what is wrong with a value in the words of its own check."""

    def convert(text: str) -> Any:  # noqa: ANN401
        value = kind(text)
        if name in CHECKS:
            try:
                CHECKS[name](value)
            except InputError as error:
                raise ArgumentTypeError(str(error)) from error
        return value

    convert.__name__ = kind.__name__
    return convert


def read_options(parsed: Any) -> LoadOptions:  # noqa: ANN401  (argparse's namespace)
    """The checked options; again at test start, because the web form does not check what it is given.

    Raises:
        InputError: An option has a value that cannot be used.
    """
    endpoint = parsed.otlp_endpoint
    if endpoint == DEFAULT_ENDPOINT and getattr(parsed, "host", None):
        endpoint = parsed.host
    return LoadOptions(
        endpoint=parse_endpoint(endpoint),
        rate=_rate(parsed.rate),
        seed=_seed(parsed.seed),
        delivery=_one_of("--delivery", parsed.delivery, ("trace",)),
        spans_per_request=int(_within("--spans-per-request", parsed.spans_per_request, 1, 100_000)),
        gzip=_one_of("--otlp-compression", parsed.otlp_compression, ("none", "gzip")) == "gzip",
        max_backlog_s=_within("--max-backlog", parsed.max_backlog, 0.0, 600.0),
        runs_dir=str(parsed.runs_dir),
        run_id=_run_id(parsed.run_id),
        note=str(parsed.note)[:1000],
        collector_config=str(parsed.collector_config),
        observe=bool(parsed.observe),
        collector_metrics=str(parsed.collector_metrics),
        tempo_metrics=str(parsed.tempo_metrics),
        yes_load=str(parsed.yes_load),
    )


def _rate(text: str) -> Rate | None:
    return parse_rate(text) if text else None


def _seed(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit() or int(text) >= 2**63:
        raise InputError("--seed", text, "must be a whole number below 2**63")
    return int(text)


def _run_id(text: str) -> str:
    if text and not (text.replace("-", "").replace("_", "").isalnum() and text.isascii() and len(text) <= 64):
        raise InputError("--run-id", text, "must be at most 64 letters, digits, - and _")
    return text


def _one_of(place: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InputError(place, value, f"must be one of {', '.join(known)}")
    return value


def _within(place: str, value: object, least: float, most: float) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise InputError(place, value, "must be a number") from error
    if not least <= number <= most:
        raise InputError(place, value, f"must be {least:g}-{most:g}")
    return number


CHECKS: Mapping[str, Callable[[Any], object]] = {
    "--otlp-endpoint": parse_endpoint,
    "--rate": _rate,
    "--seed": _seed,
    "--run-id": _run_id,
    "--spans-per-request": lambda value: _within("--spans-per-request", value, 1, 100_000),
    "--max-backlog": lambda value: _within("--max-backlog", value, 0.0, 600.0),
}


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_consent(options: LoadOptions, spans_per_s: float) -> None:
    """Refuse to load another machine by accident.

    Raises:
        InputError: The target is not loopback, the rate is not harmless, and ``--yes-load`` does not name the host.
    """
    host = options.endpoint.host
    if is_loopback(host) or spans_per_s <= HARMLESS_SPANS_PER_S or options.yes_load == host:
        return
    rule = f"must be {host} to send {spans_per_s:,.0f} spans/s to a machine that is not this one"
    raise InputError("--yes-load", options.yes_load, rule)


def otlp_headers(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Headers from OTEL_EXPORTER_OTLP_HEADERS (``key=value,key=value``), as every exporter takes them.

    Raises:
        InputError: Not of that form; the message does not repeat the value.
    """
    pairs = [pair.partition("=") for pair in environment.get(HEADERS_VARIABLE, "").split(",") if pair.strip()]
    if any(not equals or not key.strip() for key, equals, _ in pairs):
        raise InputError(HEADERS_VARIABLE, "[not shown]", "must be key=value,key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}
