"""The main job on real parts: Locust -> Collector -> what it kept, compared trace by trace."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loadgen.measure.http import parse_address
from loadgen.measure.quantities import read_quantities
from loadgen.measure.scrape import fetch_page
from loadgen.run import open_run
from loadgen.stack.collector import CollectorProcess
from loadgen.stack.tempo import Tempo

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "compose" / "otelcol"
StartCollector = Callable[..., CollectorProcess]


def load(scenario: str, endpoint: str, runs: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "scenarios" / f"{scenario}.py"), "--headless"]
    command += ["--only-summary", "--run-time", "3s", "--run-id", "it", "--runs-dir", str(runs)]
    return subprocess.run(
        [*command, "--otlp-endpoint", endpoint, *options], capture_output=True, text=True, timeout=60, check=False
    )


def audit(run: Path, config: Path, observed: str) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "-m", "loadgen.cli", "audit", str(run), "--collector-config", str(config), "--json"]
    done = subprocess.run([*command, "--observed", observed], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def settle(collector: CollectorProcess, seconds: float = 10.0) -> None:
    """Return when the exporter has sent all that the sampler let through."""
    deadline_s, last = time.monotonic() + seconds, -1.0
    while time.monotonic() < deadline_s:
        time.sleep(0.5)
        sent = read_quantities(fetch_page(parse_address(collector.metrics_url), {}), "collector")["exporter_sent_spans"]
        if sent == last > 0:
            return
        last = sent


@pytest.mark.collector
@pytest.mark.parametrize("scenario", ["checkout", "deploy"])
def test_head_sampling_keeps_exactly_the_predicted_traces(
    collector: StartCollector, tmp_path: Path, scenario: str
) -> None:
    """Every trace that the configuration keeps arrives whole and once, and no other; and the counts agree."""
    kept, config = tmp_path / "kept.jsonl", CONFIGS / "test-head.yaml"
    running = collector(config, HONUA_OUT=str(kept))
    done = load(scenario, running.otlp_http, tmp_path, "--rate", "6000spans/s", "--seed", "11")
    assert done.returncode == 0, done.stderr
    settle(running)
    with open_run(tmp_path / "it") as run:
        accepted = run.counts().accepted
    counted = read_quantities(fetch_page(parse_address(running.metrics_url), {}), "collector")
    assert counted["receiver_accepted_spans"] == accepted
    running.stop()
    code, result = audit(tmp_path / "it", config, str(kept))
    assert (code, result["holds"], result["unexplained_spans"]) == (0, True, 0)
    assert result["expected"] == result["observed"]
    assert result["expected"]["spans"] == counted["exporter_sent_spans"]  # type: ignore[index]


@pytest.mark.collector
@pytest.mark.parametrize("mode", ["proportional", "equalizing"])
def test_consistent_sampling_keeps_exactly_the_predicted_traces(
    collector: StartCollector, tmp_path: Path, mode: str
) -> None:
    """The two modes of consistent probability sampling are predicted trace by trace as well."""
    kept, config = tmp_path / "kept.jsonl", tmp_path / "collector.yaml"
    text = (CONFIGS / "test-head.yaml").read_text()
    assert "mode: hash_seed" in text
    config.write_text(text.replace("mode: hash_seed", f"mode: {mode}"))
    running = collector(config, HONUA_OUT=str(kept))
    assert load("checkout", running.otlp_http, tmp_path, "--rate", "100/s").returncode == 0
    settle(running)
    running.stop()
    code, result = audit(tmp_path / "it", config, str(kept))
    assert (code, result["holds"]) == (0, True)
    assert result["expected"] == result["observed"]
    assert f"{mode}" in str(result["pipeline"])


@pytest.mark.collector
def test_audit_names_a_configuration_that_is_not_the_running_one(collector: StartCollector, tmp_path: Path) -> None:
    """With another seed than the Collector's the audit fails and says that the configuration is not the one."""
    kept, config = tmp_path / "kept.jsonl", CONFIGS / "test-head.yaml"
    running = collector(config, HONUA_OUT=str(kept))
    assert load("checkout", running.otlp_http, tmp_path, "--rate", "100/s").returncode == 0
    settle(running)
    running.stop()
    other = tmp_path / "other.yaml"
    text = config.read_text()
    assert "hash_seed: 22" in text
    other.write_text(text.replace("hash_seed: 22", "hash_seed: 23"))
    code, result = audit(tmp_path / "it", other, str(kept))
    assert (code, result["holds"]) == (1, False)


@pytest.mark.collector
def test_tail_sampling_keeps_exactly_the_predicted_traces(collector: StartCollector, tmp_path: Path) -> None:
    """Errors, slow traces and 5 % of the rest: predicted trace by trace from what was drawn."""
    kept, config = tmp_path / "kept.jsonl", CONFIGS / "test-tail.yaml"
    running = collector(config, HONUA_OUT=str(kept))
    assert load("checkout", running.otlp_http, tmp_path, "--rate", "300/s", "--seed", "5").returncode == 0
    time.sleep(4)  # decision_wait and a tick
    settle(running)
    running.stop()
    code, result = audit(tmp_path / "it", config, str(kept))
    assert (code, result["holds"]) == (0, True)
    assert result["expected"] == result["observed"]


@pytest.mark.tempo
def test_every_span_reaches_tempo(tempo: Tempo, tmp_path: Path) -> None:
    """Without a sampler all that was accepted is found in Tempo, by count and by id."""
    assert load("checkout", tempo.otlp_http, tmp_path, "--rate", "30/s").returncode == 0
    deadline_s = time.monotonic() + 60
    code = 1
    while code and time.monotonic() < deadline_s:
        time.sleep(5)  # searches lag behind ingest by up to idle time and cut
        command = [sys.executable, "-m", "loadgen.cli", "audit", str(tmp_path / "it"), "--observed", tempo.url]
        code = subprocess.run(command, capture_output=True, timeout=60, check=False).returncode
    assert code == 0
