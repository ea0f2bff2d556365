"""Processes and the machine from texts of /proc, and from the real one."""

import os
from pathlib import Path

import pytest

from loadgen.errors import RemoteError
from loadgen.measure.host import (
    HostUse,
    ProcessUse,
    parse_cpu,
    parse_memory,
    parse_process,
    read_host,
    read_process,
)

# The Collector's, captured on Linux 6.8; 100 ticks a second, pages of 4096 bytes.
STAT = (
    "4242 (otelcol-honua) S 4200 4242 4242 0 -1 4194560 9876 0 12 0 731 158 0 0 20 0 11 0 1844221 1352384512 "
    "22972 18446744073709551615 4194304 29811125 140726183221760 0 0 0 0 0 2143420159 0 0 0 17 1 0 0 0 0 0 "
    "47206400 47984256 77316096 140726183229006 140726183229053 140726183229053 140726183231458 0\n"
)
MEMINFO = """MemTotal:       24736868 kB
MemFree:        20466932 kB
MemAvailable:   23721184 kB
Buffers:           10132 kB
HugePages_Total:       0
"""
CPU = """cpu  20430 31 8125 300125 977 0 412 200 0 0
cpu0 10200 11 4100 150060 500 0 212 100 0 0
cpu1 10230 20 4025 150065 477 0 200 100 0 0
intr 12345678 0 9
ctxt 9876543
"""


def proc_with(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_process_stat() -> None:
    """Memory is pages, CPU is user and system time, all from their places in the line."""
    expected = ProcessUse("otelcol-honua", 22972 * 4096, (731 + 158) / 100, 18442.21)

    assert expected == parse_process(STAT, 4096, 100)


@pytest.mark.parametrize("name", ["a b", "a) S 1 2", "((", ")"])
def test_process_names_may_hold_anything(name: str) -> None:
    """A process may call itself anything; the last bracket ends its name."""
    assert parse_process(STAT.replace("otelcol-honua", name), 4096, 100)[:2] == (name, 22972 * 4096)


def test_memory_and_cpu() -> None:
    """Memory is told in KiB; busy is all but idle and waiting for disks; guests are in user already."""
    assert parse_memory(MEMINFO) == (24736868 * 1024, 23721184 * 1024)
    assert parse_cpu(CPU, 100) == (2, (20430 + 31 + 8125 + 0 + 412 + 200) / 100)


def test_canned_folder(tmp_path: Path) -> None:
    """What is read is what stands in the folder."""
    proc = proc_with(tmp_path, stat=CPU, meminfo=MEMINFO, **{"7_stat": STAT})

    assert read_host(proc) == HostUse(24736868 * 1024, 23721184 * 1024, 2, pytest.approx(291.98))
    assert read_process(7, proc).name == "otelcol-honua"


@pytest.mark.parametrize("text", ["", "4242", "4242 (x) S 1 2 3", STAT.replace("731", "many")])
def test_other_forms_of_a_process(text: str, tmp_path: Path) -> None:
    """A text that is none is named, not half read."""
    with pytest.raises(RemoteError, match="expected the fields of proc"):
        read_process(7, proc_with(tmp_path, **{"7_stat": text}))


@pytest.mark.parametrize(
    ("cpu", "meminfo"),
    [("", MEMINFO), ("cpu 1 2\n", MEMINFO), (CPU, "MemTotal: 1 kB\n"), (CPU, "MemTotal:\nMemAvailable: 2 kB\n")],
)
def test_other_forms_of_the_machine(cpu: str, meminfo: str, tmp_path: Path) -> None:
    """A machine that tells less is named, not half read."""
    with pytest.raises(RemoteError, match="expected the fields of proc"):
        read_host(proc_with(tmp_path, stat=cpu, meminfo=meminfo))


def test_absent_process_and_absent_proc(tmp_path: Path) -> None:
    """A process that ended, or a system without /proc, is an absence with its reason."""
    with pytest.raises(RemoteError, match="No such file or directory; expected a process or machine"):
        read_process(7, tmp_path)
    with pytest.raises(RemoteError, match="No such file or directory"):
        read_host(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_this_process() -> None:
    """This very process is found, with the CPU time the system tells by another way."""
    before_s = sum(os.times()[:2])
    use = read_process(os.getpid())
    after_s = sum(os.times()[:2])

    assert before_s - 0.02 <= use.cpu_s <= after_s + 0.02
    assert use.rss_bytes > 2**20
    assert read_host().available_bytes <= read_host().memory_bytes
