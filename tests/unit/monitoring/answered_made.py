"""Predictions with outcomes as tests need them."""

from __future__ import annotations

import numpy as np

from perennial.evaluation.blocks import Array
from perennial.monitoring.answered import Answered

EPOCH = np.datetime64("2024-01-01", "D")


def answered(label: Array, answers: Array, days: Array, versions: Array | None = None) -> Answered:
    """Rows of one version, without amounts."""
    count = len(label)
    version = np.ones(count, dtype=np.int64) if versions is None else versions
    return Answered(label, answers, days, version, np.full(count, np.nan))


def binary(score: Array) -> Array:
    """Answers [n, 2] with `score` [n] as the probability of the second class."""
    return np.stack([1 - score, score], axis=1)
