"""The real OpenTelemetry Collector as a child process on free loopback ports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from loadgen.errors import InputError
from loadgen.stack.process import (
    LOOPBACK,
    Child,
    Launch,
    Ports,
    accepts,
    answers,
)

BUILT = Path(__file__).parents[2] / "compose" / "otelcol" / "_build" / "otelcol-honua"
ON_PATH = ("otelcol-honua", "otelcol-contrib", "otelcol")
PORTS = ("HONUA_OTLP_GRPC_PORT", "HONUA_OTLP_HTTP_PORT", "HONUA_METRICS_PORT", "HONUA_HEALTH_PORT")


@dataclass(frozen=True, slots=True)
class CollectorProcess:
    """A running Collector; leaving the ``with`` block ends it."""

    child: Child
    ports: Ports

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _url(self, variable: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[variable]}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def log(self) -> Path:
        """The file its log goes to."""
        return self.child.log

    @property
    def otlp_http(self) -> str:
        """Base URL of OTLP/HTTP; traces go to ``/v1/traces`` under it."""
        return self._url("HONUA_OTLP_HTTP_PORT")

    @property
    def otlp_grpc(self) -> str:
        """``host:port`` of OTLP/gRPC."""
        return f"{LOOPBACK}:{self.ports['HONUA_OTLP_GRPC_PORT']}"

    @property
    def metrics_url(self) -> str:
        """Its own metrics page."""
        return self._url("HONUA_METRICS_PORT") + "/metrics"

    def stop(self, grace_s: float = 10.0) -> int:
        """End it: SIGTERM, which flushes exporters, and SIGKILL ``grace_s`` [s] later; its exit code."""
        return self.child.stop(grace_s)


def find_collector(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The Collector to use: HONUA_OTELCOL, else the one `make collector` built, else one on the PATH.

    Raises:
        InputError: HONUA_OTELCOL names no program.
    """
    named = environment.get("HONUA_OTELCOL")
    if named:
        return program("HONUA_OTELCOL", named)
    if os.access(BUILT, os.X_OK):
        return BUILT
    found = filter(None, (shutil.which(name, path=environment.get("PATH")) for name in ON_PATH))
    return next((Path(path) for path in found), None)


def program(variable: str, named: str) -> Path:
    """The program an environment variable names.

    Raises:
        InputError: There is none, or it may not be run.
    """
    path = Path(named)
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise InputError(variable, named, "must be a program's path")
    return path


def _config_file(config: str | Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(config, Path):
        if not config.is_file():
            raise InputError("Collector configuration", str(config), "must be a file")
        return config
    written = folder / "collector.yaml"
    written.write_text(config, "utf-8")
    return written


def _ready(ports: Ports, named: set[str]) -> bool:
    # Receivers start last: once their ports accept, everything behind them runs.
    checks: dict[str, Callable[[int], bool]] = {
        "HONUA_HEALTH_PORT": lambda port: answers(f"http://{LOOPBACK}:{port}/"),
        "HONUA_METRICS_PORT": lambda port: answers(f"http://{LOOPBACK}:{port}/metrics"),
        "HONUA_OTLP_HTTP_PORT": accepts,
        "HONUA_OTLP_GRPC_PORT": accepts,
    }
    return all(check(ports[variable]) for variable, check in checks.items() if variable in named)


def start_collector(
    binary: Path, config: str | Path, folder: Path, ready_s: float = 20.0, **environment: str
) -> CollectorProcess:
    """A Collector that is ready for spans.

    Args:
        binary: The Collector, e.g. of :func:`find_collector`.
        config: Its configuration: a file (Path) or YAML text (str) that takes its ports from the
            variables in ``PORTS`` as ``${env:HONUA_METRICS_PORT}``.
        folder: Where its log and a configuration given as text are written; made if absent.
        ready_s: How long it may take [s].
        environment: Further variables of the configuration, such as ``HONUA_OUT="kept.jsonl"``.

    Raises:
        InputError: The configuration is no file, or names none of the ports.
        RemoteError: It did not start; the last lines of its log say why.
    """
    path = _config_file(config, folder)
    text = path.read_text("utf-8")
    named = {variable for variable in PORTS if variable in text}
    if not named:
        raise InputError(str(path), "no port variable", f"must take its ports from {', '.join(PORTS)}")
    arguments = [str(binary), f"--config=file:{path}"]
    launch = Launch(arguments, folder / "collector.log", {"HONUA_BIND": LOOPBACK, **environment}, PORTS)
    child, ports = launch.start(lambda ports: _ready(ports, named), ready_s)
    return CollectorProcess(child, ports)
