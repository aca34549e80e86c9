from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import onnx
import pytest
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.utils import all_estimators

from perennial.evaluation.scoring import Graph
from perennial.serving.graph import check_graph
from perennial.training import kernels
from perennial.training.export import export
from perennial.training.parity import check_parity
from perennial.training.scoring import score
from tests.unit.training.made import ALGORITHMS, COLUMNS, fitted


@pytest.mark.parametrize(("algorithm", "task"), ALGORITHMS)
def test_the_graph_predicts_what_the_pipeline_predicts(algorithm: str, task: str) -> None:
    pipeline, features, frame, label = fitted(algorithm, task)
    evidence = check_parity(pipeline, export(pipeline, features, task), features, frame, label, task)
    assert evidence["rows"] == len(frame)
    assert evidence["worst"] <= evidence["tolerance"]
    if algorithm in {"hist_gradient_boosting", "random_forest"}:
        assert evidence["probes"]["left of a split"] == evidence["probes"]["right of a split"] > 50


def test_no_graph_that_training_writes_is_refused_for_its_sizes() -> None:
    for algorithm, task in ALGORITHMS:
        pipeline, features, _, _ = fitted(algorithm, task)
        check_graph(export(pipeline, features, task))


def scikit_learns() -> Iterator[tuple[str, onnx.ModelProto]]:
    """The graph of every estimator of scikit-learn that skl2onnx converts: what an own estimator may be made of."""
    rows = np.random.default_rng(0).normal(size=(60, 4))
    for kind, label in (("classifier", rows[:, 0] > 0), ("regressor", np.abs(rows[:, 0]) + 0.1)):
        for name, found in all_estimators(type_filter=kind):
            with suppress(Exception):  # what takes other arguments, other labels, or has no converter
                model = found().fit(rows, label.astype(int) if kind == "classifier" else label)
                takes = [("X", DoubleTensorType([None, 4]))]
                options = {id(model): {"zipmap": False}} if kind == "classifier" else None
                opset = {"": 17, "ai.onnx.ml": 3}
                yield name, convert_sklearn(model, initial_types=takes, target_opset=opset, options=options)


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.full
def test_no_graph_of_scikit_learns_estimators_is_refused_for_its_sizes() -> None:
    checked = []
    for name, model in scikit_learns():
        if {one.domain for one in model.opset_import} <= {"", "ai.onnx.ml"}:  # others are not served at all
            check_graph(model.SerializeToString())
            checked.append(name)
    # those that compute sizes, in every way that skl2onnx has
    assert len(checked) > 40
    assert {"AdaBoostClassifier", "GaussianProcessRegressor", "RadiusNeighborsRegressor"} < set(checked)


@pytest.mark.parametrize("name", ["GaussianProcessRegressor", "AdaBoostClassifier", "RadiusNeighborsClassifier"])
def test_estimators_whose_graphs_compute_sizes_are_served(name: str) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 4))
    found = dict(all_estimators())[name]
    label = (rows[:, 0] > 0).astype(int) if name.endswith("Classifier") else rows[:, 0]
    takes = [("X", DoubleTensorType([None, 4]))]
    model = convert_sklearn(found().fit(rows, label), initial_types=takes, target_opset={"": 17, "ai.onnx.ml": 3})
    assert "ConstantOfShape" in {one.op_type for one in model.graph.node}
    check_graph(model.SerializeToString())


def test_the_same_request_gives_the_same_bytes_in_separate_processes() -> None:
    def started(hash_seed: str, threads: str) -> subprocess.Popen[str]:
        # what may differ from process to process: the order of sets, the number of threads
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "tests.unit.training.made"], env=environment, stdout=subprocess.PIPE, text=True
        )

    one, other = (json.loads(process.communicate()[0]) for process in (started("1", "1"), started("2", "2")))
    assert len(one["digests"]) == len(ALGORITHMS)
    assert one == other
    kernel = kernels.KERNELS.get(platform.machine())
    assert kernel is None or {found["architecture"].lower() for found in one["blas"]} == {kernel.lower()}


def test_the_graph_has_one_input_per_feature_and_one_output() -> None:
    pipeline, features, frame, _ = fitted("hist_gradient_boosting", "multiclass")
    model = onnx.load_from_string(export(pipeline, features, "multiclass"))
    names = [value.name for value in model.graph.input]
    # a name that is no identifier, or that of the output, is replaced
    assert names == ["amount", "year", "feature_2", "sunny", "city", "feature_5"]
    assert [feature.name for feature in features] == list(COLUMNS)
    assert [value.name for value in model.graph.output] == ["probabilities"]
    (output,) = model.graph.output
    assert output.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert score(Graph(model.SerializeToString()), frame.iloc[:3]).shape == (3, 3)


def test_a_regression_answers_one_column_named_prediction() -> None:
    pipeline, features, frame, _ = fitted("ridge", "regression")
    content = export(pipeline, features, "regression")
    assert [value.name for value in onnx.load_from_string(content).graph.output] == ["prediction"]
    assert score(Graph(content), frame.iloc[:3]).shape == (3, 1)


def test_probabilities_are_those_of_the_classes_in_order() -> None:
    pipeline, features, frame, label = fitted("hist_gradient_boosting", "binary")
    answers = score(Graph(export(pipeline, features, "binary")), frame)
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-6)
    assert answers[label == 1, 1].mean() > answers[label == 0, 1].mean() + 0.2


@pytest.mark.parametrize("algorithm", ["hist_gradient_boosting", "logistic_regression", "random_forest"])
@pytest.mark.parametrize("features", [["amount"], ["city"], ["city", "probabilities"], ["sunny", "year"]])
def test_any_mixture_of_kinds_converts(algorithm: str, features: list[str]) -> None:
    pipeline, made, frame, label = fitted(algorithm, "binary", features=features)
    check_parity(pipeline, export(pipeline, made, "binary"), made, frame, label, "binary")


def test_a_row_alone_gets_the_answer_it_gets_among_others() -> None:
    pipeline, features, frame, _ = fitted("random_forest", "binary")
    graph = Graph(export(pipeline, features, "binary"))
    together = score(graph, frame.iloc[:50])
    alone = np.concatenate([score(graph, frame.iloc[index : index + 1]) for index in range(50)])
    assert np.array_equal(together, alone)
