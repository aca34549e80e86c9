"""A table scored by columns: what a request says row by row, without an object per number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from perennial.datasets.arrays import array_of, mask_of, values_of
from perennial.errors import ScoringFailed
from perennial.serving.errors import ModelFault
from perennial.serving.inputs import Input
from perennial.serving.predictor import Predictor
from perennial.serving.signature import PREDICTION, PROBABILITY, Signature

Array = np.ndarray[Any, Any]

# Rows per call of the graph: what it makes of them in between stays in the processor's cache.
CHUNK = 8192
_FLOAT32 = float(np.finfo(np.float32).max)


def score_table(predictor: Predictor, table: pa.Table) -> pa.Table:
    """The answers to the rows of `table`, in their order, as HTTPS gives them.

    `table` has a column for each input of the model, by its name: integers or floats for numbers, booleans, text (as it
    is or dictionary-encoded); null is a missing value. Other columns are not looked at. The answer has `prediction`
    [n], of the classes' type (a double for a regression), and, but for a regression, `probability` [n], a list of
    doubles in the order of the signature's classes.
    Raises ScoringFailed for a column that is missing, of another type or holds a number beyond float32, and when the
    graph fails or answers no finite number.
    """
    feeds = {one.tensor: _feed(one, table) for one in predictor.inputs}
    try:
        parts = [_part(predictor, feeds, start, table.num_rows) for start in range(0, table.num_rows, CHUNK)]
    except ModelFault as fault:
        raise ScoringFailed(f"model {predictor.signature.model}: {fault}") from fault
    width = len(predictor.signature.classes or (0,))
    return _answers(predictor.signature, np.concatenate([np.zeros((0, width), np.float32), *parts]))


def _part(predictor: Predictor, feeds: Mapping[str, Array], start: int, rows: int) -> Array:
    end = min(start + CHUNK, rows)
    return predictor.values({name: feed[start:end] for name, feed in feeds.items()}, end - start)


def _feed(one: Input, table: pa.Table) -> Array:
    """A column [n, 1] as the graph takes it (see perennial.serving.inputs)."""
    if one.name not in table.column_names:
        raise ScoringFailed(f"column {one.name!r}, which the model takes, is missing")
    column = table.column(one.name).combine_chunks()
    fits, laid_out = _LAYOUTS[one.datatype]
    if not any(fitting(column.type) for fitting in fits):
        raise ScoringFailed(f"column {one.name!r} is {column.type}; the model takes {one.datatype}")
    return laid_out(one.name, column).reshape(-1, 1)


def _numbers(name: str, column: pa.Array) -> Array:
    # by way of float64, as a request's numbers go
    values = values_of(column).astype(np.float64)
    if column.null_count:
        values[mask_of(pc.is_null(column))] = np.nan
    # not `> _FLOAT32`: NaN is a missing value
    if (np.abs(values) > _FLOAT32).any():
        raise ScoringFailed(f"column {name!r} holds a number that is out of the range of float32")
    return values.astype(np.float32)


def _booleans(name: str, column: pa.Array) -> Array:
    del name
    values = mask_of(pc.fill_null(column, False)).astype(np.float32)
    if column.null_count:
        values[mask_of(pc.is_null(column))] = np.nan
    return values


def _texts(name: str, column: pa.Array) -> Array:
    """Each distinct text is made a Python object once."""
    del name
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    distinct: Array = np.array(
        ["" if text is None else text for text in [*encoded.dictionary.to_pylist(), None]], object
    )
    found: Array = distinct[values_of(pc.fill_null(encoded.indices, len(distinct) - 1))]
    return found


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


_NUMERIC = (pa.types.is_integer, pa.types.is_floating)
# v2 datatype → which Arrow types fit, and how such a column is laid out
_LAYOUTS: dict[str, tuple[tuple[Callable[[pa.DataType], bool], ...], Callable[[str, pa.Array], Array]]] = {
    "FP64": (_NUMERIC, _numbers),
    "INT64": (_NUMERIC, _numbers),
    "BOOL": ((pa.types.is_boolean,), _booleans),
    "BYTES": ((_is_text,), _texts),
}


def _answers(signature: Signature, values: Array) -> pa.Table:
    rows, width = values.shape
    if signature.classes is None:
        return pa.table({PREDICTION: array_of(values.astype(np.float64).ravel(), pa.float64())})
    labels = pa.array(signature.classes, _ARROW[signature.prediction_datatype])
    chosen = array_of(values.argmax(axis=1), pa.int64())
    ends = array_of(np.arange(0, (rows + 1) * width, width), pa.int32())
    each = array_of(values.astype(np.float64).ravel(), pa.float64())
    return pa.table({PREDICTION: labels.take(chosen), PROBABILITY: pa.ListArray.from_arrays(ends, each)})


_ARROW = {"BOOL": pa.bool_(), "INT64": pa.int64(), "FP64": pa.float64(), "BYTES": pa.string()}
