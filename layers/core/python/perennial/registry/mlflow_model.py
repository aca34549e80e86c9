"""The files that make a directory an MLflow model (ONNX flavor), written without MLflow.

Format: https://mlflow.org/docs/latest/ml/model/#storage-format and mlflow.onnx; signatures as in mlflow.types.schema.
The field `mlflow_version` is left out, since no MLflow wrote these files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import yaml

from perennial.registry.models import ModelVersion

# what loads and runs the graph, by their names on PyPI
RUNTIME = ("onnx", "onnxruntime", "numpy")


def mlflow_files(version: ModelVersion, signature: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, bytes]:
    """MLmodel, requirements.txt, python_env.yaml and conda.yaml of a version; equal arguments give equal bytes.

    `signature` is signature.json, `training` training.json, whose `python` and `libraries` name the versions.
    """
    python = str(training["python"])
    libraries: Mapping[str, str] = training["libraries"]
    pinned = [f"{name}=={libraries[name]}" for name in RUNTIME if name in libraries]
    requirements = ["mlflow", *pinned]
    environment = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": requirements}],
    }
    virtual = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    return {
        "MLmodel": _yaml(_mlmodel(version, signature, python, libraries)),
        "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
        "python_env.yaml": _yaml(virtual),
        "conda.yaml": _yaml(environment),
    }


def _mlmodel(
    version: ModelVersion, signature: Mapping[str, Any], python: str, libraries: Mapping[str, str]
) -> dict[str, Any]:
    onnx = {
        "code": None,
        "data": "model.onnx",
        "onnx_version": libraries.get("onnx", ""),
        "onnx_session_options": None,
        "providers": ["CPUExecutionProvider"],
    }
    function = {
        "data": "model.onnx",
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "loader_module": "mlflow.onnx",
        "python_version": python,
    }
    return {
        "artifact_path": version.model,
        "flavors": {"onnx": onnx, "python_function": function},
        "metadata": {"perennial": {"model": version.model, "version": version.version, "run": version.run}},
        "model_uuid": uuid5(NAMESPACE_URL, f"perennial:{version.model}/{version.version}/{version.run}").hex,
        "signature": {
            "inputs": json.dumps([_input(one) for one in signature["inputs"]]),
            "outputs": json.dumps([_output(signature.get("classes"))]),
            "params": None,
        },
        "utc_time_created": version.at.strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def _input(one: Mapping[str, Any]) -> dict[str, Any]:
    """An input of the graph: text, or float32 with NaN for a missing value, in a column [n, 1]."""
    return _tensor(one["tensor"], "object" if one["element"] == "string" else "float32", [-1, 1])


def _output(classes: list[Any] | None) -> dict[str, Any]:
    if classes is None:
        return _tensor("prediction", "float32", [-1, 1])
    return _tensor("probabilities", "float32", [-1, len(classes)])


def _tensor(name: str, dtype: str, shape: list[int]) -> dict[str, Any]:
    return {"type": "tensor", "name": name, "tensor-spec": {"dtype": dtype, "shape": shape}}


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=True, allow_unicode=True, width=1_000_000).encode()
