"""A model's answers as two columns beside its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perennial.monitoring.names import CONFIDENCE, SCORE

Array = np.ndarray[Any, Any]


def score_columns(task: str, answers: Array, classes: Sequence[Any] | None) -> dict[str, Array]:
    """`__score__` of answers float64 [n, k]: the probability of the second class of a binary task, the prediction of a
    regression, else the likeliest class's label (as text); and of classes `__confidence__`, the largest probability.
    """
    if task == "regression" or classes is None:
        return {SCORE: answers[:, 0]}
    confidence = {CONFIDENCE: answers.max(axis=1)} if len(answers) else {CONFIDENCE: np.zeros(0)}
    if task == "binary":
        return {SCORE: answers[:, 1], **confidence}
    labels = np.array([str(label) for label in classes], dtype=object)
    return {SCORE: labels[answers.argmax(axis=1)], **confidence}
