from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import yaml

from perennial.registry import ModelVersion
from perennial.registry.mlflow_model import mlflow_files

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
VERSION = ModelVersion(model="late", version=3, run="late-000003-ab", state="registered", prefix="p/", at=AT)
SIGNATURE: dict[str, Any] = {
    "inputs": [
        {"name": "dép time", "datatype": "INT64", "kind": "number", "tensor": "feature_0", "element": "float"},
        {"name": "carrier", "datatype": "BYTES", "kind": "category", "tensor": "carrier", "element": "string"},
    ],
    "classes": [False, True],
}
TRAINING = {"python": "3.13.1", "libraries": {"onnx": "1.23.2", "onnxruntime": "1.32.0", "scikit-learn": "1.9.1"}}


def test_the_same_version_is_always_the_same_files() -> None:
    assert mlflow_files(VERSION, SIGNATURE, TRAINING) == mlflow_files(VERSION, SIGNATURE, TRAINING)


def test_two_versions_have_two_identities() -> None:
    other = VERSION.model_copy(update={"version": 4})
    identities = {
        yaml.safe_load(mlflow_files(v, SIGNATURE, TRAINING)["MLmodel"])["model_uuid"] for v in (VERSION, other)
    }
    assert len(identities) == 2


def test_the_signature_names_the_tensors_of_the_graph() -> None:
    found = yaml.safe_load(mlflow_files(VERSION, SIGNATURE, TRAINING)["MLmodel"])
    assert json.loads(found["signature"]["inputs"]) == [
        {"type": "tensor", "name": "feature_0", "tensor-spec": {"dtype": "float32", "shape": [-1, 1]}},
        {"type": "tensor", "name": "carrier", "tensor-spec": {"dtype": "object", "shape": [-1, 1]}},
    ]
    assert json.loads(found["signature"]["outputs"]) == [
        {"type": "tensor", "name": "probabilities", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}
    ]
    assert found["utc_time_created"] == "2026-03-01 12:00:00.123456"


def test_the_environment_is_what_runs_the_graph_and_no_more() -> None:
    files = mlflow_files(VERSION, SIGNATURE, TRAINING)
    assert files["requirements.txt"] == b"mlflow\nonnx==1.23.2\nonnxruntime==1.32.0\n"
    assert yaml.safe_load(files["python_env.yaml"])["python"] == "3.13.1"
    conda = yaml.safe_load(files["conda.yaml"])["dependencies"]
    assert conda[-1] == {"pip": ["mlflow", "onnx==1.23.2", "onnxruntime==1.32.0"]}
