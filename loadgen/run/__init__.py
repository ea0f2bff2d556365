"""The run file: everything one run asked for, did and saw, readable at any moment."""

from loadgen.run.file import (
    BlockRow,
    LedgerRow,
    RunFile,
    RunWriter,
    SampleRow,
    TroubleRow,
    create_run,
    open_run,
)
from loadgen.run.ledger import COUNTED, OUTCOMES, Counts
from loadgen.run.schema import FORMAT
from loadgen.run.verdict import BROKEN, HOLDS, NOT_VALID, WRONG_USE, Verdict, asked, judge, ledger_lines, sent_ratio

__all__ = [
    "BROKEN", "COUNTED", "FORMAT", "HOLDS", "NOT_VALID", "OUTCOMES", "WRONG_USE", "BlockRow", "Counts", "LedgerRow",
    "RunFile", "RunWriter", "SampleRow", "TroubleRow", "Verdict", "asked", "create_run", "judge", "ledger_lines",
    "open_run", "sent_ratio",
]  # fmt: skip
