"""Metrics of a cohort: in all, by version and by day, and what is said where there is too little."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.metrics import METRICS, Scored, measure
from perennial.monitoring.performance import MIN_ROWS, performance
from scripts.benchmarks.served import Days
from tests.unit.monitoring.answered_made import EPOCH, answered, binary

RNG = np.random.default_rng(5)
ROWS = Days().draw(20, RNG)


def test_a_cohort_has_the_metrics_of_an_evaluation_with_intervals_by_days() -> None:
    found = performance("binary", ROWS, trained={"auc": 0.7})
    assert found is not None
    expected = measure("binary", Scored(ROWS.label, ROWS.answers, blocks_of(ROWS.days, len(ROWS))))
    assert found["metrics"] == {name: value.to_json() for name, value in expected.items()}
    assert found["intervals"] == {"confidence": 0.95, "days": 20, "missing": None}
    assert (found["metric"], found["undefined"], found["trained"]) == ("auc", [], {"auc": 0.7})
    json.dumps(found, allow_nan=False)


def test_days_and_versions_are_told_apart() -> None:
    rows = replace(ROWS, versions=np.where(np.arange(len(ROWS)) % 2, 3, 4))
    found = performance("binary", rows, metric="brier")
    assert found is not None
    assert [(one["version"], one["first"], one["last"]) for one in found["versions"]] == [
        (3, "2024-01-01", "2024-01-20"), (4, "2024-01-01", "2024-01-20"),
    ]  # fmt: skip
    assert sum(one["rows"] for one in found["by_day"]) == len(rows)
    third = found["by_day"][5]
    own = rows.part((rows.days == EPOCH + 2) & (rows.versions == 4))
    assert (third["day"], third["version"], third["rows"]) == ("2024-01-03", 4, len(own))
    assert third["value"] == pytest.approx(np.mean((own.answers[:, 1] - own.label) ** 2))
    assert third["low"] < third["value"] < third["high"]


def test_few_days_have_values_and_no_interval_and_it_says_so() -> None:
    found = performance("binary", ROWS.part(ROWS.days < EPOCH + 5))
    assert found is not None
    assert found["metrics"]["auc"]["low"] is None
    assert "5 days" in found["intervals"]["missing"]


def test_what_is_undefined_is_left_out_by_name() -> None:
    rows = ROWS.part(ROWS.label == 0)
    found = performance("binary", rows)
    assert found is not None
    assert found["undefined"] == ["auc", "average_precision"]
    assert set(found["metrics"]) == {"log_loss", "brier", "accuracy", "base_rate"}
    assert {one["value"] for one in found["by_day"]} == {None}


def test_a_day_with_few_rows_has_no_interval() -> None:
    rows = ROWS.part((ROWS.days == EPOCH) & (np.arange(len(ROWS)) < MIN_ROWS - 1))
    found = performance("binary", rows, metric="accuracy")
    assert found is not None
    assert (found["by_day"][0]["rows"], found["by_day"][0]["low"]) == (MIN_ROWS - 1, None)


def test_nothing_comes_of_nothing() -> None:
    assert performance("binary", ROWS.part(np.zeros(len(ROWS), dtype=bool))) is None


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_every_task_has_its_metrics(task: str) -> None:
    days = EPOCH + np.arange(600) // 50
    if task == "multiclass":
        answers = RNG.dirichlet([1, 1, 1], size=600)
        label = np.array([RNG.choice(3, p=one) for one in answers])
    else:
        answers = RNG.normal(size=(600, 1))
        label = answers[:, 0] + RNG.normal(size=600)
    found = performance(task, answered(label, answers, days))
    assert found is not None
    assert set(found["metrics"]) == set(METRICS[task])
    assert all(one["low"] < one["value"] < one["high"] for one in found["metrics"].values())
    assert len(found["by_day"]) == 12


def test_one_row_is_enough_for_what_it_can_tell() -> None:
    found = performance("binary", answered(np.array([1]), binary(np.array([0.75])), np.array([EPOCH])))
    assert found is not None
    assert found["metrics"]["brier"] == {"value": 0.0625, "low": None, "high": None}
