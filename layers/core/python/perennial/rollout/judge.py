"""The judge of a rollout: from what was counted at a look to promote, continue, rollback or inconclusive.

A pure state machine. A rollout gives the challenger a growing share of the requests, step by step, and looks at
geometrically spaced times. Harm ends it at any look; a step grows into the next after its time and its requests; the
last one is promoted only when the challenger is shown to be not inferior. What traffic does not show in time is
inconclusive, and ends as the plan says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from perennial.catalog.rollout import GROWTH, MINUTE
from perennial.rollout.error_tests import Counts, more_errors, not_inferior, ratio_bounds

Verdict = Literal["promote", "continue", "rollback", "inconclusive"]


@dataclass(frozen=True)
class Plan:
    """How a rollout goes. Shares in (0, 1), ascending; times in seconds.

    `dwell` is the shortest time of a step and `requests` the least the challenger must have answered in it; `limit` is
    the longest time of all steps together. `alpha` bounds the chance to roll back a challenger that fails no more
    often, and the chance to promote an inferior one, inferior being both `ratio` times the champion's errors and a
    share `rate` of failing requests.
    """

    steps: tuple[float, ...]
    dwell: int
    requests: int
    limit: int
    otherwise: Literal["hold", "promote"]
    alpha: float
    ratio: float
    rate: float


@dataclass(frozen=True)
class Guard:
    """What a test of something else than errors has to say: harm once `log_e` reaches what its `alpha` needs."""

    name: str
    log_e: float
    alpha: float
    reason: str
    evidence: dict[str, Any]

    @property
    def harm(self) -> bool:
        """Whether the challenger is shown to do harm."""
        return self.log_e >= -math.log(self.alpha)


@dataclass(frozen=True)
class Decision:
    """The verdict; for `continue` the index of the step to be in and the seconds until the next look."""

    verdict: Verdict
    reason: str
    evidence: dict[str, Any]
    step: int = 0
    wait: int = 0


def judge(plan: Plan, steps: Sequence[Counts], guards: Sequence[Guard] = (), *, in_step: int, in_all: int) -> Decision:
    """What to do, `in_step` seconds after the newest of `steps` began and `in_all` after the first.

    `steps` holds one entry per weight step so far, each counted from its own beginning. Any of `guards` may end the
    rollout; none can promote it.
    """
    harm = more_errors(steps)
    fine = not_inferior(steps, ratio=plan.ratio, rate=plan.rate)
    lower, upper = ratio_bounds(steps, plan.alpha / 2)
    everything = sum(step.requests + step.champion_requests for step in steps)
    evidence: dict[str, Any] = {
        "requests": sum(step.requests for step in steps),
        "errors": sum(step.errors for step in steps),
        "champion_requests": sum(step.champion_requests for step in steps),
        "champion_errors": sum(step.champion_errors for step in steps),
        "spoiled_share": sum(step.errors for step in steps) / everything if everything else 0.0,
        "error_ratio": [lower, None if math.isinf(upper) else upper],
        "log_e_more_errors": harm,
        "log_e_not_inferior": fine,
        "needed": -math.log(plan.alpha),
        **{guard.name: {"log_e": guard.log_e, "needed": -math.log(guard.alpha), **guard.evidence} for guard in guards},
    }
    index, now = len(steps) - 1, steps[-1]
    last = index == len(plan.steps) - 1
    if harm >= -math.log(plan.alpha):
        return Decision("rollback", f"fails {lower:.2g} times as often as the champion, or more", evidence)
    for guard in guards:
        if guard.harm:
            # whatever it answered was late or no answer
            spoiled = evidence["requests"] / everything if everything else 0.0
            return Decision("rollback", guard.reason, {**evidence, "spoiled_share": spoiled})
    grown = in_step >= plan.dwell and now.requests >= plan.requests
    if grown and last and fine >= -math.log(plan.alpha):
        return Decision("promote", _not_inferior(plan), evidence)
    if in_all >= plan.limit:
        reason = f"{evidence['requests']} requests in {in_all} seconds do not show it to be not inferior"
        return Decision("inconclusive", reason, evidence)
    if grown and not last:
        share = plan.steps[index + 1]
        return Decision("continue", f"on to {share:.0%} of the requests", evidence, index + 1, first_look(plan))
    return Decision("continue", "not yet enough to tell", evidence, index, next_look(plan, in_step, in_all))


def first_look(plan: Plan) -> int:
    """Seconds from the beginning of a step to the first look at it."""
    return max(1, min(plan.dwell, plan.limit))


def next_look(plan: Plan, in_step: int, in_all: int) -> int:
    """Seconds until the next look: a fifth of what the step has taken, a minute at least, never past the limit."""
    spaced = math.ceil(max(in_step, first_look(plan)) * (GROWTH - 1))
    return max(1, min(max(spaced, MINUTE), plan.limit - in_all))


def _not_inferior(plan: Plan) -> str:
    return f"not inferior: below {plan.ratio:g} times the champion's errors, or below {plan.rate:.2%} of its requests"
