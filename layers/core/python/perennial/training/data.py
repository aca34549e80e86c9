"""From dataset versions to features and label, in exactly the dtypes that serving sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from perennial.catalog.contract import Contract
from perennial.catalog.model import ModelSpec
from perennial.errors import TrainingDataInvalid
from perennial.storage.objects import Objects

KINDS = {"integer": "number", "number": "number", "boolean": "boolean", "string": "category"}
MOST_CLASSES = 100


@dataclass(frozen=True)
class Feature:
    """One input of the graph: `tensor` is its name there, `kind` how it is prepared."""

    name: str
    tensor: str
    kind: str
    datatype: str


@dataclass(frozen=True)
class Rows:
    """Labelled rows. `features` has one column per tensor (float32, or object strings with "" for missing);
    `label` holds class indices (int64) or values (float64); `time` is datetime64[us] or None."""

    features: pd.DataFrame
    label: np.ndarray[Any, Any]
    time: np.ndarray[Any, Any] | None
    classes: list[Any] | None

    def take(self, chosen: np.ndarray[Any, Any]) -> Rows:
        """The rows at which the boolean mask `chosen` is true."""
        time = None if self.time is None else self.time[chosen]
        return Rows(self.features[chosen].reset_index(drop=True), self.label[chosen], time, self.classes)


def features_of(spec: ModelSpec, contract: Contract) -> list[Feature]:
    """The graph's inputs in the spec's order. Raises TrainingDataInvalid for a type that is no feature."""
    types = {column.name: column.type for column in contract.columns}
    found = []
    for index, name in enumerate(spec.features):
        if types[name] not in KINDS:
            raise TrainingDataInvalid(f"model {spec.name}: column {name!r} is a {types[name]}, which is no feature")
        kind = KINDS[types[name]]
        datatype = {"category": "BYTES", "boolean": "BOOL"}.get(kind, "INT64" if types[name] == "integer" else "FP64")
        found.append(Feature(name, f"x{index}", kind, datatype))
    return found


def read_table(objects: Objects, versions: Sequence[dict[str, Any]], columns: Sequence[str]) -> pa.Table:
    """The named columns of all versions, in version order. Raises TrainingDataInvalid when a column is missing."""
    tables = []
    for version in versions:
        for key in version["files"]:
            file = pq.ParquetFile(pa.BufferReader(objects.get(key)))
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise TrainingDataInvalid(f"dataset version {version['version']} ({key}) has no column {missing[0]!r}")
            tables.append(file.read(columns=list(columns)))
    if not tables:
        raise TrainingDataInvalid("the request names no dataset version")
    return pa.concat_tables(tables, promote_options="permissive")


def to_rows(table: pa.Table, spec: ModelSpec, features: Sequence[Feature], event_time: str | None) -> Rows:
    """Features, label and event time of the rows that have a label. Raises TrainingDataInvalid."""
    label = table.column(spec.label.column)
    table = table.filter(pc.is_valid(label))
    if table.num_rows < spec.train.min_rows:
        raise TrainingDataInvalid(
            f"model {spec.name}: {table.num_rows} rows have a label ({spec.label.column}); "
            f"at least {spec.train.min_rows} are needed"
        )
    values, classes = _label(table.column(spec.label.column), spec)
    frame = pd.DataFrame({feature.tensor: prepare(table.column(feature.name), feature.kind) for feature in features})
    time = None
    if event_time is not None:
        time = table.column(event_time).cast(pa.timestamp("us"), safe=False).to_numpy().astype("datetime64[us]")
    return Rows(frame, values, time, classes)


def prepare(column: pa.ChunkedArray, kind: str) -> Any:
    """A column as the graph takes it: numbers and booleans float32 with NaN, categories strings with ""."""
    if kind == "category":
        return np.array(["" if value is None else str(value) for value in column.to_pylist()], dtype=object)
    if kind == "boolean":
        column = column.cast(pa.int8())
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)


def _label(column: pa.ChunkedArray, spec: ModelSpec) -> tuple[np.ndarray[Any, Any], list[Any] | None]:
    if spec.task == "regression":
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False), None
    if spec.label.above is not None:
        values = (column.cast(pa.float64()).to_numpy(zero_copy_only=False) > spec.label.above).astype(np.int64)
        classes: list[Any] = [0, 1]
    else:
        listed = column.to_pylist()
        classes = sorted(set(listed))
        values = np.array([classes.index(value) for value in listed]) if len(classes) <= MOST_CLASSES else np.array([])
    present = len(np.unique(values)) if len(classes) <= MOST_CLASSES else len(classes)
    if present < 2:
        raise TrainingDataInvalid(f"model {spec.name}: the label {spec.label.column} has one class only: {classes}")
    if spec.task == "binary" and len(classes) != 2:
        raise TrainingDataInvalid(
            f"model {spec.name}: a binary label has two classes, {spec.label.column} has {present}"
        )
    if len(classes) > MOST_CLASSES:
        raise TrainingDataInvalid(f"model {spec.name}: the label has {present} classes, more than {MOST_CLASSES}")
    return values, classes
