"""The small profile of a dataset version: rows a day, and per column count, nulls, least and greatest value.

Bounds come from the Parquet footers that were written anyway: no pass over the data.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from perennial.catalog.contract import Column, Contract
from perennial.datasets.arrays import array_of, values_of

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_US = 86_400_000_000


def count_days(days: Counter[int], typed: pa.Array) -> None:
    """Add the rows of a batch to `days` (day since 1970 → rows), from its event times (no nulls)."""
    values = values_of(typed)
    numbers = values // _DAY_US if pa.types.is_timestamp(typed.type) else values.astype("i8")
    for entry in pc.value_counts(array_of(numbers, pa.int64())).to_pylist():
        days[entry["values"]] += entry["counts"]


def profile(contract: Contract, paths: list[Path], days: Counter[int]) -> dict[str, Any]:
    """The profile as JSON: `rows`, `days` (day → rows), `columns` (name → type, count, nulls, min, max).

    Bounds are numbers, ISO 8601 text for dates and timestamps, absent for texts and booleans: no personal data here.
    """
    footers = [pq.read_metadata(path) for path in paths]
    return {
        "rows": sum(footer.num_rows for footer in footers),
        "days": {_day(day): count for day, count in sorted(days.items())},
        "columns": {
            column.name: _column(column, position, footers) for position, column in enumerate(contract.columns)
        },
    }


def _column(column: Column, position: int, footers: list[Any]) -> dict[str, Any]:
    chunks = [
        footer.row_group(group).column(position).statistics
        for footer in footers
        for group in range(footer.num_row_groups)
    ]
    nulls = sum(chunk.null_count for chunk in chunks)
    found: dict[str, Any] = {"type": column.type, "count": sum(chunk.num_values for chunk in chunks), "nulls": nulls}
    bounded = [chunk for chunk in chunks if chunk.has_min_max]
    if bounded and column.type not in {"string", "boolean"}:
        # raw: the physical numbers, since timestamps with a zone would ask for a time zone database
        found["min"] = readable(column, min(chunk.min_raw for chunk in bounded))
        found["max"] = readable(column, max(chunk.max_raw for chunk in bounded))
    return found


def readable(column: Column, value: Any) -> Any:
    """A physical value (days, microseconds) as JSON."""
    if column.type == "date":
        return _day(value)
    if column.type == "timestamp":
        return (_EPOCH + dt.timedelta(microseconds=value)).isoformat().replace("+00:00", "Z")
    return value


def _day(number: int) -> str:
    return dt.date.fromordinal(number + 719163).isoformat()
