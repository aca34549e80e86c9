"""Gates: what a challenger must pass, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from perennial.catalog.model import Gate
from perennial.catalog.monitor import DAY
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


def window_gate(seconds: int, window: Mapping[str, Any]) -> Evidence:
    """Whether the rows of a training (`window` of training.json) span no more than the spec's `train.window`: what was
    true of older ones is no longer taken for true, however well a model of them does on the newest days.
    """
    allowed, first, last = seconds // DAY, window.get("from"), window.get("to")
    record: Evidence = {"name": "train.window", "passed": False, "value": None, "threshold": allowed}
    if first is None or last is None:
        return record | {"reason": "the training does not say of which days its rows are"}
    days = (date.fromisoformat(last[:10]) - date.fromisoformat(first[:10])).days + 1
    reason = f"trained on rows of {days} days, {first[:10]} to {last[:10]}; train.window allows {allowed}"
    return record | {"passed": days <= allowed, "value": days, "reason": reason}


def _bound(name: str, kind: str, limit: float, metric: Interval | None) -> Evidence:
    record: Evidence = {"name": f"{name}.{kind}", "passed": False, "value": None, "threshold": limit}
    if metric is None:
        return record | {"reason": f"{name} is undefined on the held-out rows"}
    passed = metric.value >= limit if kind == "min" else metric.value <= limit
    words = "at least" if kind == "min" else "at most"
    reason = f"{name} is {metric.value:.4f}, must be {words} {limit:g} (judged on the value)"
    return record | {"passed": passed, "value": metric.value, "reason": reason}
