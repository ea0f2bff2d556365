"""The main job as a user runs it: one command, reports at the end, nothing left running."""

import re
import subprocess
import sys
from pathlib import Path

from loadgen.run import open_run


def test_demo_runs_from_load_to_reports(tmp_path: Path) -> None:
    """The demo sends, audits, reports and plans; its run balances and both pages stand alone."""
    command = [sys.executable, "-m", "loadgen.cli", "demo", "--seconds", "5", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    with open_run(folder) as run:
        spans, audits, meta = run.counts(), run.audits(), run.meta()
    assert spans.balances
    assert spans.accepted == spans.sent > 5_000
    assert audits[-1]["holds"] is True
    assert meta["target"]["kind"] == "sink"
    for page in ("sizing.html", "run.html"):
        text = (tmp_path / page).read_text("utf-8")
        assert len(text) < 1_500_000
        assert re.findall(r"(?:src|href)=[\"']https?://", text) == []
    assert "Verdict: holds" in done.stdout
    assert str(tmp_path / "sizing.html") in done.stdout
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
