"""Challenger against champion on the same rows: is the challenger shown to be at most a margin worse?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perennial.catalog.model import Comparison
from perennial.evaluation.blocks import Interval, interval
from perennial.evaluation.metrics import METRICS, Scored

# One-sided: a challenger that is worse by more than the margin passes in at most 5 of 100 comparisons.
ALPHA = 0.05


@dataclass(frozen=True)
class Compared:
    """The verdict with its evidence.

    `difference` is challenger − champion, turned so that positive is better for the challenger; its interval has 5 % on
    each side. It is None when there was nothing to compare. `rows` says on which rows (JSON of
    perennial.evaluation.fresh).
    """

    metric: str
    margin: float
    passed: bool
    reason: str
    difference: Interval | None = None
    rows: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """For evaluation.json."""
        return {
            "metric": self.metric,
            "margin": self.margin,
            "alpha": ALPHA,
            "passed": self.passed,
            "comparable": self.difference is not None,
            "reason": self.reason,
            "difference": None if self.difference is None else self.difference.to_json(),
            "rows": self.rows,
        }


def not_comparable(comparison: Comparison, reason: str, rows: dict[str, Any] | None = None) -> Compared:
    """A champion that cannot be asked about these rows: the challenger has not been shown to be no worse."""
    words = f"the champion is not comparable: {reason}"
    return Compared(comparison.metric, comparison.margin, False, words, rows=rows)


def compare(
    task: str, comparison: Comparison, challenger: Scored, champion: Scored, rows: dict[str, Any] | None = None
) -> Compared:
    """Non-inferiority by a paired bootstrap of blocks: passes when the lower end of the difference is above −margin.

    Both are scored on the same rows and drawn by the same draws, so what a day does to both cancels. Source: the
    non-inferiority test, Wellek, Testing Statistical Hypotheses of Equivalence (2010), ch. 2; its error rates are
    simulated in tests/unit/evaluation.
    """
    metric = METRICS[task][comparison.metric]
    ours, theirs = metric.prepare(challenger), metric.prepare(champion)
    sign = 1.0 if metric.greater_is_better else -1.0
    difference = interval(
        lambda counts: sign * (ours(counts) - theirs(counts)), challenger.blocks, confidence=1 - 2 * ALPHA
    )
    if difference is None or difference.low is None:
        reason = f"{comparison.metric} of one of the two is undefined on the held-out rows"
        return not_comparable(comparison, reason, rows)
    passed = difference.low > -comparison.margin
    reason = _reason(comparison, difference, passed)
    return Compared(comparison.metric, comparison.margin, passed, reason, difference, rows)


def _reason(comparison: Comparison, difference: Interval, passed: bool) -> str:
    low = difference.value if difference.low is None else difference.low
    found = (
        f"{comparison.metric} is better by {difference.value:+.4f} than the champion's on the same rows, lower end "
        f"{low:+.4f}, margin {comparison.margin:g}"
    )
    if passed:
        return found
    if difference.high is not None and difference.high < -comparison.margin:
        return f"{found}: worse than the margin allows"
    return f"{found}: the held-out rows do not show that it is no worse than that"
