"""Rollouts made up: requests and errors of two versions over time, judged as a real one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perennial.rollout.error_tests import Counts
from perennial.rollout.judge import Decision, Plan, first_look, judge

# Fixed before the first simulation: three steps, a margin of half as many errors again or one request in a hundred.
PLAN = Plan(
    steps=(0.05, 0.25, 0.5), dwell=600, requests=100, limit=86_400,
    otherwise="hold", alpha=0.01, ratio=1.5, rate=0.01,
)  # fmt: skip


@dataclass(frozen=True)
class Traffic:
    """Requests per second, the champion's error rate at a time (seconds), and the ratio of the two error rates."""

    per_second: float
    errors: Callable[[float], float]
    ratio: float = 1.0


@dataclass(frozen=True)
class Ended:
    """How a rollout ended, after how many requests of both versions, and how many of them the challenger failed."""

    decision: Decision
    requests: int
    spoiled: int


def run(rng: np.random.Generator, plan: Plan, traffic: Traffic) -> Ended:
    """One rollout to its end. What comes between two looks is drawn at once, at the rate of its middle."""
    steps, began, now, wait = [Counts(plan.steps[0], 0, 0, 0, 0)], 0, 0, first_look(plan)
    while True:
        step, base = steps[-1], traffic.errors(now + wait / 2)
        total = rng.poisson(traffic.per_second * wait)
        mine = rng.binomial(total, step.weight)
        errors = rng.binomial(mine, min(1.0, base * traffic.ratio))
        theirs = rng.binomial(total - mine, base)
        steps[-1] = Counts(
            step.weight, step.requests + mine, step.errors + errors,
            step.champion_requests + total - mine, step.champion_errors + theirs,
        )  # fmt: skip
        now += wait
        decision = judge(plan, steps, in_step=now - began, in_all=now)
        if decision.verdict != "continue":
            requests = sum(one.requests + one.champion_requests for one in steps)
            return Ended(decision, requests, sum(one.errors for one in steps))
        if decision.step == len(steps):
            steps.append(Counts(plan.steps[decision.step], 0, 0, 0, 0))
            began = now
        wait = decision.wait
