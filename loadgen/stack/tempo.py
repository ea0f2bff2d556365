"""A real Tempo, all in one process, as a child on free loopback ports with storage in one folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from loadgen.measure.http import parse_address
from loadgen.stack.collector import program
from loadgen.stack.process import LOOPBACK, Child, Launch, Ports, accepts, answers

CONFIG = Path(__file__).with_name("tempo.yaml")
PORTS = (
    "HONUA_TEMPO_HTTP_PORT",
    "HONUA_TEMPO_GRPC_PORT",
    "HONUA_TEMPO_MEMBERLIST_PORT",
    "HONUA_TEMPO_OTLP_GRPC_PORT",
    "HONUA_TEMPO_OTLP_HTTP_PORT",
)


@dataclass(frozen=True, slots=True)
class Tempo:
    """A Tempo that answers.

    Args:
        url: Base URL of its API; the metrics page is ``/metrics`` under it.
        otlp_http: Base URL of OTLP/HTTP.
        otlp_grpc: ``host:port`` of OTLP/gRPC.
        blocks: Folder of its storage blocks, one folder a tenant within; None where it is not ours.
        child: Its process; None where it is not ours, and leaving the ``with`` block ends nothing then.
    """

    url: str
    otlp_http: str
    otlp_grpc: str
    blocks: Path | None = None
    child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def metrics_url(self) -> str:
        """Its own metrics page."""
        return f"{self.url}/metrics"

    @property
    def pid(self) -> int | None:
        """Its process id; None where it is not ours."""
        return self.child.pid if self.child else None

    def stop(self, grace_s: float = 5.0) -> None:
        """End it if it is ours; what it held in memory is in its write-ahead log.

        Tempo v3.0.3 stops its stores within a second, but once it has answered a query its
        query-frontend waits for ever for its queue to end: SIGKILL after ``grace_s`` [s] is usual.
        """
        if self.child:
            self.child.stop(grace_s)


def find_tempo(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The Tempo program that HONUA_TEMPO_BIN names, if it is set.

    Raises:
        InputError: It names no program.
    """
    named = environment.get("HONUA_TEMPO_BIN")
    return program("HONUA_TEMPO_BIN", named) if named else None


def attach_tempo(environment: Mapping[str, str] = os.environ) -> Tempo | None:
    """The running Tempo at HONUA_TEMPO_URL, if that is set; OTLP on the usual ports of its host.

    Raises:
        InputError: Not a URL.
    """
    named = environment.get("HONUA_TEMPO_URL")
    if not named:
        return None
    address = parse_address(named, "/")
    host = f"[{address.host}]" if ":" in address.host else address.host
    return Tempo(address.url.rstrip("/"), f"http://{host}:4318", f"{host}:4317")


def _ready(ports: Ports) -> bool:
    url = f"http://{LOOPBACK}:{ports['HONUA_TEMPO_HTTP_PORT']}/ready"
    return accepts(ports["HONUA_TEMPO_OTLP_HTTP_PORT"]) and answers(url)


def start_tempo(binary: Path, folder: Path, ready_s: float = 60.0, **environment: str) -> Tempo:
    """A Tempo v3 that is ready for spans and queries.

    Args:
        binary: The program, e.g. of :func:`find_tempo`.
        folder: Where its storage and its log are written; made if absent.
        ready_s: How long it may take [s].
        environment: Variables of the configuration: HONUA_TEMPO_BLOCK_VERSION (vParquet4),
            HONUA_TEMPO_BLOCK_DURATION (30s), HONUA_TEMPO_NO_COMPACTION (false).

    Raises:
        RemoteError: It did not start; the last lines of its log say why.
    """
    place = folder.resolve()
    (place / "scheduler").mkdir(parents=True, exist_ok=True)
    arguments = [str(binary), f"-config.file={CONFIG}", "-config.expand-env=true"]
    launch = Launch(arguments, place / "tempo.log", {"HONUA_TEMPO_FOLDER": str(place), **environment}, PORTS)
    child, ports = launch.start(_ready, ready_s)
    api, grpc, http = (ports[f"HONUA_TEMPO_{name}_PORT"] for name in ("HTTP", "OTLP_GRPC", "OTLP_HTTP"))
    base = f"http://{LOOPBACK}"
    return Tempo(f"{base}:{api}", f"{base}:{http}", f"{LOOPBACK}:{grpc}", place / "blocks", child)
