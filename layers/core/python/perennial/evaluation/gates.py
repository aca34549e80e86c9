"""Gates: what a challenger must pass, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perennial.catalog.model import Comparison, Gate
from perennial.evaluation.intervals import Interval
from perennial.evaluation.metrics import LARGER_IS_BETTER

Evidence = dict[str, Any]


def bounds(gates: Mapping[str, Gate], metrics: Mapping[str, Interval]) -> list[Evidence]:
    """Absolute bounds, judged on the value (not on its interval): one record per declared bound."""
    found = []
    for name, gate in sorted(gates.items()):
        for bound, limit in (("min", gate.min), ("max", gate.max)):
            if limit is not None:
                found.append(_bound(name, bound, limit, metrics.get(name)))
    return found


def _bound(name: str, bound: str, limit: float, metric: Interval | None) -> Evidence:
    record = {"name": f"{name}.{bound}", "threshold": limit, "value": None, "passed": False}
    if metric is None:
        return record | {"reason": f"{name} could not be computed on the held-out rows"}
    passed = metric.value >= limit if bound == "min" else metric.value <= limit
    side = "at least" if bound == "min" else "at most"
    return record | {"value": metric.value, "passed": passed, "reason": f"{name} {metric.value:.4f}, {side} {limit}"}


def not_worse(comparison: Comparison, difference: Interval) -> Evidence:
    """Non-inferiority: the challenger's interval of the paired difference must lie above minus the margin.

    `difference` is challenger minus champion, turned so that larger is better.
    """
    low = difference.low if difference.low is not None else difference.value
    return {
        "name": f"{comparison.metric}.champion",
        "threshold": -comparison.margin,
        "value": difference.value,
        "low": difference.low,
        "high": difference.high,
        "passed": bool(low > -comparison.margin),
        "reason": f"challenger − champion: {comparison.metric} better by {difference.value:+.4f}, "
        f"lower end {low:+.4f}, margin {comparison.margin}",
    }


def sign(metric: str) -> float:
    """1 when larger values of the metric are better, else −1."""
    return 1.0 if metric in LARGER_IS_BETTER else -1.0
