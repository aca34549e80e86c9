"""Rows of a data file as Open Inference Protocol tensors, one per column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from perennial.datasets.refusal import Refusal
from scripts.cli.output import Failure


def read_columns(path: Path, names: Sequence[str], missing: Sequence[str]) -> dict[str, list[Any]]:
    """The columns `names` of a CSV (values as text, those in `missing` as None) or Parquet file. Raises Failure."""
    there = _header(path)
    for name in names:
        if name not in there:
            raise Failure(f"{path}: the model takes column {name!r}, which the file does not have")
        if there.count(name) > 1:
            raise Failure(f"{path}: the header names {name!r} more than once")
    table = _table(path, names, missing)
    return {name: _values(path, name, table.column(name)) for name in names}


def _header(path: Path) -> list[str]:
    """All names of columns, as often as the file has them."""
    # with pyarrow a quarter of the time in which any verb starts, and few read rows
    from perennial.datasets.names import column_names
    from perennial.datasets.source import Limits

    try:
        return column_names(path, ".parquet" if path.suffix == ".parquet" else ".csv", Limits())
    except Refusal as error:
        raise Failure(f"{path}: {error}") from error


def _table(path: Path, names: Sequence[str], missing: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return pq.ParquetFile(path).read(columns=list(names))
        options = pacsv.ConvertOptions(
            include_columns=list(names),
            column_types=dict.fromkeys(names, pa.string()),
            null_values=list(missing),
            strings_can_be_null=True,
        )
        return pacsv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        raise Failure(f"{path}: {error}") from error


def _values(path: Path, name: str, column: Any) -> list[Any]:
    """Python's values of an Arrow column; not all that Arrow holds are such (texts that are no UTF-8, far times)."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError) as error:
        raise Failure(f"{path}: column {name}: {error}") from error
    return values


def tensors(columns: dict[str, list[Any]], inputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One tensor per model input, shape [n, 1]; text is parsed as the datatype. Raises Failure naming the row."""
    result = []
    for spec in inputs:
        name, datatype = spec["name"], spec["datatype"]
        data = [_value(value, datatype, name, row) for row, value in enumerate(columns[name], start=1)]
        result.append({"name": name, "datatype": datatype, "shape": [len(data), 1], "data": data})
    return result


def batches(columns: dict[str, list[Any]], size: int) -> Iterator[dict[str, list[Any]]]:
    """The columns in pieces of at most `size` rows."""
    count = len(next(iter(columns.values()), []))
    for start in range(0, count, size):
        yield {name: values[start : start + size] for name, values in columns.items()}


def _value(value: Any, datatype: str, name: str, row: int) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (list, dict, bytes)):
        raise Failure(f"row {row}, column {name}: {value!r:.100} is not one value")
    try:
        if datatype == "BYTES":
            return str(value)
        if datatype == "BOOL":
            return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
        return int(value) if datatype.startswith(("INT", "UINT")) else float(value)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise Failure(f"row {row}, column {name}: {value!r} is not a {datatype}") from error
