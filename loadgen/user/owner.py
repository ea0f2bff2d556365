"""The side that owns the run: it decides the parts, keeps the run file and says how it ended."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gevent.lock import RLock

from loadgen.errors import HonuaError, InputError
from loadgen.pace import NS_PER_S
from loadgen.run import WRONG_USE, Verdict, judge, ledger_lines
from loadgen.samplers import redact_config
from loadgen.transport import identify
from loadgen.user.load import Load, monotonic_epoch_ns
from loadgen.user.options import LoadOptions, check_consent
from loadgen.user.recorder import Recorder, new_run_id, new_seed
from loadgen.user.session import Part
from loadgen.user.tally import Tally

log = logging.getLogger("honua")

# A schedule begins when its senders are ready; workers have to hear of the start first.
START_DELAY_S = 0.3
WORKERS_START_DELAY_S = 1.5


class Owner:
    """One run from start to verdict.

    Args:
        load: What is sent.
        options: What was asked.
        senders: The processes that send, by Locust's worker id; one nameless entry for a single process.
        traces_per_s: The total rate to begin with.
        distributed: Whether the senders are other processes.
    """

    def __init__(
        self,
        load: Load,
        options: LoadOptions,
        senders: Sequence[str],
        traces_per_s: float,
        *,
        distributed: bool,
    ) -> None:
        self.load, self.options = load, options
        spans_per_s = traces_per_s * load.spans_per_trace
        check_consent(options, spans_per_s)
        config = _read_config(options.collector_config)
        start_ns = monotonic_epoch_ns()
        self.run_id = options.run_id or new_run_id(load.topology.name, start_ns / NS_PER_S)
        self.seed = options.seed if options.seed is not None else new_seed()
        start_ns += int((WORKERS_START_DELAY_S if distributed else START_DELAY_S) * NS_PER_S)
        shares = len(senders) if options.rate is not None else 1
        self.parts = {
            sender: Part(self.run_id, self.seed, start_ns, i if shares > 1 else 0, max(shares, 1), i)
            for i, sender in enumerate(senders)
        }
        self.seen: set[str] = set(senders)
        self.last_word: set[str] = set()
        self.verdict: Verdict | None = None
        self._pending: list[tuple[str, dict[str, Any] | Tally]] = []
        self._sequence: dict[str, int] = {}
        self._gaps: list[str] = []
        self._lock = RLock()
        self._traces_per_s = traces_per_s
        self._recorder = Recorder(
            options, self.run_id, self.seed, load.topology, self._facts(config, identify(options.endpoint))
        )
        self._recorder.rate(options.rate, traces_per_s, load.spans_per_trace)
        self._observer = _start_observer(options, self._recorder.path) if options.observe else None

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._recorder.path

    def rate_changed(self, options: LoadOptions, traces_per_s: float) -> None:
        """Record a new asked rate."""
        if traces_per_s != self._traces_per_s:
            self._traces_per_s = traces_per_s
            self._recorder.rate(options.rate, traces_per_s, self.load.spans_per_trace)

    def heard(self, sender: str, sequence: int, tally: dict[str, Any] | Tally, *, last: bool = False) -> None:
        """Take what a sender counted; a report that is missing is noted."""
        expected = self._sequence.get(sender, 0)
        if sequence != expected:
            self._gaps.append(f"worker {sender}: report {expected} missing")
        self._sequence[sender] = sequence + 1
        self._pending.append((sender, tally))
        if last:
            self.last_word.add(sender)

    def flush(self) -> None:
        """Write what was heard; runs off the event loop once a second."""
        with self._lock:
            pending, self._pending = self._pending, []
            for sender, heard in pending:
                tally = heard if isinstance(heard, Tally) else Tally.of(heard)
                self._recorder.write(self.parts[sender].lease, tally)

    def end(self) -> Verdict:
        """Settle the ledger, judge it, close the run file; further calls give the same verdict."""
        if self.verdict is None:
            self.flush()
            silent = sorted(self.seen - self.last_word)
            spans = self._recorder.counts(0).settled()
            self.verdict = judge(spans, silent)
            _stop_observer(self._observer)
            self._recorder.close(
                verdict={"exit_code": self.verdict.exit_code, "text": self.verdict.text},
                silent_workers=silent,
                lost_reports=self._gaps,
            )
        return self.verdict

    def ledger(self) -> list[str]:
        """The settled ledger as text."""
        return ledger_lines(self._recorder.counts(0).settled(), self._recorder.counts(1).settled())

    def _facts(self, config: str, target: dict[str, str]) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "topology_yaml": self.load.text,
            "target": target,
            "shape": {"spans_per_trace": self.load.spans_per_trace},
            "schedule": {name: part.start_ns for name, part in self.parts.items()},
        }
        return facts | ({"collector_config": config} if config else {})


def refused(error: HonuaError) -> Verdict:
    """The verdict on a run that could not begin."""
    return Verdict(WRONG_USE, str(error))


def _read_config(path: str) -> str:
    if not path:
        return ""
    try:
        return redact_config(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("--collector-config", path, "must be a readable text file") from error


def _start_observer(options: LoadOptions, run: Path) -> subprocess.Popen[bytes]:
    pages = ["--collector-metrics", options.collector_metrics, "--tempo-metrics", options.tempo_metrics]
    return subprocess.Popen([sys.executable, "-m", "loadgen.cli", "observe", str(run), *pages])  # noqa: S603


def _stop_observer(observer: subprocess.Popen[bytes] | None) -> None:
    if observer is None:
        return
    observer.terminate()
    try:
        observer.wait(10)
    except subprocess.TimeoutExpired:
        log.warning("the observer (pid %d) did not end within 10 s and was killed", observer.pid)
        observer.kill()
        observer.wait()
