"""The MLflow model directory of an ONNX model, written without mlflow.

Source: https://mlflow.org/docs/latest/ml/model/ (MLmodel file, onnx and python_function flavors, signature schema).
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

import yaml

PACKAGES = ("onnx", "onnxruntime", "numpy")


def directory(
    *, run: str, at: datetime, signature: dict[str, Any], training: dict[str, Any], graph_sha256: str
) -> dict[str, bytes]:
    """The format's own files by name; the graph itself is `model.onnx` beside them."""
    libraries: dict[str, str] = training["libraries"]
    requirements = [f"{name}=={libraries[name]}" for name in PACKAGES if name in libraries]
    python = str(training["python"])
    model = {
        "artifact_path": "model",
        "flavors": {
            "onnx": {
                "code": None,
                "data": "model.onnx",
                "onnx_version": libraries["onnx"],
                "providers": ["CPUExecutionProvider"],
                "save_as_external_data": False,
            },
            "python_function": {
                "data": "model.onnx",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.onnx",
                "python_version": python,
            },
        },
        "model_uuid": uuid.uuid5(uuid.NAMESPACE_OID, graph_sha256).hex,
        "run_id": run,
        "signature": _signature(signature),
        "utc_time_created": at.strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    conda = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": ["mlflow", *requirements]}],
        "name": "model",
    }
    environment = {"python": python, "dependencies": ["-r requirements.txt"]}
    return {
        "MLmodel": yaml.safe_dump(model, sort_keys=True).encode(),
        "conda.yaml": yaml.safe_dump(conda, sort_keys=True).encode(),
        "python_env.yaml": yaml.safe_dump(environment, sort_keys=True).encode(),
        "requirements.txt": ("\n".join(["mlflow", *requirements]) + "\n").encode(),
    }


def _signature(signature: dict[str, Any]) -> dict[str, Any]:
    """Inputs as columns by type, outputs as a tensor; both are JSON texts within the YAML."""
    inputs = [
        # the graph takes float32 and text, whatever the contract calls the column
        {"type": "string" if one["element"] == "string" else "float", "name": one["name"], "required": True}
        for one in signature["inputs"]
    ]
    width = 1 if signature["classes"] is None else len(signature["classes"])
    name = "prediction" if signature["classes"] is None else "probabilities"
    outputs = [{"name": name, "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, width]}}]
    return {"inputs": json.dumps(inputs, ensure_ascii=False), "outputs": json.dumps(outputs), "params": None}
