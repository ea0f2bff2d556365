"""The options that a trace load adds to Locust, and what they must be.

Every option is a plain value (Locust sends them to workers by msgpack), and none is a secret:
headers and tokens come from the environment of the process that sends. Locust's web form can be
posted to by any page that the user's browser has open, so what touches files or gives consent to
load another machine counts only as it was given at the start of the process.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from loadgen.errors import InputError
from loadgen.pace import Rate, parse_rate
from loadgen.transport import Endpoint, parse_endpoint

DEFAULT_ENDPOINT = "http://localhost:4318"
DELIVERIES = ("trace",)
COMPRESSIONS = ("none", "gzip")
MOST_SPANS_PER_REQUEST, LONGEST_BACKLOG_S = 100_000, 600.0


TITLE, WHAT = "Trace load", "What to send, where to, and what to keep of it"


class Option(NamedTuple):
    """One option: its environment variable is HONUA_ and its name; ``fixed`` ones cannot be changed by the web form."""

    name: str
    default: Any
    text: str
    settings: Mapping[str, Any] = {}
    fixed: bool = False

    @property
    def key(self) -> str:
        """The name of its value in what argparse returns."""
        return self.name.strip("-").replace("-", "_")

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"HONUA_{self.key.upper()}"


OPTIONS = (
    Option("--otlp-endpoint", DEFAULT_ENDPOINT, "OTLP/HTTP base URL of the Collector; -H is taken too"),
    Option("--rate", "", "total rate, e.g. 200/s (traces) or 5000spans/s; without it each user adds its own"),
    Option("--seed", "", "whole number that fixes all content; drawn and recorded when not given"),
    Option("--delivery", "trace", "how spans leave: whole traces at once", {"choices": list(DELIVERIES)}),
    Option("--spans-per-request", 2000, "a request is full at this many spans", {"type": int}),
    Option("--otlp-compression", "none", "of request bodies", {"choices": list(COMPRESSIONS)}),
    Option("--max-backlog", 5.0, "seconds a due request may wait before it is shed", {"type": float}),
    Option("--runs-dir", "runs", "folder for run files", fixed=True),
    Option("--run-id", "", "name of the run; made from time and topology when not given"),
    Option("--note", "", "a note kept with the run"),
    Option("--collector-config", "", "the Collector's configuration file, kept with the run", fixed=True),
    Option("--observe", default=False, text="scrape Collector and Tempo into the run file",
           settings={"action": "store_true"}, fixed=True),
    Option("--collector-metrics", "http://localhost:8888/metrics", "metrics page to observe; '' for none", fixed=True),
    Option("--tempo-metrics", "http://localhost:3200/metrics", "metrics page to observe; '' for none", fixed=True),
    Option("--yes-load", "", "host that may be loaded though it is not this machine", fixed=True),
)  # fmt: skip
FIXED = tuple(option.key for option in OPTIONS if option.fixed)


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
    group = parser.add_argument_group(TITLE, WHAT)
    for option in OPTIONS:
        settings = dict(option.settings)
        if "action" not in settings:
            settings["type"] = _checked(option.name, settings.get("type", str))
        action = group.add_argument(
            option.name, default=option.default, help=option.text, env_var=option.variable, **settings
        )
        # Locust's parser would set these; a group of its is argparse's own and does not.
        action.include_in_web_ui = not option.fixed
        action.is_secret = action.is_required = action.is_multiple = False


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


def fixed_options(parsed: Any) -> dict[str, Any]:  # noqa: ANN401  (argparse's namespace)
    """The options that stay as the process was started with, by key."""
    return {key: getattr(parsed, key) for key in FIXED}


def read_options(parsed: Any, host: str | None = None, fixed: Mapping[str, Any] | None = None) -> LoadOptions:  # noqa: ANN401
    """The checked options; again at test start, because the web form does not check what it is given.

    Args:
        parsed: argparse's namespace, as Locust and its web form have filled it.
        host: Locust's own target (``-H``, or the form's field); used where no endpoint is named.
        fixed: What :func:`fixed_options` gave at the start of the process.

    Raises:
        InputError: An option has a value that cannot be used.
    """
    given = {option.key: getattr(parsed, option.key) for option in OPTIONS} | dict(fixed or {})
    endpoint = host if host and given["otlp_endpoint"] == DEFAULT_ENDPOINT else given["otlp_endpoint"]
    return LoadOptions(
        endpoint=parse_endpoint(endpoint),
        rate=read_rate(given["rate"]),
        seed=_seed(given["seed"]),
        delivery=_one_of("--delivery", given["delivery"], DELIVERIES),
        spans_per_request=_spans_per_request(given["spans_per_request"]),
        gzip=_one_of("--otlp-compression", given["otlp_compression"], COMPRESSIONS) == "gzip",
        max_backlog_s=_max_backlog(given["max_backlog"]),
        run_id=_run_id(given["run_id"]),
        note=str(given["note"])[:1000],
        observe=bool(given["observe"]),
        **{key: str(given[key]) for key in FIXED if key != "observe"},
    )


def read_rate(text: str) -> Rate | None:
    """The asked rate, None where users decide.

    Raises:
        InputError: Neither empty nor a rate.
    """
    return parse_rate(text) if text.strip() else None


def _seed(text: str) -> int | None:
    if not text:
        return None
    # Longer ones are not even numbers to Python's int().
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63):
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


def _spans_per_request(value: object) -> int:
    return int(_within("--spans-per-request", value, 1, MOST_SPANS_PER_REQUEST))


def _max_backlog(value: object) -> float:
    return _within("--max-backlog", value, 0.0, LONGEST_BACKLOG_S)


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
    "--rate": read_rate,
    "--seed": _seed,
    "--run-id": _run_id,
    "--spans-per-request": _spans_per_request,
    "--max-backlog": _max_backlog,
}
