"""One ONNX graph with the preprocessing inside; the same pipeline always gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from perennial.training.data import Feature

OPSET = {"": 17, "ai.onnx.ml": 3}


def export(pipeline: Pipeline, features: Sequence[Feature], task: str) -> bytes:
    """The fitted pipeline as a serialized ONNX model.

    One input per feature, named as the feature, shape [n, 1], float32 or string. One output: `probabilities`
    float32 [n, classes], or `prediction` float32 [n, 1] for a regression.
    """
    types = [
        (feature.tensor, StringTensorType([None, 1]) if feature.kind == "category" else FloatTensorType([None, 1]))
        for feature in features
    ]
    options = None if task == "regression" else {id(pipeline): {"zipmap": False}}
    model = to_onnx(pipeline, initial_types=types, options=options, target_opset=OPSET)
    _lower_thresholds(model, pipeline)
    _keep_one_output(model, "prediction" if task == "regression" else "probabilities")
    _rename(model, {feature.tensor: feature.name for feature in features})
    model.producer_name, model.producer_version, model.doc_string = "perennial", "", ""
    model.graph.name = "model"
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def split_thresholds(pipeline: Pipeline) -> np.ndarray[Any, Any]:
    """Every split threshold of a tree model as scikit-learn holds it, float64, sorted; empty for others."""
    model = pipeline.named_steps["model"]
    found: set[float] = set()
    if hasattr(model, "_predictors"):
        for tree in (tree for stage in model._predictors for tree in stage):
            found |= set(tree.nodes["num_threshold"][tree.nodes["is_leaf"] == 0].tolist())
    elif hasattr(model, "estimators_"):
        for tree in model.estimators_:
            found |= set(tree.tree_.threshold[tree.tree_.children_left >= 0].tolist())
    return np.array(sorted(value for value in found if np.isfinite(value)), dtype=np.float64)


def floor32(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The greatest float32 that is not above each float64 value."""
    nearest = values.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    lowered: np.ndarray[Any, Any] = np.where(nearest.astype(np.float64) <= values, nearest, below)
    return lowered


def _lower_thresholds(model: Any, pipeline: Pipeline) -> None:
    """Round split thresholds down to float32.

    A float32 input x satisfies x <= t for a float64 threshold t exactly when x <= floor32(t); the converter rounds to
    the nearest or up, which sends rows beside a threshold the wrong way.
    """
    thresholds = split_thresholds(pipeline)
    floors = floor32(thresholds)
    ceilings = np.where(floors.astype(np.float64) == thresholds, floors, np.nextafter(floors, np.float32(np.inf)))
    lowered = {float(c): float(f) for c, f in zip(ceilings, floors, strict=True) if c != f}
    exact = {float(f) for f in floors}
    for node in model.graph.node:
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        attributes = {attribute.name: attribute for attribute in node.attribute}
        modes = [mode.decode() for mode in attributes["nodes_modes"].strings]
        values = list(attributes["nodes_values"].floats)
        for index, (value, mode) in enumerate(zip(values, modes, strict=True)):
            if mode != "LEAF" and value in lowered and value not in exact:
                values[index] = lowered[value]
        del attributes["nodes_values"].floats[:]
        attributes["nodes_values"].floats.extend(values)


def _keep_one_output(model: Any, name: str) -> None:
    """Keep the last output (probabilities, or the only one) under the name `name`; drop the label."""
    kept = model.graph.output[-1]
    old = kept.name
    for output in list(model.graph.output)[:-1]:
        model.graph.output.remove(output)
    if old != name:
        _rename(model, {old: name})


def _rename(model: Any, names: dict[str, str]) -> None:
    taken = {output for node in model.graph.node for output in node.output} - set(names)
    # a feature may bear the name of an inner tensor: that one steps aside
    names = names | {inner: f"inner_{index}_" for index, inner in enumerate(sorted(taken & set(names.values())))}
    for value in [*model.graph.input, *model.graph.output]:
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]
        node.output[:] = [names.get(value, value) for value in node.output]
