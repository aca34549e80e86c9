from __future__ import annotations

import pytest

from perennial.catalog.model import Comparison, Gate
from perennial.evaluation.blocks import Interval
from perennial.evaluation.comparison import not_comparable
from perennial.evaluation.gates import bound_gates, comparison_gate

METRICS = {"auc": Interval(0.7, 0.5, 0.9)}


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        (Gate(min=0.7), [True]),
        (Gate(max=0.7), [True]),
        (Gate(min=0.71), [False]),
        (Gate(max=0.69), [False]),
        (Gate(min=0.55, max=0.8), [True, True]),
        (Gate(), []),
    ],
)
def test_bounds_are_judged_on_the_value(gate: Gate, passed: list[bool]) -> None:
    found = bound_gates({"auc": gate}, METRICS)
    assert [one["passed"] for one in found] == passed
    assert all("judged on the value" in one["reason"] for one in found)


def test_a_metric_that_is_undefined_fails_its_gate() -> None:
    (found,) = bound_gates({"r2": Gate(min=0)}, METRICS)
    assert (found["name"], found["passed"], found["value"]) == ("r2.min", False, None)
    assert "undefined" in found["reason"]


def test_the_comparison_is_one_more_gate() -> None:
    found = comparison_gate(not_comparable(Comparison(metric="auc", margin=0.02), "why"))
    assert (found["name"], found["passed"], found["threshold"]) == ("auc.champion", False, -0.02)
