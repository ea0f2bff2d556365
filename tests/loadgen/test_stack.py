import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from loadgen.errors import InputError, RemoteError
from loadgen.stack.collector import PORTS, find_collector, start_collector
from loadgen.stack.process import Child, Launch, free_ports
from loadgen.stack.tempo import attach_tempo, find_tempo, start_tempo

CONFIG = "metrics: ${env:HONUA_METRICS_PORT}\n"
METRICS_ONLY = """
import http.server, os, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"otelcol_process_uptime 1\\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("arguments:", *sys.argv[1:], flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["HONUA_METRICS_PORT"])), Page).serve_forever()
"""


def program_of(folder: Path, source: str) -> Path:
    """An executable that runs ``source`` with this Python."""
    path = folder / "program"
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(0o755)
    return path


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_free_ports_differ_and_can_be_bound() -> None:
    """Ports found free are distinct and nobody listens there."""
    ports = free_ports(8)

    assert len(set(ports)) == 8
    with socket.socket() as one:
        one.bind(("127.0.0.1", ports[0]))


def test_child_ends_on_sigterm_and_a_second_stop_tells_the_same(tmp_path: Path) -> None:
    """A child that obeys is ended by SIGTERM."""
    child = Child([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", {})

    assert child.exit_code is None
    assert (child.stop(), child.stop()) == (-signal.SIGTERM, -signal.SIGTERM)
    assert not is_running(child.pid)


def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """A child that does not obey is ended all the same, and only after its grace."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    source = f"{deaf}; print('up', flush=True); time.sleep(60)"
    with Child([sys.executable, "-c", source], tmp_path / "log", {}) as child:
        while "up" not in child.last_words():
            time.sleep(0.01)
        started_s = time.monotonic()
        ended = child.stop(grace_s=0.3)

    assert ended == -signal.SIGKILL
    assert 0.3 <= time.monotonic() - started_s < 5


def test_stop_ends_no_other_process(tmp_path: Path) -> None:
    """Ending one child leaves its sibling alone."""
    forever = [sys.executable, "-c", "import time; time.sleep(60)"]
    with Child(forever, tmp_path / "a", {}) as one, Child(forever, tmp_path / "b", {}) as other:
        one.stop()

        assert other.exit_code is None


def test_collector_that_answers_is_ready(tmp_path: Path) -> None:
    """Readiness is what the configuration's own ports tell; text becomes a file beside the log."""
    binary = program_of(tmp_path, METRICS_ONLY)
    with start_collector(binary, CONFIG, tmp_path / "run") as collector:
        pid = collector.pid
        assert is_running(pid)
    written = tmp_path / "run" / "collector.yaml"

    assert written.read_text() == CONFIG
    assert collector.log.read_text().splitlines()[0] == f"arguments: --config=file:{written}"
    assert collector.metrics_url == f"http://127.0.0.1:{collector.ports['HONUA_METRICS_PORT']}/metrics"
    assert set(collector.ports) == set(PORTS)
    assert not is_running(pid)


def test_collector_that_ends_says_why(tmp_path: Path) -> None:
    """A start that fails names the exit code and the last lines of the log, on one line."""
    binary = program_of(tmp_path, "import sys; print('Error: bad\\n\\n  policies has invalid keys'); sys.exit(3)")
    with pytest.raises(RemoteError) as caught:
        start_collector(binary, CONFIG, tmp_path / "run")

    assert caught.value.seen == "ended with code 3: Error: bad | policies has invalid keys"
    assert "\n" not in str(caught.value)


def test_collector_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    """A process that stays silent is ended, not left behind."""
    source = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(RemoteError) as caught:
        start_collector(program_of(tmp_path, source), CONFIG, tmp_path / "run", ready_s=0.5)

    assert caught.value.seen.startswith("not ready: ")
    assert not is_running(int((tmp_path / "run" / "collector.log").read_text()))


def test_port_taken_meanwhile_means_other_ports(tmp_path: Path) -> None:
    """When somebody else opens a port first, the start is tried again with other ports."""
    tries = tmp_path / "tries"
    source = f"""
import os, sys
first = not os.path.exists({str(tries)!r})
open({str(tries)!r}, "a").write(os.environ["HONUA_METRICS_PORT"] + "\\n")
if first:
    sys.exit("listen tcp 127.0.0.1:1: bind: address already in use")
{METRICS_ONLY}"""
    with start_collector(program_of(tmp_path, source), CONFIG, tmp_path / "run"):
        ports = tries.read_text().split()

    assert len(set(ports)) == 2


def test_launch_passes_environment_and_keeps_what_is_not_overridden(tmp_path: Path) -> None:
    """A child sees our environment, its ports and what it is given."""
    source = "import os, time; e = os.environ; print(e['A'], e['PORT'], 'PATH' in e, flush=True); time.sleep(60)"
    launch = Launch([sys.executable, "-c", source], tmp_path / "log", {"A": "given"}, ["PORT"])
    child, ports = launch.start(lambda _: (tmp_path / "log").stat().st_size > 0, ready_s=10)
    with child:
        told = child.last_words()

    assert told == f"given {ports['PORT']} True"


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        (Path("nowhere.yaml"), "must be a file"),
        ("receivers: {}\n", "must take its ports from HONUA_OTLP_GRPC_PORT"),
    ],
)
def test_configuration_that_cannot_be_started(config: str | Path, rule: str, tmp_path: Path) -> None:
    """A missing file, or one whose ports would be guesses, is refused before anything starts."""
    with pytest.raises(InputError, match=rule):
        start_collector(Path(sys.executable), config, tmp_path)


def test_collector_is_found_by_name_then_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HONUA_OTELCOL first, then the one built here, then the PATH, then none."""
    monkeypatch.setattr("loadgen.stack.collector.BUILT", tmp_path / "nothing-built")
    named = program_of(tmp_path, "")
    on_path = tmp_path / "bin" / "otelcol-contrib"
    on_path.parent.mkdir()
    on_path.symlink_to(named)

    assert find_collector({"HONUA_OTELCOL": str(named), "PATH": str(on_path.parent)}) == named
    assert find_collector({"PATH": str(on_path.parent)}) == on_path
    assert find_collector({"PATH": str(tmp_path)}) is None
    monkeypatch.setattr("loadgen.stack.collector.BUILT", named)
    assert find_collector({"PATH": str(on_path.parent)}) == named


@pytest.mark.parametrize("find", [find_collector, find_tempo])
def test_program_that_is_named_but_absent(find: type, tmp_path: Path) -> None:
    """A program that is asked for and not there is an error, not a reason to take another."""
    variables = {"HONUA_OTELCOL": str(tmp_path), "HONUA_TEMPO_BIN": str(tmp_path / "nothing")}
    with pytest.raises(InputError, match="must be a program's path"):
        find(variables)


def test_tempo_is_used_only_where_it_is_named() -> None:
    """Without the variables there is no Tempo; a URL names one that is not ours to end."""
    attached = attach_tempo({"HONUA_TEMPO_URL": "http://tempo.test:3200"})

    assert (find_tempo({}), attach_tempo({})) == (None, None)
    assert attached is not None
    assert (attached.url, attached.otlp_http, attached.otlp_grpc, attached.pid, attached.blocks) == (
        "http://tempo.test:3200",
        "http://tempo.test:4318",
        "tempo.test:4317",
        None,
        None,
    )
    with attached:
        pass


def test_tempo_that_ends_says_why(tmp_path: Path) -> None:
    """A Tempo that refuses its configuration is named with its own words."""
    binary = program_of(tmp_path, "import sys; print('level=error msg=nope'); sys.exit(1)")
    with pytest.raises(RemoteError, match="ended with code 1: level=error msg=nope"):
        start_tempo(binary, tmp_path / "tempo")
