"""Rollouts made up: requests and errors of two versions over time, judged as a real one is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from perennial.rollout.error_tests import Counts
from perennial.rollout.judge import Decision, Plan, first_look, judge

# Fixed before the first simulation: three steps, a margin of half as many errors again or one request in a hundred.
PLAN = Plan(
    steps=(0.05, 0.25, 0.5), dwell=600, requests=100, limit=86_400,
    otherwise="hold", alpha=0.01, ratio=1.5, rate=0.01,
)  # fmt: skip
# A tenth of ten requests a second, for twenty thousand of them; promoted after a hundred seconds at the earliest.
AT_TEN_PERCENT = replace(PLAN, steps=(0.1,), dwell=100, requests=0, limit=2000)


@dataclass(frozen=True)
class Traffic:
    """Requests per second, the champion's error rate, and `ratio` times as many errors of the challenger.

    Both rates move together by up to the share `swing`, up and down once in some three and a half hours.
    """

    per_second: float
    rate: float
    ratio: float = 1.0
    swing: float = 0.0

    def errors(self, at: float) -> float:
        """The champion's error rate at a time (seconds)."""
        return self.rate * (1 + self.swing * math.sin(at / 2000))


@dataclass(frozen=True)
class Ended:
    """How a rollout ended, after how many requests of both versions, and how many of them the challenger failed."""

    decision: Decision
    requests: int
    spoiled: int


class Decide(Protocol):
    """What to do at a look (see perennial.rollout.judge.judge)."""

    def __call__(self, plan: Plan, steps: Sequence[Counts], /, *, in_step: int, in_all: int) -> Decision:
        """What to do now."""
        ...


@dataclass(frozen=True)
class Rule:
    """What decides a rollout, and how many seconds after its beginning it looks first."""

    decide: Decide
    first: Callable[[Plan], int]


JUDGE = Rule(judge, first_look)


def run(rng: np.random.Generator, plan: Plan, traffic: Traffic, rule: Rule = JUDGE) -> Ended:
    """One rollout to its end. What comes between two looks is drawn at once, at the rate of its middle."""
    steps, began, now, wait = [Counts(plan.steps[0], 0, 0, 0, 0)], 0, 0, rule.first(plan)
    while True:
        step, base = steps[-1], traffic.errors(now + wait / 2)
        total = int(rng.poisson(traffic.per_second * wait))
        mine = int(rng.binomial(total, step.weight))
        errors = int(rng.binomial(mine, min(1.0, base * traffic.ratio)))
        theirs = int(rng.binomial(total - mine, base))
        steps[-1] = Counts(
            step.weight, step.requests + mine, step.errors + errors,
            step.champion_requests + total - mine, step.champion_errors + theirs,
        )  # fmt: skip
        now += wait
        decision = rule.decide(plan, steps, in_step=now - began, in_all=now)
        if decision.verdict != "continue":
            requests = sum(one.requests + one.champion_requests for one in steps)
            return Ended(decision, requests, sum(one.errors for one in steps))
        if decision.step == len(steps):
            steps.append(Counts(plan.steps[decision.step], 0, 0, 0, 0))
            began = now
        wait = decision.wait


def runs(
    plan: Plan, traffic: Traffic, count: int, rule: Rule = JUDGE, *, seed: int = 0, processes: int = 1
) -> list[Ended]:
    """`count` rollouts, each with a generator of its own: the same however many processes share them."""
    one = partial(_numbered, plan, traffic, rule, seed)
    if processes == 1:
        return [one(number) for number in range(count)]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(one, range(count), chunksize=100))


def _numbered(plan: Plan, traffic: Traffic, rule: Rule, seed: int, number: int) -> Ended:
    return run(np.random.default_rng((seed, number)), plan, traffic, rule)
