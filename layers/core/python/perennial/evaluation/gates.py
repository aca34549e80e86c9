"""Gates: what a challenger must pass, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perennial.catalog.model import Gate
from perennial.evaluation.blocks import Interval
from perennial.evaluation.comparison import Compared

Evidence = dict[str, Any]


def bound_gates(gates: Mapping[str, Gate], metrics: Mapping[str, Interval]) -> list[Evidence]:
    """The absolute bounds of the spec, judged on the point value: one record per bound.

    On the value and not on its interval, since a bound is a line drawn by a person for "this cannot be right" (nothing
    learnt, a leak), not a claim that is to be proved.
    """
    return [
        _bound(name, kind, limit, metrics.get(name))
        for name, gate in sorted(gates.items())
        for kind, limit in (("min", gate.min), ("max", gate.max))
        if limit is not None
    ]


def comparison_gate(compared: Compared) -> Evidence:
    """The verdict against the champion, as one more gate."""
    return {
        "name": f"{compared.metric}.champion",
        "passed": compared.passed,
        "value": None if compared.difference is None else compared.difference.value,
        "threshold": -compared.margin,
        "reason": compared.reason,
    }


def _bound(name: str, kind: str, limit: float, metric: Interval | None) -> Evidence:
    record: Evidence = {"name": f"{name}.{kind}", "passed": False, "value": None, "threshold": limit}
    if metric is None:
        return record | {"reason": f"{name} is undefined on the held-out rows"}
    passed = metric.value >= limit if kind == "min" else metric.value <= limit
    words = "at least" if kind == "min" else "at most"
    reason = f"{name} is {metric.value:.4f}, must be {words} {limit:g} (judged on the value)"
    return record | {"passed": passed, "value": metric.value, "reason": reason}
