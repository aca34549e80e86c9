from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import numpy as np
import onnx
import pytest

from perennial.evaluation.scoring import Graph
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
