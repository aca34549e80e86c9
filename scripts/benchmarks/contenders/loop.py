"""A contender's side of the conversation: a line `<case> <times>` in, the CPU nanoseconds it took out."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

Call = Callable[[], Any]


def serve(prepare: Callable[[], Mapping[str, Call]], packages: tuple[str, ...]) -> None:
    """Prepare the cases, then answer until standard input ends. CPU time is of all threads, user and system.

    What a case prints goes nowhere, line by line, as Lambda's runtime writes it out.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    sys.stdout = Path(os.devnull).open("w", buffering=1)  # noqa: SIM115 - open as long as the process
    cases = prepare()
    # what was prepared is the bench's, not the contender's: no collection shall walk it
    gc.collect()
    gc.freeze()
    answers.write(json.dumps({name: version(name) for name in packages}) + "\n")
    for line in sys.stdin:
        case, times = line.split()
        call = cases[case]
        began = time.process_time_ns()
        for _ in range(int(times)):
            call()
        answers.write(f"{time.process_time_ns() - began}\n")


def workload(folder: str) -> dict[str, Any]:
    """workload.json of a prepared folder: `records`, rows as dicts, and `inputs`, the model's."""
    found: dict[str, Any] = json.loads(Path(folder, "workload.json").read_text())
    return found


def columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows as lists by name."""
    return {name: [record[name] for record in records] for name in records[0]}


def in_turn(calls: list[Call]) -> Call:
    """A call that makes the next of `calls` each time, so that no cache sees one row only."""
    position = -1

    def call() -> Any:
        nonlocal position
        position = (position + 1) % len(calls)
        return calls[position]()

    return call
