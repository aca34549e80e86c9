"""Whether the model fitted again on all rows still is the one that was evaluated; if not, that one is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.evaluation.blocks import Interval
from perennial.evaluation.metrics import METRICS, Scored, points
from perennial.rollout.scores import score_of

Array = np.ndarray[Any, Any]

# At no threshold may the two differ by more than this in the share of rows above it: who acts on a score acts as often.
# A bound of meaning and not of noise: the rows are the same, and those of the refitted model's own training.
MOST_MOVED = 0.10


@dataclass(frozen=True)
class Agreement:
    """The checks of a refitted model, each with its evidence."""

    checks: list[dict[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether it may be deployed."""
        return all(check["passed"] for check in self.checks)

    @property
    def reason(self) -> str:
        """What the failed checks say, or all of them."""
        failed = [check["reason"] for check in self.checks if not check["passed"]]
        return "; ".join(failed or [check["reason"] for check in self.checks])


def agreement(
    task: str, metric: str, evaluated: Scored, refitted: Array, intervals: Mapping[str, Interval]
) -> Agreement:
    """Compare the refitted model's answers [n, k] with the evaluated model's on the same held-out rows.

    `intervals` are the evaluated model's metrics. The refitted one has seen these rows, so its metric says nothing of
    how good it is; below the evaluated one's interval it says that fitting went wrong.
    """
    return Agreement([_scores(evaluated.answers, refitted), _metric(task, metric, evaluated, refitted, intervals)])


def moved(one: Array, other: Array) -> float:
    """The greatest difference of the shares of `one` [n] and `other` [m] above any threshold (Kolmogorov–Smirnov)."""
    every = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(side), every, "right") / len(side) for side in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _scores(evaluated: Array, refitted: Array) -> dict[str, Any]:
    if not np.isfinite(refitted).all():
        return {"name": "scores", "passed": False, "value": None, "threshold": MOST_MOVED, "reason": "not all finite"}
    found = moved(*(np.array([score_of(row) for row in side.tolist()]) for side in (evaluated, refitted)))
    return {
        "name": "scores",
        "passed": found <= MOST_MOVED,
        "value": found,
        "threshold": MOST_MOVED,
        "reason": f"at some score {found:.1%} more or fewer of the held-out rows lie above it, at most "
        f"{MOST_MOVED:.0%} may",
    }


def _metric(
    task: str, metric: str, evaluated: Scored, refitted: Array, intervals: Mapping[str, Interval]
) -> dict[str, Any]:
    value = points(task, Scored(evaluated.label, refitted, evaluated.blocks)).get(metric)
    was, greater = intervals.get(metric), METRICS[task][metric].greater_is_better
    record = {"name": metric, "passed": False, "value": value, "threshold": None}
    worst = None if was is None else (was.low if greater else was.high)
    if value is None or worst is None:
        return record | {"reason": f"{metric} has no value with an interval on the held-out rows"}
    passed = value >= worst if greater else value <= worst
    words = "at least" if greater else "at most"
    reason = (
        f"{metric} is {value:.4f} on the held-out rows, must be {words} {worst:.4f}, the evaluated model's worse end"
    )
    return record | {"passed": bool(passed), "threshold": worst, "reason": reason}
