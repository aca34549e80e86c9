"""The most memory that this process has had, and one pass of a contender that tells it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.benchmarks.contenders.loop import serve

ONCE = "once"


def run(work: Callable[[], Any], packages: tuple[str, ...], mode: str) -> None:
    """Serve `work` as case "halves", or in mode `once` do it once and print the peak in MiB."""
    if mode != ONCE:
        serve(lambda: {"halves": work}, packages)
        return
    work()
    # not getrusage: its peak is inherited from the process that forked this one
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) / 1024)
