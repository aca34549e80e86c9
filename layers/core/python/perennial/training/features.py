"""The graph's inputs: which columns, of which kind, under which names, in which dtypes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from perennial.catalog.contract import Contract
from perennial.catalog.model import ModelSpec
from perennial.errors import TrainingDataInvalid

Kind = Literal["number", "boolean", "category"]

KINDS: dict[str, tuple[Kind, str]] = {
    "integer": ("number", "INT64"),
    "number": ("number", "FP64"),
    "boolean": ("boolean", "BOOL"),
    "string": ("category", "BYTES"),
}
# ONNX wants C identifiers for names; a feature that is none, or is taken, gets a number.
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = {"probabilities", "prediction"}


@dataclass(frozen=True)
class Feature:
    """One input of the graph; `tensor` is its name there, `datatype` the one of the Open Inference Protocol."""

    name: str
    tensor: str
    kind: Kind
    datatype: str

    @property
    def element(self) -> str:
        """What the tensor holds: float (float32) or string."""
        return "string" if self.kind == "category" else "float"


def other_columns(spec: ModelSpec, contract: Contract) -> list[Feature]:
    """Columns that another version of this model may take as features: known at prediction, of a fitting type.

    They go with the held-out rows, so that a champion can be asked about them after the spec dropped a feature.
    """
    taken = {*spec.features, spec.label.column}
    return [
        Feature(column.name, column.name, *KINDS[column.type])
        for column in contract.columns
        if column.name not in taken and column.available_at_prediction and column.type in KINDS
    ]


def features_of(spec: ModelSpec, contract: Contract) -> list[Feature]:
    """The inputs in the spec's order; the catalog lets no other types through (catalog.load.FEATURE_TYPES)."""
    types = {column.name: column.type for column in contract.columns}
    found: list[Feature] = []
    for index, name in enumerate(spec.features):
        kind, datatype = KINDS[types[name]]
        plain = _IDENTIFIER.fullmatch(name) and name not in _TAKEN and not re.fullmatch(r"feature_\d+", name)
        found.append(Feature(name, name if plain else f"feature_{index}", kind, datatype))
    return found


def prepare(column: pa.ChunkedArray, feature: Feature) -> Any:
    """A column as the graph takes it: float32 with NaN for null, or strings (object) with "" for null.

    What float32 cannot hold (beyond 3.4e38, infinite) counts as missing. Raises TrainingDataInvalid when the column is
    not of the contract's type.
    """
    try:
        if feature.kind == "category":
            return column.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False).astype(object)
        if feature.kind == "boolean":
            column = column.cast(pa.bool_()).cast(pa.int8())
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise TrainingDataInvalid(f"column {feature.name!r} is {column.type}, no {feature.kind}: {error}") from error
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    narrow[~np.isfinite(narrow)] = np.nan
    return narrow


def signature(spec: ModelSpec, features: list[Feature], classes: list[Any] | None) -> dict[str, Any]:
    """signature.json: what serving needs to feed the graph and to name its answers."""
    inputs = [
        {
            "name": feature.name,
            "datatype": feature.datatype,
            "kind": feature.kind,
            "tensor": feature.tensor,
            "element": feature.element,
        }
        for feature in features
    ]
    return {
        "model": spec.name,
        "task": spec.task,
        "label": spec.label.column,
        "inputs": inputs,
        "classes": classes,
        "outputs": _outputs(classes),
    }


def _outputs(classes: list[Any] | None) -> list[Mapping[str, Any]]:
    answer = {"name": "prediction", "datatype": "FP64" if classes is None else _datatype(classes[0]), "shape": [-1]}
    outputs: list[Mapping[str, Any]] = [answer]
    if classes is not None:
        outputs.append({"name": "probability", "datatype": "FP64", "shape": [-1, len(classes)]})
    return [*outputs, {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]}]


def _datatype(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOL"
    return "INT64" if isinstance(value, int) else "BYTES"
