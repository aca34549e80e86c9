"""The label of a task: class indices or values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from perennial.catalog.model import ModelSpec
from perennial.errors import TrainingDataInvalid

Array = np.ndarray[Any, Any]
MAX_CLASSES = 200


def read_label(table: pa.Table, spec: ModelSpec) -> tuple[pa.Table, Array, list[Any] | None]:
    """The rows that have a label, the label, and its classes (None for a regression).

    Raises TrainingDataInvalid: too few rows, one class, more classes than the task takes, a label of another type.
    """
    column = table.column(spec.label.column)
    table = table.filter(labelled(column))
    if table.num_rows < spec.train.min_rows:
        raise TrainingDataInvalid(
            f"model {spec.name}: {table.num_rows} of {len(column)} rows have a label ({spec.label.column}), "
            f"at least {spec.train.min_rows} are needed"
        )
    column = table.column(spec.label.column)
    if spec.task == "regression":
        return table, _numbers(column, spec), None
    if spec.label.above is not None:
        label = (_numbers(column, spec) > spec.label.above).astype(np.int64)
        classes: list[Any] = [0, 1]
    else:
        label, classes = _classes(column, spec)
    _check_classes(label, classes, spec)
    return table, label, classes


def labelled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether each row has a label, as booleans."""
    valid = pc.is_valid(column)
    if pa.types.is_floating(column.type):
        valid = pc.and_(valid, pc.is_finite(column).fill_null(False))
    return valid


def _numbers(column: pa.ChunkedArray, spec: ModelSpec) -> Array:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise TrainingDataInvalid(f"model {spec.name}: label {spec.label.column!r} is {column.type}, not a number")
    numbers: Array = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _classes(column: pa.ChunkedArray, spec: ModelSpec) -> tuple[Array, list[Any]]:
    """Class indices in the order of the sorted class values, which are booleans, integers or strings."""
    if pa.types.is_floating(column.type):
        whole = column.cast(pa.int64(), safe=False)
        if not pc.all(pc.equal(whole.cast(pa.float64(), safe=False), column)).as_py():
            raise TrainingDataInvalid(f"model {spec.name}: label {spec.label.column!r} has fractions, so no classes")
        column = whole
    known = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_string, pa.types.is_large_string)
    if not any(is_type(column.type) for is_type in known):
        raise TrainingDataInvalid(f"model {spec.name}: label {spec.label.column!r} is {column.type}, so no classes")
    unique = pc.unique(column)
    if len(unique) > MAX_CLASSES:
        raise TrainingDataInvalid(
            f"model {spec.name}: label {spec.label.column!r} has {len(unique)} values, more than {MAX_CLASSES} classes"
        )
    classes = sorted(unique.to_pylist())
    indices = pc.index_in(column, value_set=pa.array(classes, type=column.type))
    return indices.to_numpy(zero_copy_only=False).astype(np.int64), classes


def _check_classes(label: Array, classes: list[Any], spec: ModelSpec) -> None:
    present = np.unique(label)
    if len(present) < 2:
        only = classes[int(present[0])]
        what = f"{spec.label.column} above {spec.label.above:g}" if spec.label.above is not None else spec.label.column
        raise TrainingDataInvalid(f"model {spec.name}: the label ({what}) has one class only: {only!r}")
    if spec.task == "binary" and len(classes) != 2:
        shown = ", ".join(repr(value) for value in classes[:5])
        raise TrainingDataInvalid(
            f"model {spec.name}: a binary label has two values, {spec.label.column!r} has {len(classes)}: {shown}…"
        )
