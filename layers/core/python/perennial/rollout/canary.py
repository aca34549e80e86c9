"""How far a rollout by steps has come: what its execution carries from one state to the next.

Pointers only: the plan as the spec had it when the rollout began, when each step began, and the judge's last word. What
was counted is never carried, but counted again from the beginning of each step at every look.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from perennial.catalog.rollout import MINUTE, SETTLED, RolloutSpec
from perennial.rollout.judge import Plan, Verdict


class Canary(BaseModel):
    """`starts` are the instants at which the steps so far were asked for, `moved` those at which the alias had moved:
    what came in between belongs to no step. Verdict and what follows are the last look's.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    plan: RolloutSpec
    starts: tuple[AwareDatetime, ...] = ()
    moved: tuple[AwareDatetime, ...] = ()
    verdict: Verdict = "continue"
    reason: str = ""
    evidence: dict[str, Any] = {}

    @property
    def weight(self) -> float:
        """The challenger's share of the requests in the newest step."""
        return self.plan.steps[len(self.starts) - 1]

    @property
    def promoted(self) -> bool:
        """Whether the last word is that all requests go to the challenger."""
        return self.verdict == "promote" or (self.verdict == "inconclusive" and self.plan.otherwise == "promote")

    def windows(self, at: datetime) -> list[tuple[datetime, datetime]]:
        """First and last instant of each step as far as it has settled at `at`, in whole minutes (the last excluded).

        A minute in which the weight changed belongs to no step. A step of which nothing has settled ends as it begins.
        """
        began = (*self.moved, *self.starts[len(self.moved) :])
        ends = (*self.starts[1:], at - timedelta(seconds=SETTLED))
        spans = ((_ceiling(start), _floor(end)) for start, end in zip(began, ends, strict=True))
        return [(start, max(start, end)) for start, end in spans]


def plan_of(spec: RolloutSpec) -> Plan:
    """What the judge asks of errors."""
    return Plan(
        steps=spec.steps,
        dwell=spec.dwell,
        requests=spec.requests,
        limit=spec.limit,
        otherwise=spec.otherwise,
        alpha=spec.errors.alpha,
        ratio=spec.errors.ratio,
        rate=spec.errors.rate,
    )


def _floor(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _ceiling(at: datetime) -> datetime:
    """The beginning of the next minute; Lambda takes some seconds to follow a weight, so never of this one."""
    return _floor(at) + timedelta(seconds=MINUTE)
