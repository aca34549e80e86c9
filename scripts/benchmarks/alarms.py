"""What usually stands in the judge's place: rules that look every minute and promote when the steps' time is over."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from perennial.rollout.error_tests import Counts
from perennial.rollout.judge import Decision, Plan
from scripts.benchmarks.rollouts import Rule

PERIOD = 60
# A success rate below 95 %: the example that Argo Rollouts' documentation gives for its analysis of a canary.
# https://argo-rollouts.readthedocs.io/en/stable/features/analysis/
THRESHOLD = 0.05
# One-sided, at the judge's own α of 0.01.
CRITICAL = 2.3263


def over_threshold(step: Counts) -> bool:
    """More than one in twenty of the challenger's requests failed in this step so far."""
    return step.errors > THRESHOLD * step.requests


def z_test(step: Counts) -> bool:
    """Two proportions, pooled: the challenger's error rate in this step so far is significantly the greater one."""
    mine, theirs = step.requests, step.champion_requests
    if not mine or not theirs:
        return False
    pooled = (step.errors + step.champion_errors) / (mine + theirs)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / mine + 1 / theirs))
    return step.errors / mine - step.champion_errors / theirs > CRITICAL * spread


def every_minute(
    harm: Callable[[Counts], bool], plan: Plan, steps: Sequence[Counts], *, in_step: int, in_all: int
) -> Decision:
    """Roll back once there is `harm` at a look; else on to the next step after its dwell, and to promotion."""
    index = len(steps) - 1
    if harm(steps[-1]):
        return Decision("rollback", harm.__name__, {})
    if in_step < plan.dwell:
        return Decision("continue", "no harm yet", {}, index, min(PERIOD, plan.dwell - in_step))
    if index + 1 == len(plan.steps):
        return Decision("promote", f"no harm in {in_all} seconds", {})
    return Decision("continue", "on to the next step", {}, index + 1, _first(plan))


def _first(plan: Plan) -> int:
    return min(PERIOD, plan.dwell)


THRESHOLD_ALARM = Rule(partial(every_minute, over_threshold), _first)
REPEATED_Z_TEST = Rule(partial(every_minute, z_test), _first)
