"""The harm test beside a test of fixed windows: false alarms in three years, and days until harm is found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from statistics import median

import numpy as np

import perennial
from scripts.benchmarks.rows import Row
from scripts.benchmarks.served import (
    WINDOW,
    YEARS,
    Days,
    alarm_of,
    at_the_bound,
    fixed_windows,
    in_processes,
    served,
)
from scripts.steps import Say

RUNS = 2000
# Fixed before the first run: AUC .71 becomes .50 and .58; nothing is promised of a slighter harm.
HARMS = {"AUC .71 → .50": (0.8, 21.0), "AUC .71 → .58": (0.5, 42.0)}
BEGINS = 100
PEER = f"Student's t every {WINDOW} days at the same α"

Alarms = tuple[float, float]


def rows(say: Say, runs: int = RUNS) -> Iterator[Row]:
    """All rows."""
    versions = {"perennial": perennial.__version__, "numpy": np.__version__}
    processes = os.cpu_count() or 1
    nulls = {
        "at the very bound of what is no harm": (at_the_edge, runs),
        "base rates wander, days differ": (quiet, runs // 10),
    }
    for name, (one, count) in nulls.items():
        say(f"{count:,} models that serve for three years: {name}")
        found = in_processes(one, count, processes)
        ours, theirs = (100 * float(np.isfinite([both[side] for both in found]).mean()) for side in (0, 1))
        what = f"harm test, three years, looked at every day, {name}: false alarms / {PEER}"
        yield Row(what, ours, theirs, "% of models", None, 1.0, versions, "most")
    for name, (harm, goal) in HARMS.items():
        count = runs // 10
        say(f"{count:,} models that become worse: {name}")
        found = in_processes(partial(worse, harm), count, processes)
        ours, theirs = (median(both[side] for both in found) for side in (0, 1))
        peer = theirs if np.isfinite(theirs) else None
        yield Row(
            f"harm test, {name}: days until found, median / {PEER}", ours, peer, "days", None, goal, versions, "most"
        )


def at_the_edge(seed: int) -> Alarms:
    """When both raise an alarm at the very bound; infinite without one."""
    state, losses = at_the_bound(YEARS, seed)
    return alarm_of(state, losses), fixed_windows(state, losses)


def quiet(seed: int) -> Alarms:
    """The same, from rows of a world in which the model stays what it was."""
    state, losses = served(Days(), YEARS, seed)
    return alarm_of(state, losses), fixed_windows(state, losses)


def worse(harm: float, seed: int) -> Alarms:
    """Days from the beginning of harm to either's alarm; it begins anywhere within a window."""
    begins = BEGINS + seed % WINDOW
    state, losses = served(Days(), begins + 300, seed, harm_from=begins, harm=harm)
    return tuple(found(state, losses) + 1 - begins for found in (alarm_of, fixed_windows))  # type: ignore[return-value]
