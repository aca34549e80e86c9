"""profile.json.gz: what the rows of a training looked like, which the monitor compares predictions with.

Features by name, of all its rows; `__score__` and `__confidence__` of the held-out rows alone, since a model is surer
of the rows that it has learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perennial.monitoring.grid import make_grid
from perennial.monitoring.profile import Profile, beside, profile
from perennial.monitoring.scores import score_columns
from perennial.training.data import Rows
from perennial.training.features import Feature
from perennial.training.split import Split

Array = np.ndarray[Any, Any]


def reference(task: str, features: Sequence[Feature], split: Split, answers: Array) -> Profile:
    """The profile by day; `answers` float64 [n, k] are the graph's for the held-out rows."""
    sides = (split.train, split.holdout)
    columns = {
        feature.name: np.concatenate([side.features[feature.tensor].to_numpy() for side in sides])
        for feature in features
    }
    grid = make_grid(columns, {feature.name: feature.kind for feature in features})
    scores = score_columns(task, answers, split.holdout.classes)
    rows = profile(grid, np.concatenate([_days(side) for side in sides]), columns)
    return beside(rows, profile(make_grid(scores), _days(split.holdout), scores))


def _days(rows: Rows) -> Array:
    if rows.time is None:
        return np.full(len(rows), "NaT", dtype="datetime64[D]")
    days: Array = rows.time.astype("datetime64[D]")
    return days
