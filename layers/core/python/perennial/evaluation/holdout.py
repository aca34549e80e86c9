"""holdout.parquet: the held-out rows as the graph takes them, with label, day and time."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Array = np.ndarray[Any, Any]

LABEL, DAY, TIME, VERSION = "__label__", "__day__", "__time__", "__version__"
_OURS = frozenset({LABEL, DAY, TIME, VERSION})


@dataclass(frozen=True)
class Holdout:
    """Held-out rows.

    `columns` by feature name (float32 [n] or object strings [n]); `label` [n]: class indices (−1 for a class that
    training never saw) or values; `days` datetime64[D] [n], or None without event time; `version` int64 [n] are dataset
    versions, or None where nobody noted them.
    """

    columns: dict[str, Array]
    label: Array
    days: Array | None
    version: Array | None = None

    def __len__(self) -> int:
        return len(self.label)


def write_holdout(
    columns: Mapping[str, Array], label: Array, time: Array | None, version: Array | None = None
) -> bytes:
    """The file's bytes: equal rows give equal bytes. `time` is datetime64[us] in UTC, or None."""
    arrays = {name: pa.array(values, type=_type(values), from_pandas=False) for name, values in columns.items()}
    arrays[LABEL] = pa.array(label)
    if time is None:
        arrays[DAY] = pa.nulls(len(label), pa.date32())
    else:
        arrays[DAY] = pa.array(time.astype("datetime64[D]"), type=pa.date32())
        arrays[TIME] = pa.array(time, type=pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    if version is not None:
        arrays[VERSION] = pa.array(version, type=pa.int64())
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays), buffer, compression="zstd")
    return buffer.getvalue()


def read_holdout(body: bytes) -> Holdout:
    """The rows in the file's bytes."""
    table = pq.ParquetFile(pa.BufferReader(body), pre_buffer=False).read()
    columns = {name: _values(table.column(name)) for name in table.column_names if name not in _OURS}
    day = table.column(DAY)
    days = None if day.null_count else day.to_numpy().astype("datetime64[D]")
    version = table.column(VERSION).to_numpy() if VERSION in table.column_names else None
    return Holdout(columns, table.column(LABEL).to_numpy(), days, version)


def _type(values: Array) -> pa.DataType:
    return pa.string() if values.dtype == object else pa.float32()


def _values(column: pa.ChunkedArray) -> Array:
    values: Array = column.to_numpy(zero_copy_only=False)
    return values.astype(object) if pa.types.is_string(column.type) else values
