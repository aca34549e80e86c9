"""The signature of a model: what it takes and gives, as training wrote it down (`signature.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perennial.errors import BundleInvalid
from perennial.serving.strict_json import load

PREDICTION = "prediction"
PROBABILITY = "probability"
PREDICTION_ID = "prediction_id"
TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Signature:
    """`inputs` as in signature.json: name, datatype, kind, tensor. `classes` is None for a regression."""

    model: str
    task: str
    inputs: tuple[dict[str, str], ...]
    classes: tuple[Any, ...] | None

    @property
    def graph_output(self) -> str:
        """The output of the ONNX graph that is read."""
        return "prediction" if self.classes is None else "probabilities"

    @property
    def prediction_datatype(self) -> str:
        """The v2 datatype of output `prediction`: that of the classes, or FP64."""
        if self.classes is None:
            return "FP64"
        kinds = {type(value) for value in self.classes}
        if kinds == {bool}:
            return "BOOL"
        return "INT64" if kinds == {int} else "FP64" if kinds <= {int, float} else "BYTES"

    def metadata_inputs(self) -> list[dict[str, Any]]:
        """The inputs as v2 model metadata has them."""
        return [{"name": one["name"], "datatype": one["datatype"], "shape": [-1, 1]} for one in self.inputs]

    def metadata_outputs(self) -> list[dict[str, Any]]:
        """The outputs as v2 model metadata has them."""
        outputs: list[dict[str, Any]] = [{"name": PREDICTION, "datatype": self.prediction_datatype, "shape": [-1]}]
        if self.classes is not None:
            shape = [-1, len(self.classes)]
            parameters = {"classes": list(self.classes)}
            outputs.append({"name": PROBABILITY, "datatype": "FP64", "shape": shape, "parameters": parameters})
        return [*outputs, {"name": PREDICTION_ID, "datatype": "BYTES", "shape": [-1]}]


def parse_signature(content: bytes) -> Signature:
    """The signature in the bytes of signature.json. Raises BundleInvalid."""
    try:
        value = load(content)
        inputs = tuple(
            {field: _text(one[field]) for field in ("name", "datatype", "kind", "tensor")} for one in value["inputs"]
        )
        task, classes = _text(value["task"]), value.get("classes")
        model = _text(value["model"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleInvalid(f"signature.json: {type(error).__name__}: {error}") from error
    if task not in TASKS:
        raise BundleInvalid(f"signature.json: task {task!r} is none of {', '.join(TASKS)}")
    for field in ("name", "tensor"):
        if not inputs or len({one[field] for one in inputs}) != len(inputs):
            raise BundleInvalid(f"signature.json: inputs must be there, each with a {field} of its own")
    return Signature(model, task, inputs, _classes(task, classes))


def _classes(task: str, classes: Any) -> tuple[Any, ...] | None:
    if task == "regression":
        return None
    if (
        not isinstance(classes, list)
        or len(classes) < 2
        or not all(type(c) in {str, int, float, bool} for c in classes)
    ):
        raise BundleInvalid("signature.json: classes must list at least two labels")
    if len({type(c) is bool for c in classes}) > 1 or len({type(c) is str for c in classes}) > 1:
        raise BundleInvalid("signature.json: classes must be all text, all numbers or all booleans")
    return tuple(classes)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
