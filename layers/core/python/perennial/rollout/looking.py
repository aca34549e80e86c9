"""Steps of a rollout under the judge: which share comes next, and when to look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from perennial.catalog.rollout import BESIDES, MINUTE
from perennial.errors import ChallengerRefused, RolloutInconclusive
from perennial.governance.failures import Failure
from perennial.rollout.canary import Canary, plan_of
from perennial.rollout.error_tests import Counts
from perennial.rollout.judge import Guard, first_look, judge

Next = Literal["look", "shift", "verify", "restore"]


@dataclass(frozen=True)
class Onward:
    """How the rollout goes on: `next` after `wait` seconds; before `restore`, what the execution is to fail with."""

    next: Next
    canary: Canary | None
    wait: int = 0
    failure: Failure | None = None


def begun(canary: Canary, at: datetime) -> Canary:
    """The canary in its next step, which begins at `at`."""
    return canary.model_copy(update={"starts": (*canary.starts, at)})


def moved(canary: Canary, at: datetime | None) -> Canary:
    """The canary whose newest step began when the alias had moved, at `at`, known from its first look on."""
    if at is None or len(canary.moved) == len(canary.starts):
        return canary
    return canary.model_copy(update={"moved": (*canary.moved, at)})


def shifted(canary: Canary | None) -> Onward:
    """After the alias was moved: everything is verified, a step is looked at once its dwell has settled, or the time of
    all steps is over.
    """
    if canary is None or canary.promoted:
        return Onward("verify", canary)
    left = canary.plan.limit - int((canary.starts[-1] - canary.starts[0]).total_seconds())
    return Onward("look", canary, min(first_look(plan_of(canary.plan)) + BESIDES, max(MINUTE, left)))


def looked(canary: Canary, steps: Sequence[Counts], guards: Sequence[Guard], at: datetime) -> Onward:
    """What follows from what was counted."""
    since, until = canary.windows(at)[-1]
    in_step, in_all = (until - since).total_seconds(), (at - canary.starts[0]).total_seconds()
    decision = judge(plan_of(canary.plan), steps, guards, in_step=int(in_step), in_all=int(in_all))
    told = {"verdict": decision.verdict, "reason": decision.reason, "evidence": decision.evidence}
    now = canary.model_copy(update=told)
    if now.promoted or (decision.verdict == "continue" and decision.step == len(steps)):
        return Onward("shift", now)
    if decision.verdict == "continue":
        return Onward("look", now, decision.wait)
    error = ChallengerRefused if decision.verdict == "rollback" else RolloutInconclusive
    return Onward("restore", now, failure=Failure(error.__name__, decision.reason))
