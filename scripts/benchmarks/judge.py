"""Bench `judge`: simulated rollouts, judged by the judge, by a threshold alarm and by a repeated z-test."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

import perennial
from perennial.rollout.judge import Plan
from scripts.benchmarks.alarms import REPEATED_Z_TEST, THRESHOLD_ALARM
from scripts.benchmarks.rollouts import AT_TEN_PERCENT, JUDGE, PLAN, Ended, Rule, Traffic, runs
from scripts.benchmarks.rows import Bound, Row
from scripts.steps import Say

ROLLOUTS = 10_000
PEERS = {"a threshold alarm (errors over 5 %)": THRESHOLD_ALARM, "a z-test at each minute": REPEATED_Z_TEST}

ALL_ALONG = replace(AT_TEN_PERCENT, dwell=AT_TEN_PERCENT.limit)


@dataclass(frozen=True)
class Scenario:
    """Rollouts of one kind: what is measured of them, and what is promised of the judge.

    `plan` is the judge's, `clocked` that of the rules which end with the steps' time.
    """

    name: str
    plan: Plan
    clocked: Plan
    traffic: Traffic
    measure: Callable[[Sequence[Ended]], float]
    unit: str
    goal: float
    bound: Bound


def rolled_back(ends: Sequence[Ended]) -> float:
    """Share of the rollouts that were rolled back, in percent."""
    return _share(ends, "rollback")


def promoted(ends: Sequence[Ended]) -> float:
    """Share of the rollouts that were promoted, in percent."""
    return _share(ends, "promote")


def requests_to_rollback(ends: Sequence[Ended]) -> float:
    """Median number of requests until the rollback; infinite when most were not rolled back."""
    return median(end.requests if end.decision.verdict == "rollback" else math.inf for end in ends)


def _share(ends: Sequence[Ended], verdict: str) -> float:
    return 100 * sum(end.decision.verdict == verdict for end in ends) / len(ends)


# Fixed before the first run.
SCENARIOS = (
    Scenario(
        "identical arms, errors drifting between 0.4 % and 3.6 %: rolled back", PLAN, PLAN,
        Traffic(10, 0.02, swing=0.8), rolled_back, "%", 1.0, "most",
    ),
    Scenario(
        "a retrained model of equal quality, errors 2 %: promoted", PLAN, PLAN,
        Traffic(10, 0.02), promoted, "%", 95.0, "least",
    ),
    Scenario(
        "errors 2 → 4 % at 10 % weight: found within 20,000 requests",
        AT_TEN_PERCENT, ALL_ALONG,
        Traffic(10, 0.02, 2.0), rolled_back, "%", 95.0, "least",
    ),
    Scenario(
        "errors 2 → 10 % at 10 % weight: requests until found, median",
        AT_TEN_PERCENT, ALL_ALONG,
        Traffic(10, 0.02, 5.0), requests_to_rollback, "requests", 2000.0, "most",
    ),
)  # fmt: skip


def run(say: Say, count: int = ROLLOUTS) -> Iterator[Row]:
    """All rows."""
    versions = {"perennial": perennial.__version__, "numpy": np.__version__}
    processes = os.cpu_count() or 1
    for one in SCENARIOS:
        say(f"{count:,} rollouts: {one.name}")

        def measured(plan: Plan, rule: Rule, one: Scenario = one) -> float:
            return one.measure(runs(plan, one.traffic, count, rule, processes=processes))

        ours = measured(one.plan, JUDGE)
        for name, rule in PEERS.items():
            peer = measured(one.clocked, rule)
            yield Row(
                f"{one.name} / {name}", ours, peer if math.isfinite(peer) else None, one.unit, None, one.goal,
                versions, one.bound,
            )  # fmt: skip
