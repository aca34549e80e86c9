"""What an experiment shows: quality and value of two versions on live traffic, entity by entity.

Entities were assigned, so entities are what is counted: the rows of one are judged by one version and are alike
besides, and taken for independent they would look like more evidence than they are. Standard errors are those of
leaving out whole groups of entities (Kott, "The delete-a-group jackknife", Journal of Official Statistics 2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from perennial.evaluation.blocks import Array, Blocks, Statistic
from perennial.evaluation.metrics import METRICS, Metric, Scored, mean
from perennial.experiments.sequence import BALANCE_ALPHA, imbalance, reach

Verdict = Literal["better", "worse", "open", "withheld"]

# Fewer entities with outcomes in one arm, and there is no interval.
MIN_ENTITIES = 30
GROUPS = 200
_SEED = 20130101


@dataclass(frozen=True)
class ArmRows:
    """The n rows of one arm that have an outcome, and how many there are in all.

    `label` and `answers` as evaluation.metrics has them, `entity` the number of each row's [n], `amount` its business
    value [n], NaN where nobody told one. `rows` and `entities` count all predictions of the arm.
    """

    rows: int
    entities: int
    label: Array
    answers: Array
    entity: Array
    amount: Array


@dataclass(frozen=True)
class Estimate:
    """A value with the interval that holds at all looks together; without ends where there are too few entities."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Compared:
    """One measure of both arms. `difference` is challenger − champion, turned so that positive is better."""

    measure: str
    champion: Estimate
    challenger: Estimate
    difference: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Balance:
    """Whether the entities split as asked; `share` is the challenger's, `log_e` the evidence against the asked one."""

    asked: float
    share: float | None
    log_e: float
    needed: float

    @property
    def held(self) -> bool:
        """Whether nothing speaks against the split."""
        return self.log_e < self.needed


def balance(champion: int, challenger: int, share: float) -> Balance:
    """The sample-ratio check over the entities seen in each arm."""
    total = champion + challenger
    found = challenger / total if total else None
    return Balance(share, found, imbalance(challenger, champion, share), -math.log(BALANCE_ALPHA))


def quality(task: str, name: str, champion: ArmRows, challenger: ArmRows, alpha: float) -> Compared:
    """A metric of the task, over the rows with outcomes."""
    metric = METRICS[task][name]
    return _compare(name, metric, _whole(champion), _whole(challenger), alpha)


def value(champion: ArmRows, challenger: ArmRows, alpha: float) -> Compared | None:
    """Mean amount of a prediction, over the rows whose outcome came with one; None where none did."""
    theirs, ours = (_whole(arm, np.isfinite(arm.amount)) for arm in (champion, challenger))
    if not len(theirs.label) or not len(ours.label):
        return None
    metric = Metric(lambda scored: mean(scored.label, scored.blocks), True, (-np.inf, np.inf))
    return _compare("amount", metric, theirs, ours, alpha)


@dataclass(frozen=True)
class _Arm:
    label: Array
    answers: Array
    entity: Array


def _whole(arm: ArmRows, paid: Array | None = None) -> _Arm:
    if paid is None:
        return _Arm(arm.label, arm.answers, arm.entity)
    return _Arm(arm.amount[paid], arm.answers[paid], arm.entity[paid])


def _compare(name: str, metric: Metric, champion: _Arm, challenger: _Arm, alpha: float) -> Compared:
    ours, theirs = (_measured(metric, arm) for arm in (challenger, champion))
    apart = _Measured(
        (ours.value - theirs.value) * (1.0 if metric.greater_is_better else -1.0),
        math.hypot(ours.error, theirs.error),
        math.hypot(ours.naive, theirs.naive),
        ours.rows + theirs.rows,
        min(ours.groups, theirs.groups),
    )
    difference = _estimate(apart, alpha)
    verdict: Verdict = "open"
    if difference.low is not None and difference.high is not None:
        verdict = "better" if difference.low > 0 else "worse" if difference.high < 0 else "open"
    return Compared(name, _estimate(theirs, alpha), _estimate(ours, alpha), difference, verdict)


@dataclass(frozen=True)
class _Measured:
    """A value with its standard error, by entities and (`naive`) as if rows were independent."""

    value: float
    error: float
    naive: float
    rows: int
    groups: int


def _measured(metric: Metric, arm: _Arm) -> _Measured:
    rows = len(arm.label)
    names, of = np.unique(arm.entity, return_inverse=True)
    if not rows:
        return _Measured(math.nan, math.nan, math.nan, 0, 0)
    by_entity = _groups(len(names))[of]

    def statistic(groups: Array) -> tuple[Statistic, int]:
        count = int(groups.max()) + 1
        return metric.prepare(Scored(arm.label, arm.answers, Blocks("entity", groups, count))), count

    whole, count = statistic(by_entity)
    at = float(whole(np.ones((1, count)))[0])
    if len(names) < MIN_ENTITIES:
        return _Measured(at, math.nan, math.nan, rows, len(names))
    return _Measured(at, spread(whole, count), spread(*statistic(_groups(rows))), rows, count)


def spread(statistic: Callable[[Array], Array], count: int) -> float:
    """The standard error of a statistic, by leaving out each of `count` groups."""
    left_out = statistic(1.0 - np.eye(count))
    return float(np.sqrt((count - 1) * left_out.var()))


def _groups(members: int) -> Array:
    """At most GROUPS groups of equal size, drawn once and for all."""
    return np.random.default_rng(_SEED).permutation(members) % min(GROUPS, members)


def _estimate(found: _Measured, alpha: float) -> Estimate:
    if not math.isfinite(found.value):
        return Estimate(None)
    if not (math.isfinite(found.error) and found.error > 0):
        return Estimate(found.value)
    independent = found.rows * (found.naive / found.error) ** 2
    half = reach(found.error, independent, alpha, found.groups)
    return Estimate(found.value, found.value - half, found.value + half)
