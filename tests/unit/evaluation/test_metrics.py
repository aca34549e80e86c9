from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from perennial.catalog.model import METRIC_NAMES
from perennial.evaluation.blocks import Blocks, blocks_of
from perennial.evaluation.metrics import METRICS, Scored, measure, points

rng = np.random.default_rng(5)
EACH = Blocks("rows", np.arange(400) % 20, 20)


def probabilities(classes: int) -> Any:
    made = rng.dirichlet(np.ones(classes), size=400).astype(np.float32).astype(np.float64)
    return made / made.sum(axis=1, keepdims=True)


def test_binary_metrics_are_scikit_learns() -> None:
    label, answers = rng.integers(0, 2, 400), probabilities(2)
    late = answers[:, 1]
    assert points("binary", Scored(label, answers, EACH)) == pytest.approx(
        {
            "auc": sk.roc_auc_score(label, late),
            "average_precision": sk.average_precision_score(label, late),
            "log_loss": sk.log_loss(label, answers),
            "brier": sk.brier_score_loss(label, late),
            "accuracy": sk.accuracy_score(label, late > 0.5),
            "base_rate": label.mean(),
        }
    )


def test_multiclass_metrics_are_scikit_learns() -> None:
    label, answers = rng.integers(0, 3, 400), probabilities(3)
    assert points("multiclass", Scored(label, answers, EACH)) == pytest.approx(
        {
            "auc": sk.roc_auc_score(label, answers, multi_class="ovr"),
            "log_loss": sk.log_loss(label, answers),
            "accuracy": sk.accuracy_score(label, answers.argmax(axis=1)),
        }
    )


def test_regression_metrics_are_scikit_learns() -> None:
    label = rng.normal(size=400) + 1e4
    answers = (label + rng.normal(size=400))[:, None]
    assert points("regression", Scored(label, answers, EACH)) == pytest.approx(
        {
            "rmse": sk.root_mean_squared_error(label, answers),
            "mae": sk.mean_absolute_error(label, answers),
            "r2": sk.r2_score(label, answers),
        }
    )


def test_a_class_that_training_never_saw_counts_as_an_error() -> None:
    label, answers = np.r_[np.zeros(200, int), -np.ones(200, int)], np.tile([0.9, 0.1], (400, 1))
    found = points("multiclass", Scored(label, answers, EACH))
    assert found["accuracy"] == pytest.approx(0.5)
    assert found["log_loss"] > 5
    assert "auc" in found


def test_what_is_undefined_is_left_out() -> None:
    found = measure("binary", Scored(np.zeros(400, int), probabilities(2), EACH))
    assert set(found) == {"log_loss", "brier", "accuracy", "base_rate"}
    assert "r2" not in measure("regression", Scored(np.ones(400), np.ones((400, 1)), EACH))


@pytest.mark.parametrize("task", METRICS)
def test_intervals_hold_their_value_and_stay_in_range(task: str) -> None:
    label = rng.normal(size=400) if task == "regression" else rng.integers(0, 2 if task == "binary" else 3, 400)
    answers = rng.normal(size=(400, 1)) if task == "regression" else probabilities(2 if task == "binary" else 3)
    scored = Scored(label, answers, blocks_of(None, 400))
    found = measure(task, scored)
    assert found.keys() == METRICS[task].keys()
    for name, metric in found.items():
        # numpy's floats would not all go into JSON
        assert [type(end) for end in metric.to_json().values()] == [float, float, float]
        assert metric.low is not None
        assert metric.high is not None
        low, high = METRICS[task][name].bounds
        assert low <= metric.low <= metric.value <= metric.high <= high
    assert found == measure(task, Scored(label, answers, blocks_of(None, 400)))


def test_the_catalog_knows_the_same_metrics() -> None:
    assert {task: frozenset(known) for task, known in METRICS.items()} == METRIC_NAMES
