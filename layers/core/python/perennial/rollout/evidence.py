"""What the judge is shown of a rollout: counted from the beginning of each step, at every look anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from perennial.rollout.canary import Canary
from perennial.rollout.error_tests import Counts
from perennial.storage.metrics import Total

Totals = Callable[[Sequence[Total]], list[float]]


@dataclass(frozen=True)
class Arms:
    """The two Lambda versions behind an alias of the function that serves a model."""

    model: str
    function: str
    alias: str
    challenger: str
    champion: str


def counted(arms: Arms, canary: Canary, at: datetime, totals: Totals) -> list[Counts]:
    """What is known at `at` of the requests of each step so far, failed ones among them.

    Failed are calls that crashed or ran out of time (AWS/Lambda Errors, which Lambda counts per version under an alias
    with weights) and those that were answered 5xx because the model gave no usable answer (PredictFault, which leaves
    out who asks a version by its number). A call may be both, so never more failures than requests are believed.
    """
    windows = canary.windows(at)
    asked = [
        total
        for since, until in windows
        for version in (arms.challenger, arms.champion)
        for total in _questions(arms, version, since, until)
    ]
    sums = totals(asked)
    steps = []
    for number, weight in enumerate(canary.plan.steps[: len(windows)]):
        mine, theirs = (_arm(sums[start : start + 3]) for start in (6 * number, 6 * number + 3))
        steps.append(Counts(weight, *mine, *theirs))
    return steps


def _questions(arms: Arms, version: str, since: datetime, until: datetime) -> list[Total]:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html (dimensions)."""
    own = {"FunctionName": arms.function, "Resource": f"{arms.function}:{arms.alias}", "ExecutedVersion": version}
    faults = {"model": arms.model, "lambda_version": version}
    return [
        Total("AWS/Lambda", "Invocations", own, since, until),
        Total("AWS/Lambda", "Errors", own, since, until),
        Total("Perennial", "PredictFault", faults, since, until),
    ]


def _arm(sums: Sequence[float]) -> tuple[int, int]:
    requests, errors, faults = (round(value) for value in sums)
    return requests, min(requests, errors + faults)
