"""The first lines of a run: what is sent where, and what is to be doubted before it is sent."""

from __future__ import annotations

from pathlib import Path

from loadgen.user.load import LONG_TRACE_S, Load
from loadgen.user.options import LoadOptions


def announcement(
    load: Load, options: LoadOptions, traces_per_s: float, run_time_s: float | None, seed: int, run: Path
) -> str:
    """What is sent where, at which rate, for how long.

    Args:
        load: What is sent.
        options: What was asked.
        traces_per_s: The total rate, or what all users together will offer.
        run_time_s: None where nobody knows.
        seed: Of the content.
        run: The run's folder.
    """
    rate = f"{traces_per_s:,.4g} traces/s ({traces_per_s * load.spans_per_trace:,.0f} spans/s)"
    by_users = "" if options.rate is not None else "by users, up to "
    until = f"for {run_time_s:g} s" if run_time_s else "until stopped"
    where = f"{options.endpoint.url}{options.endpoint.path}"
    return (
        f"sending {by_users}{rate} of {load.topology.name} to {where} {until}; seed {seed}, run file {run}/run.sqlite"
    )


def doubts(load: Load, options: LoadOptions, senders: int, users: int) -> list[str]:
    """What may spoil the run though nothing is wrong with it."""
    found = []
    if options.rate is not None and users < senders:
        found.append(
            f"doubt: {users} users for {senders} workers: a worker without users sends nothing and sheds its share"
        )
    if load.long_traces_ratio > 0:
        found.append(
            f"doubt: {load.long_traces_ratio:.0%} of these traces last over {LONG_TRACE_S:.0f} s and are delivered "
            "whole, when they end; Tempo's generator ignores spans that ended earlier than that"
        )
    return found
