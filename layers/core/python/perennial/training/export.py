"""One ONNX graph with the preprocessing inside; the same pipeline always gives the same bytes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from perennial.errors import ParityFailed
from perennial.training.features import Feature
from perennial.training.trees import floor32, next32, trees_of

# Old enough for any onnxruntime that a team may bring, new enough for missing values in trees.
OPSET = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8


def export(pipeline: Pipeline, features: Sequence[Feature], task: str) -> bytes:
    """The fitted pipeline as a serialized ONNX model.

    One input per feature under its tensor name, shape [n, 1], float32 or string. One output: `probabilities` float32
    [n, classes], or `prediction` float32 [n, 1] for a regression.
    """
    model = convert(pipeline, features, task)
    lower_thresholds(model, pipeline)
    return finish(model, task)


def convert(pipeline: Pipeline, features: Sequence[Feature], task: str) -> Any:
    """What the converter makes of the pipeline, as it is (onnx.ModelProto)."""
    types = [
        (feature.tensor, StringTensorType([None, 1]) if feature.kind == "category" else FloatTensorType([None, 1]))
        for feature in features
    ]
    options = None if task == "regression" else {id(pipeline): {"zipmap": False}}
    with warnings.catch_warnings():
        # the converter writes booleans where protobuf wants integers; protobuf is pinned below the version that minds
        warnings.simplefilter("ignore", DeprecationWarning)
        return to_onnx(pipeline, initial_types=types, options=options, target_opset=OPSET, name="model")


def lower_thresholds(model: Any, pipeline: Pipeline) -> None:
    """Set the split thresholds of tree nodes to the greatest float32 that is not above the fitted float64 ones.

    The converter rounds to the nearest, and then rows between the two go the wrong way. Raises ParityFailed when the
    converted thresholds are not the fitted ones in the fitted order.
    """
    trees = trees_of(pipeline)
    if not trees:
        return
    floors = np.concatenate([floor32(tree.threshold) for tree in trees])
    (node,) = (node for node in model.graph.node if node.op_type.startswith("TreeEnsemble"))
    values = next(attribute for attribute in node.attribute if attribute.name == "nodes_values")
    converted = np.array(values.floats, dtype=np.float32)
    if len(converted) != len(floors) or not ((converted == floors) | (converted == next32(floors))).all():
        raise ParityFailed("the converter did not write the fitted split thresholds in the fitted order")
    values.ClearField("floats")
    values.floats.extend(floors.tolist())


def finish(model: Any, task: str) -> bytes:
    """One output in float32 under its public name, no dead nodes, names and metadata that depend on nothing else."""
    public = "prediction" if task == "regression" else "probabilities"
    graph = model.graph
    kept = graph.output[-1]
    classes = kept.type.tensor_type.shape.dim[-1].dim_value if task != "regression" else 1
    _prune(graph, kept.name)
    last = _rename(graph)[kept.name]
    graph.node.append(helper.make_node("Cast", [last], [public], name="_out", to=TensorProto.FLOAT))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(public, TensorProto.FLOAT, [None, classes or None]))
    del graph.value_info[:]
    # the converter lists them in the order of a set, which changes from process to process
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sorted(OPSET.items()))
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "perennial", "", ""
    graph.name, graph.doc_string = "model", ""
    onnx.checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _prune(graph: Any, output: str) -> None:
    """Drop what `output` does not depend on (the predicted class, which serving reads off the probabilities)."""
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    kept.reverse()
    del graph.node[:]
    graph.node.extend(kept)
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(initializers)


def _rename(graph: Any) -> dict[str, str]:
    """Number the inner tensors and nodes, so that no name can be that of a feature or of the output; old → new."""
    names = {tensor.name: f"_c{index}" for index, tensor in enumerate(graph.initializer)}
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    for index, node in enumerate(graph.node):
        node.name, node.doc_string = f"_n{index}", ""
        node.input[:] = [names.get(name, name) for name in node.input]
        for place, name in enumerate(node.output):
            if name:
                names[name] = f"_t{index}_{place}"
                node.output[place] = names[name]
    return names
