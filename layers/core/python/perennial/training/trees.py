"""The split nodes of tree models, as scikit-learn holds them and in the order in which the converter writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tree:
    """One tree: arrays over its nodes. `threshold` is float64 and 0 at leaves; `x <= threshold` goes `left`."""

    feature: Array
    threshold: Array
    left: Array
    right: Array
    leaf: Array


def trees_of(pipeline: Pipeline) -> list[Tree]:
    """The trees of the pipeline's model; none for a model without trees."""
    model = pipeline.named_steps["model"]
    if "widen" in pipeline.named_steps:
        # linear, or a team's own: whatever trees it has, they see other columns
        return []
    if hasattr(model, "_predictors"):
        return [_boosted(tree.nodes) for stage in model._predictors for tree in stage]
    if hasattr(model, "estimators_"):
        return [_grown(estimator.tree_) for estimator in model.estimators_]
    return []


def _boosted(nodes: Array) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    threshold = np.where(leaf, 0.0, nodes["num_threshold"])
    return Tree(nodes["feature_idx"], threshold, nodes["left"], nodes["right"], leaf)


def _grown(tree: Any) -> Tree:
    leaf = tree.children_left < 0
    return Tree(tree.feature, np.where(leaf, 0.0, tree.threshold), tree.children_left, tree.children_right, leaf)


def floor32(values: Array) -> Array:
    """The greatest float32 that is not above each float64: x <= t and x <= floor32(t) agree for every float32 x."""
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    floors: Array = np.where(nearest.astype(np.float64) <= values, nearest, below)
    return floors


def next32(values: Array) -> Array:
    """The smallest float32 above each float32."""
    above: Array = np.nextafter(values, np.float32(np.inf))
    return above


@dataclass(frozen=True)
class Splits:
    """Split nodes with the region of prepared space from which each is reached: lower < x <= upper, [n, features]."""

    feature: Array
    threshold: Array
    lower: Array
    upper: Array


def splits_of(trees: list[Tree], width: int, most: int) -> Splits:
    """All split nodes of `trees` over `width` prepared columns; every k-th when there are more than `most`."""
    total = sum(int((~tree.leaf).sum()) for tree in trees)
    stride = max(1, -(-total // most))
    found = [node for index, node in enumerate(_walk(trees, width)) if index % stride == 0]
    if not found:
        empty = np.zeros((0, width))
        return Splits(np.zeros(0, dtype=np.int64), np.zeros(0), empty, empty)
    features, thresholds, lowers, uppers = zip(*found, strict=True)
    return Splits(np.array(features), np.array(thresholds), np.stack(lowers), np.stack(uppers))


def _walk(trees: list[Tree], width: int) -> Iterator[tuple[int, float, Array, Array]]:
    for tree in trees:
        pending = [(0, np.full(width, -np.inf), np.full(width, np.inf))]
        while pending:
            node, lower, upper = pending.pop()
            if tree.leaf[node]:
                continue
            feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
            yield feature, threshold, lower, upper
            left_upper, right_lower = upper.copy(), lower.copy()
            left_upper[feature], right_lower[feature] = threshold, threshold
            pending.append((int(tree.right[node]), right_lower, upper))
            pending.append((int(tree.left[node]), lower, left_upper))
