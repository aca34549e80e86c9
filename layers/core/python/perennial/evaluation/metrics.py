"""Metrics of one set of scored rows under row weights, prepared once and computed for many weightings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
# Row weights [n] in, metric out; NaN when it is not defined (one class only).
Weighted = Callable[[Array], float]

TINY = 1e-7


def auc(label: Array, scores: Array) -> Weighted:
    """Area under the ROC curve of binary labels [n] and probabilities of class 1 [n]; ties count one half."""
    order = np.argsort(scores, kind="stable")
    positive = label[order] == 1
    ties = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))

    def weighted(weights: Array) -> float:
        w = weights[order]
        plus = np.add.reduceat(np.where(positive, w, 0.0), ties)
        minus = np.add.reduceat(np.where(positive, 0.0, w), ties)
        below = np.cumsum(minus) - minus
        pairs = plus.sum() * minus.sum()
        return float((plus * (below + minus / 2)).sum() / pairs) if pairs > 0 else float("nan")

    return weighted


def average_precision(label: Array, scores: Array) -> Weighted:
    """Average precision of binary labels [n] and probabilities of class 1 [n], as scikit-learn defines it."""
    order = np.argsort(-scores, kind="stable")
    positive = label[order] == 1
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)

    def weighted(weights: Array) -> float:
        w = weights[order]
        hits, all_ = np.cumsum(np.where(positive, w, 0.0))[ends], np.cumsum(w)[ends]
        if hits[-1] <= 0:
            return float("nan")
        precision = np.divide(hits, all_, out=np.ones_like(hits), where=all_ > 0)
        return float((np.diff(hits, prepend=0.0) * precision).sum() / hits[-1])

    return weighted


def mean_of(values: Array) -> Weighted:
    """The weighted mean of a value per row."""
    return lambda weights: float(values @ weights / weights.sum())


def prepare(task: str, label: Array, scores: Array) -> dict[str, Weighted]:
    """The task's metrics by name for labels [n] and scores [n, k] (probabilities) or [n, 1] (regression)."""
    scores = scores.astype(np.float64)
    if task == "regression":
        return _regression(label.astype(np.float64), scores[:, 0])
    own = np.clip(scores[np.arange(len(label)), label], TINY, 1.0)
    common = {"log_loss": mean_of(-np.log(own)), "accuracy": mean_of((scores.argmax(axis=1) == label).astype(float))}
    if task == "multiclass":
        each = [auc((label == index).astype(int), scores[:, index]) for index in range(scores.shape[1])]
        return {"auc": lambda weights: float(np.nanmean([one(weights) for one in each])), **common}
    late = scores[:, 1]
    return {
        "auc": auc(label, late),
        "average_precision": average_precision(label, late),
        "brier": mean_of((late - label) ** 2),
        "base_rate": mean_of(label.astype(float)),
        **common,
    }


def _regression(label: Array, predicted: Array) -> dict[str, Weighted]:
    squared, absolute = mean_of((label - predicted) ** 2), mean_of(np.abs(label - predicted))
    first, second = mean_of(label), mean_of(label**2)

    def r2(weights: Array) -> float:
        spread = second(weights) - first(weights) ** 2
        return 1 - squared(weights) / spread if spread > 0 else float("nan")

    return {"rmse": lambda weights: float(np.sqrt(squared(weights))), "mae": absolute, "r2": r2}


def point_metrics(task: str, label: Array, scores: Array) -> dict[str, float]:
    """The task's metrics with every row counted once; those that are not defined are left out."""
    ones = np.ones(len(label))
    found = {name: weighted(ones) for name, weighted in prepare(task, label, scores).items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


# Larger is better for these, smaller for all others.
LARGER_IS_BETTER = {"auc", "average_precision", "accuracy", "r2"}
