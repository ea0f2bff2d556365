"""The observer of a run: ``honua-load observe`` as a process of its own, so that scraping disturbs no schedule."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from loadgen.errors import InputError
from loadgen.transport import parse_endpoint
from loadgen.user.options import LoadOptions

log = logging.getLogger("honua")

# It looks once more after it is told to end, and a target may be slow to answer.
PATIENCE_S = 10.0


def check_observer(options: LoadOptions) -> None:
    """Whether there are pages to observe and they can be asked for.

    Raises:
        InputError: No page, not an http(s) URL, or one that carries a password.
    """
    if not options.observe:
        return
    pages = {"--collector-metrics": options.collector_metrics, "--tempo-metrics": options.tempo_metrics}
    if not any(pages.values()):
        raise InputError("--observe", "no metrics page", "needs --collector-metrics or --tempo-metrics")
    for place, page in pages.items():
        if page:
            parse_endpoint(page, place)


class Observer:
    """A running observer."""

    def __init__(self, options: LoadOptions, run: Path) -> None:
        pages = ["--collector-metrics", options.collector_metrics, "--tempo-metrics", options.tempo_metrics]
        # A session of its own: Ctrl-C is for us, and we end it after the last span. It ends with us if we are killed.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "loadgen.cli", "observe", str(run), *pages],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> int:
        """Tell it to look once more and end; its exit code."""
        if self._process.poll() is not None:
            log.warning("the observer had ended before the run did, with exit code %d", self._process.returncode)
            return self._process.returncode
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            log.warning("the observer (pid %d) did not end within %g s and was killed", self._process.pid, PATIENCE_S)
            self._process.kill()
            return self._process.wait()
