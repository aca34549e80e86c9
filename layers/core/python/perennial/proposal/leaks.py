"""Leaks: columns that alone give the label away, measured on rows that each small model has not seen.

Whether a column is known when a prediction is made, no data can tell. But one that alone predicts almost perfectly is
more often written after the fact than it is a discovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from perennial.datasets.arrays import mask_of
from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.metrics import Scored, points
from perennial.training.features import Feature

Array = np.ndarray[Any, Any]

FOLDS = 5
MOST_ROWS = 20_000
MOST_CELLS = 2_000_000
# Almost perfect: both for classes, since with rare classes always saying "no" is accurate too
LEAK = {"auc": 0.99, "accuracy": 0.97, "r2": 0.98}
# Very good for one column: kept, and named
STRONG = {"auc": 0.95, "r2": 0.8}
# Fewer rows agree by chance
LEAST_ROWS = 20
LEAST_SHARED, SHARED = 10, 0.8


@dataclass(frozen=True)
class Finding:
    """What makes a column suspicious: what it alone achieves on unseen rows (`leak`: almost perfect), or for the metric
    `gaps` the share of the rows without one of column and label that lack both.
    """

    column: str
    metric: str
    value: float
    leak: bool

    def __str__(self) -> str:
        if self.metric == "gaps":
            return f"where the label is missing it is missing too ({self.value:.0%}), as if written together with it"
        return f"alone it predicts the label with {self.metric} {self.value:.3f} on rows that were held out"


def find_leaks(
    task: str, features: Iterable[Feature], frame: pd.DataFrame, label: Array, progress: Callable[[str], None]
) -> list[Finding]:
    """The suspicious ones among `features`, whose columns are in `frame` under their tensor names."""
    listed = list(features)
    if len(label) < LEAST_ROWS:
        return []
    chosen = _chosen(len(label), len(listed))
    label = label[chosen]
    fold = np.random.default_rng(0).permutation(len(label)) % FOLDS
    found = []
    for place, feature in enumerate(listed, 1):
        progress(f"looking for leaks: column {place} of {len(listed)}")
        metrics = alone(task, feature, frame[feature.tensor].to_numpy()[chosen], label, fold)
        name = "r2" if task == "regression" else "auc"
        value = metrics.get(name, 0.0)
        if value >= STRONG[name]:
            leak = all(metrics.get(word, 1.0) >= least for word, least in LEAK.items())
            found.append(Finding(feature.name, name, value, leak))
    return found


def find_shared_gaps(sample: pa.Table, label: str, features: Iterable[str]) -> list[Finding]:
    """The features that are missing where the label is missing (`sample` holds rows with and without label)."""
    unlabelled = mask_of(pc.is_null(sample.column(label)).combine_chunks())
    found = []
    for name in features:
        missing = mask_of(pc.is_null(sample.column(name)).combine_chunks())
        both, either = int((missing & unlabelled).sum()), int((missing | unlabelled).sum())
        if both >= LEAST_SHARED and both >= SHARED * either:
            found.append(Finding(name, "gaps", both / either, leak=False))
    return found


def alone(task: str, feature: Feature, values: Array, label: Array, fold: Array) -> dict[str, float]:
    """Metrics of the label predicted from one column, each row by a model that was fitted without its fold."""
    width = 1 if task == "regression" else int(label.max()) + 1
    answers = np.zeros((len(label), width))
    for held in range(FOLDS):
        train, test = fold != held, fold == held
        if feature.kind == "category":
            answers[test] = _by_category(values[train], label[train], values[test], width, task)
        else:
            answers[test] = _by_tree(values[train], label[train], values[test], width, task)
    return points(task, Scored(label, answers, blocks_of(None, len(label))))


def _by_tree(values: Array, label: Array, asked: Array, width: int, task: str) -> Array:
    smallest = max(2, len(label) // 1000)
    kind = DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier
    tree = kind(max_leaf_nodes=200, min_samples_leaf=smallest, random_state=0).fit(values.reshape(-1, 1), label)
    if task == "regression":
        predicted: Array = tree.predict(asked.reshape(-1, 1)).reshape(-1, 1)
        return predicted
    answers = np.zeros((len(asked), width))
    answers[:, tree.classes_.astype(int)] = tree.predict_proba(asked.reshape(-1, 1))
    return answers


def _by_category(values: Array, label: Array, asked: Array, width: int, task: str) -> Array:
    """The mean label (or the shares of the classes) of each category, drawn a little to the mean of all rows."""
    target = label.reshape(-1, 1) if task == "regression" else np.eye(width)[label]
    known, codes = np.unique(values.astype(str), return_inverse=True)
    sums = np.zeros((len(known), width))
    np.add.at(sums, codes, target)
    overall = target.mean(axis=0)
    means = (sums + 0.1 * overall) / (np.bincount(codes, minlength=len(known)).reshape(-1, 1) + 0.1)
    places = np.searchsorted(known, asked.astype(str)).clip(0, len(known) - 1)
    answers: Array = np.where((known[places] == asked.astype(str)).reshape(-1, 1), means[places], overall)
    return answers


def _chosen(rows: int, columns: int) -> Array:
    size = min(rows, max(1000, min(MOST_ROWS, MOST_CELLS // max(columns, 1))))
    return np.unique(np.linspace(0, rows - 1, size).astype(int))
