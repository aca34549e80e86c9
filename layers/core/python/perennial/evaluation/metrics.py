"""The metrics of each task: one small function each, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.evaluation.blocks import Blocks, Interval, Statistic, interval, quotient
from perennial.evaluation.ranking import auc, average_precision

Array = np.ndarray[Any, Any]

# The graph's probabilities are float32: a certain and wrong one costs as much as the smallest it can tell from 0.
SMALLEST = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Scored:
    """Labels [n] with a graph's answers float64 [n, k] (probabilities by class, or [n, 1] values), in blocks."""

    label: Array
    answers: Array
    blocks: Blocks


@dataclass(frozen=True)
class Metric:
    """How a metric is computed, which way is better, and which values it can take."""

    prepare: Callable[[Scored], Statistic]
    greater_is_better: bool
    bounds: tuple[float, float]


def mean(values: Array, blocks: Blocks) -> Statistic:
    """The mean of a value per row [n]."""
    totals, sizes = blocks.totals(values), blocks.totals(np.ones(len(values)))
    return lambda counts: (counts @ totals) / (counts @ sizes)


def binary_auc(scored: Scored) -> Statistic:
    """Area under the ROC curve of the probability of the second class."""
    return auc(scored.label == 1, scored.answers[:, 1], scored.blocks)


def binary_average_precision(scored: Scored) -> Statistic:
    """Average precision of the probability of the second class."""
    return average_precision(scored.label == 1, scored.answers[:, 1], scored.blocks)


def macro_auc(scored: Scored) -> Statistic:
    """Mean over the classes that occur of the area under the ROC curve of one class against the rest."""
    present = [index for index in range(scored.answers.shape[1]) if (scored.label == index).any()]
    each = [auc(scored.label == index, scored.answers[:, index], scored.blocks) for index in present]
    if not each:  # every label is of a class that training never saw
        return lambda counts: np.full(len(counts), np.nan)
    return lambda counts: np.mean([one(counts) for one in each], axis=0)


def log_loss(scored: Scored) -> Statistic:
    """Mean −ln of the probability given to the true class; a class that training never saw was given none."""
    known = scored.label >= 0
    own = np.where(known, scored.answers[np.arange(len(scored.label)), scored.label * known], 0.0)
    return mean(-np.log(np.clip(own, SMALLEST, 1.0)), scored.blocks)


def brier(scored: Scored) -> Statistic:
    """Mean squared difference of the probability of the second class and the outcome."""
    return mean((scored.answers[:, 1] - (scored.label == 1)) ** 2, scored.blocks)


def accuracy(scored: Scored) -> Statistic:
    """Share of rows whose likeliest class (the first of equals, as served) is the true one."""
    return mean((scored.answers.argmax(axis=1) == scored.label).astype(np.float64), scored.blocks)


def base_rate(scored: Scored) -> Statistic:
    """Share of rows of the second class; no merit of the model, but what the others are read against."""
    return mean((scored.label == 1).astype(np.float64), scored.blocks)


def rmse(scored: Scored) -> Statistic:
    """Root of the mean squared error."""
    squared = mean((scored.answers[:, 0] - scored.label) ** 2, scored.blocks)
    return lambda counts: np.sqrt(squared(counts))


def mae(scored: Scored) -> Statistic:
    """Mean absolute error."""
    return mean(np.abs(scored.answers[:, 0] - scored.label), scored.blocks)


def r2(scored: Scored) -> Statistic:
    """One minus the squared error over that of the mean label; undefined when the label does not vary."""
    centred = scored.label - scored.label.mean()
    squared = mean((scored.answers[:, 0] - scored.label) ** 2, scored.blocks)
    first, second = mean(centred, scored.blocks), mean(centred**2, scored.blocks)

    def statistic(counts: Array) -> Array:
        spread = second(counts) - first(counts) ** 2
        return 1 - quotient(squared(counts), spread)

    return statistic


_SHARE = (0.0, 1.0)
_POSITIVE = (0.0, np.inf)

METRICS: dict[str, dict[str, Metric]] = {
    "binary": {
        "auc": Metric(binary_auc, True, _SHARE),
        "average_precision": Metric(binary_average_precision, True, _SHARE),
        "log_loss": Metric(log_loss, False, _POSITIVE),
        "brier": Metric(brier, False, _SHARE),
        "accuracy": Metric(accuracy, True, _SHARE),
        "base_rate": Metric(base_rate, True, _SHARE),
    },
    "multiclass": {
        "auc": Metric(macro_auc, True, _SHARE),
        "log_loss": Metric(log_loss, False, _POSITIVE),
        "accuracy": Metric(accuracy, True, _SHARE),
    },
    "regression": {
        "rmse": Metric(rmse, False, _POSITIVE),
        "mae": Metric(mae, False, _POSITIVE),
        "r2": Metric(r2, True, (-np.inf, 1.0)),
    },
}


def measure(task: str, scored: Scored) -> dict[str, Interval]:
    """Every metric of the task with its interval; one that is undefined on these rows is left out."""
    found = {
        name: interval(metric.prepare(scored), scored.blocks, bounds=metric.bounds)
        for name, metric in METRICS[task].items()
    }
    return {name: value for name, value in found.items() if value is not None}


def points(task: str, scored: Scored) -> dict[str, float]:
    """Every metric of the task as one number, without intervals; undefined ones are left out."""
    found = {name: float(metric.prepare(scored)(scored.blocks.once)[0]) for name, metric in METRICS[task].items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}
