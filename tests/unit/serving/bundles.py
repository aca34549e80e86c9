"""Small model bundles with real ONNX graphs, and what their graphs answer, computed without onnxruntime."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from perennial.serving.bundle import manifest

MODEL = "flight-delays"
VERSION = 3
INPUTS = [
    {"name": "distance", "datatype": "FP64", "kind": "number", "tensor": "distance", "element": "float"},
    {"name": "hour", "datatype": "INT64", "kind": "number", "tensor": "hour", "element": "float"},
    {"name": "night", "datatype": "BOOL", "kind": "boolean", "tensor": "night", "element": "float"},
    {"name": "carrier", "datatype": "BYTES", "kind": "category", "tensor": "carrier", "element": "string"},
]
NAMES = [one["name"] for one in INPUTS]
CARRIERS = {"AA": 1.0, "UA": 2.0, "": -2.0, "é\x00": 4.0}
UNKNOWN = -1.0
WEIGHTS = np.array([[0.001], [-0.1], [0.5], [0.25]], np.float32)
MISSING = np.float32(0.5)  # what the graph takes for a missing number


def graph(
    task: str = "binary",
    *,
    classes: int = 2,
    fault: bool = False,
    inputs: Sequence[Mapping[str, str]] = INPUTS,
    weights: np.ndarray[Any, Any] = WEIGHTS,
) -> onnx.ModelProto:
    """A graph of z = weights · inputs, missing numbers taken as MISSING and categories as CARRIERS has them.

    Binary: the sigmoid of z. Multiclass: the softmax of z · (0, 1, 2…). Regression: z itself, or 1 / distance (fault).
    """
    taken = [
        helper.make_tensor_value_info(
            one["tensor"], TensorProto.STRING if one["element"] == "string" else TensorProto.FLOAT, [None, 1]
        )
        for one in inputs
    ]
    nodes = [
        helper.make_node(
            "LabelEncoder",
            [one["tensor"]],
            [f"coded {one['tensor']}"],
            domain="ai.onnx.ml",
            keys_strings=list(CARRIERS),
            values_floats=list(CARRIERS.values()),
            default_float=UNKNOWN,
        )
        for one in inputs
        if one["element"] == "string"
    ]
    columns = [f"coded {one['tensor']}" if one["element"] == "string" else one["tensor"] for one in inputs]
    nodes += [
        helper.make_node("Concat", columns, ["raw"], axis=1),
        helper.make_node("IsNaN", ["raw"], ["missing"]),
        helper.make_node("Where", ["missing", "half", "raw"], ["x"]),
        helper.make_node("MatMul", ["x", "weights"], ["z"]),
    ]
    constants = {"half": np.array([MISSING], np.float32), "weights": weights, "one": np.array([1], np.float32)}
    if task == "regression":
        nodes.append(helper.make_node("Div", ["one", "distance"] if fault else ["z", "one"], ["prediction"]))
        output = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])
    else:
        if task == "multiclass":
            constants["spread"] = np.arange(classes, dtype=np.float32).reshape(1, -1)
            nodes.append(helper.make_node("MatMul", ["z", "spread"], ["zs"]))
            nodes.append(helper.make_node("Softmax", ["zs"], ["probabilities"], axis=1))
        else:
            nodes.append(helper.make_node("Sigmoid", ["z"], ["late"]))
            nodes.append(helper.make_node("Sub", ["one", "late"], ["ontime"]))
            nodes.append(helper.make_node("Concat", ["ontime", "late"], ["probabilities"], axis=1))
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(
        helper.make_graph(nodes, "model", taken, [output], initializers), opset_imports=opsets, ir_version=9
    )
    onnx.checker.check_model(made)
    return made


def signature(task: str = "binary", classes: Sequence[Any] | None = (0, 1)) -> dict[str, Any]:
    """The signature.json that goes with `graph`."""
    listed = None if classes is None else list(classes)
    return {"model": MODEL, "task": task, "label": "late", "inputs": INPUTS, "classes": listed, "outputs": []}


def bundle_files(
    task: str = "binary", classes: Sequence[Any] | None = (0, 1), *, fault: bool = False
) -> dict[str, bytes]:
    """Graph and signature by file name."""
    model = graph(task, classes=len(classes or ()), fault=fault)
    return {
        "model.onnx": model.SerializeToString(),
        "signature.json": json.dumps(signature(task, classes)).encode(),
        "MLmodel": b"flavors: {}\n",
    }


def write_bundle(directory: Path, files: Mapping[str, bytes] | None = None, version: int = VERSION) -> Path:
    """Write the files and their manifest into `directory`."""
    files = bundle_files() if files is None else files
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    (directory / "manifest.json").write_bytes(manifest(MODEL, version, files))
    return directory


def expected_z(row: Mapping[str, Any]) -> float:
    """What the graph makes of a row before the last step."""
    numbers = [row["distance"], row["hour"], row["night"]]
    x = [MISSING if value is None else np.float32(value) for value in numbers]
    x.append(np.float32(CARRIERS.get(row["carrier"] or "", UNKNOWN)))
    return float(np.array(x, np.float32) @ WEIGHTS[:, 0])


def expected_probability(row: Mapping[str, Any]) -> float:
    """The binary graph's probability of class 1, within float32."""
    z = expected_z(row)
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


def shipped_files() -> dict[str, bytes]:
    """A bundle with the inputs of the shipped model, which the sample events in events/ are sent to."""
    numbers = ("hour", "minute", "sched_dep_time", "sched_arr_time", "distance")
    texts = ("carrier", "origin", "dest")
    inputs = [{"name": n, "datatype": "INT64", "kind": "number", "tensor": n, "element": "float"} for n in numbers]
    inputs += [{"name": n, "datatype": "BYTES", "kind": "category", "tensor": n, "element": "string"} for n in texts]
    model = graph(inputs=inputs, weights=np.full((len(inputs), 1), 0.0001, np.float32))
    listed = {**signature(), "inputs": inputs}
    return {"model.onnx": model.SerializeToString(), "signature.json": json.dumps(listed).encode()}
