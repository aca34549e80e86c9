"""The reference profile of a training: features of all rows, scores of the held-out ones, whatever the task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from perennial.monitoring.drift import detect
from perennial.monitoring.profile import Profile, profile
from perennial.monitoring.scores import score_columns
from perennial.training.data import Rows
from perennial.training.features import Feature
from perennial.training.reference import reference
from perennial.training.split import Split

Array = np.ndarray[Any, Any]
FEATURES = [Feature("x y", "feature_0", "number", "FP64"), Feature("c", "c", "category", "BYTES")]
CLASSES: dict[str, list[Any] | None] = {"binary": [False, True], "multiclass": ["a", "b", "c"], "regression": None}


def rows(days: int, first: str, classes: list[Any] | None, dated: bool, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    count = days * 40
    frame = pd.DataFrame({"feature_0": rng.normal(size=count).astype(np.float32), "c": rng.choice(["u", "v"], count)})
    time = (np.datetime64(first, "D") + np.arange(count) // 40).astype("datetime64[us]") if dated else None
    return Rows(frame.astype({"c": object}), np.zeros(count), time, classes)


def answers(task: str, count: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    if task == "regression":
        return rng.normal(size=(count, 1))
    return rng.dirichlet([1.0] * (2 if task == "binary" else 3), count)


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("task", list(CLASSES))
def test_quiet_traffic_is_quiet_and_moved_scores_are_told(task: str, dated: bool) -> None:
    classes = CLASSES[task]
    split = Split(rows(30, "2013-01-01", classes, dated, 1), rows(10, "2013-01-31", classes, dated, 2), {})
    found = Profile.from_bytes(reference(task, FEATURES, split, answers(task, 400, 3)).to_bytes())
    assert found.rows.sum() == 1600
    assert found.columns["__score__"].counts.sum() == 400
    served = rows(14, "2013-03-01", classes, True, 4)
    inputs = {"x y": served.features["feature_0"].to_numpy(), "c": served.features["c"].to_numpy()}
    quiet = answers(task, len(served), 5)
    moved = quiet + 2.0 if task == "regression" else np.sort(quiet, axis=1)
    days = np.asarray(served.time).astype("datetime64[D]")
    for given, told in ((quiet, False), (moved, True)):
        window = profile(found.grid, days, inputs | score_columns(task, given, classes))
        drift = detect(found, window, alpha=0.01)
        assert drift.state == "compared" and drift.alarm is told
        assert {column.column.name for column in drift.columns if column.moved} <= {"__score__", "__confidence__"}


def test_scores_are_what_the_task_says() -> None:
    given = np.array([[0.2, 0.8], [0.7, 0.3]])
    assert score_columns("binary", given, [0, 1])["__score__"].tolist() == [0.8, 0.3]
    assert score_columns("binary", given, [0, 1])["__confidence__"].tolist() == [0.8, 0.7]
    assert score_columns("multiclass", given, ["a", "b"])["__score__"].tolist() == ["b", "a"]
    assert set(score_columns("regression", given[:, :1], None)) == {"__score__"}
