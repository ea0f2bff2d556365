"""Real Collectors and Tempos for the integration tests; without them those tests are skipped."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from loadgen.stack.collector import CollectorProcess, find_collector, start_collector
from loadgen.stack.tempo import Tempo, attach_tempo, find_tempo, start_tempo

StartCollector = Callable[..., CollectorProcess]


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    """The real Collector; without one the test is skipped, and fails where CI=true."""
    found = find_collector()
    if found:
        return found
    reason = "no OpenTelemetry Collector: run `make collector` (needs Go) or set HONUA_OTELCOL"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(name="collector")
def _collector(collector_binary: Path, tmp_path: Path) -> Iterator[StartCollector]:
    """``collector(config, **environment)`` starts a Collector that ends with the test."""
    numbers = count(1)
    with ExitStack() as running:

        def start(config: str | Path, **environment: str) -> CollectorProcess:
            folder = tmp_path / f"collector-{next(numbers)}"
            return running.enter_context(start_collector(collector_binary, config, folder, **environment))

        yield start


@pytest.fixture(name="tempo")
def _tempo(tmp_path: Path) -> Iterator[Tempo]:
    """A real Tempo: the running one at HONUA_TEMPO_URL, else one started from HONUA_TEMPO_BIN."""
    attached, binary = attach_tempo(), find_tempo()
    if attached:
        yield attached
    elif binary:
        with start_tempo(binary, tmp_path / "tempo") as started:
            yield started
    else:
        pytest.skip("no Tempo: set HONUA_TEMPO_BIN or HONUA_TEMPO_URL")
