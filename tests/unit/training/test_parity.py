from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from perennial.errors import ParityFailed
from perennial.training.export import convert, export, finish, lower_thresholds
from perennial.training.parity import check_parity
from perennial.training.trees import next32, trees_of
from tests.unit.training.made import fitted


def attribute(model: Any, name: str) -> Any:
    (node,) = (node for node in model.graph.node if node.op_type.startswith("TreeEnsemble"))
    return next(attribute for attribute in node.attribute if attribute.name == name)


def test_native_categories_are_stopped() -> None:
    _, features, frame, label = fitted("hist_gradient_boosting", "binary", features=["amount", "city"])
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, dtype=np.float32)
    prepare = ColumnTransformer([("number", "passthrough", ["amount"]), ("category", encoder, ["city"])])
    native = HistGradientBoostingClassifier(max_iter=20, early_stopping=False, categorical_features=[1])
    pipeline = Pipeline([("prepare", prepare), ("model", native)]).fit(frame, label)
    model = finish(convert(pipeline, features, "binary"), "binary")
    with pytest.raises(ParityFailed, match="rows differ by more than 1e-06; worst"):
        check_parity(pipeline, model, features, frame, label, "binary")


def test_unlowered_thresholds_are_stopped_though_every_real_row_agrees() -> None:
    pipeline, features, frame, label = fitted("hist_gradient_boosting", "binary")
    model = finish(convert(pipeline, features, "binary"), "binary")
    with pytest.raises(ParityFailed, match="right of a split"):
        check_parity(pipeline, model, features, frame, label, "binary")


@pytest.mark.parametrize("algorithm", ["hist_gradient_boosting", "random_forest"])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_any_threshold_moved_by_the_smallest_step_is_found(algorithm: str, task: str) -> None:
    pipeline, features, frame, label = fitted(algorithm, task, features=["amount", "year", "sunny"])
    leaves = np.concatenate([tree.leaf for tree in trees_of(pipeline)])
    for index in np.flatnonzero(~leaves)[::37]:
        model = convert(pipeline, features, task)
        lower_thresholds(model, pipeline)
        values = attribute(model, "nodes_values")
        values.floats[index] = float(next32(np.array([values.floats[index]], np.float32))[0])
        with pytest.raises(ParityFailed):
            check_parity(pipeline, finish(model, task), features, frame, label, task)


def test_a_wrong_way_for_missing_values_is_found() -> None:
    pipeline, features, frame, label = fitted("hist_gradient_boosting", "binary", features=["amount"])
    # roots: every missing value passes them
    roots = np.cumsum([0, *(len(tree.leaf) for tree in trees_of(pipeline))])[:-1]
    for index in roots[::5]:
        model = convert(pipeline, features, "binary")
        lower_thresholds(model, pipeline)
        ways = attribute(model, "nodes_missing_value_tracks_true")
        ways.ints[index] = 1 - ways.ints[index]
        with pytest.raises(ParityFailed, match="nan"):
            check_parity(pipeline, finish(model, "binary"), features, frame, label, "binary")


def test_a_tampered_leaf_is_found_and_the_worst_row_is_named() -> None:
    pipeline, features, frame, label = fitted("random_forest", "binary")
    model = onnx.load_from_string(export(pipeline, features, "binary"))
    weights = attribute(model, "class_weights")
    weights.floats[len(weights.floats) // 2] += 1e-3
    with pytest.raises(ParityFailed, match=r"worst: .*feature .*the pipeline answers .* the graph .*'amount': "):
        check_parity(pipeline, model.SerializeToString(), features, frame, label, "binary")


def test_trees_that_the_converter_reorders_are_refused() -> None:
    pipeline, features, _, _ = fitted("hist_gradient_boosting", "binary")
    model = convert(pipeline, features, "binary")
    values = attribute(model, "nodes_values")
    values.floats[0], values.floats[1] = values.floats[1] + 1, values.floats[0]
    with pytest.raises(ParityFailed, match="fitted order"):
        lower_thresholds(model, pipeline)


def test_answers_that_are_no_numbers_are_stopped() -> None:
    pipeline, features, frame, label = fitted("logistic_regression", "binary", features=["amount"])
    model = onnx.load_from_string(export(pipeline, features, "binary"))
    (imputer,) = (node for node in model.graph.node if node.op_type == "Imputer")
    # an imputer that leaves gaps: scikit-learn fills them, the graph answers NaN
    next(a for a in imputer.attribute if a.name == "replaced_value_float").f = -12345.0
    with pytest.raises(ParityFailed, match="nan"):
        check_parity(pipeline, model.SerializeToString(), features, frame, label, "binary")


def test_a_regression_tolerance_scales_with_the_label() -> None:
    pipeline, features, frame, label = fitted("ridge", "regression")
    evidence = check_parity(pipeline, export(pipeline, features, "regression"), features, frame, label, "regression")
    assert evidence["tolerance"] == pytest.approx(1e-5 * max(1.0, float(np.std(label))))


def test_a_feature_without_any_value_passes() -> None:
    pipeline, features, frame, label = fitted("hist_gradient_boosting", "binary", features=["amount", "year"])
    empty = pd.DataFrame(frame.assign(year=np.float32("nan")))
    check_parity(pipeline, export(pipeline, features, "binary"), features, empty, label, "binary")
