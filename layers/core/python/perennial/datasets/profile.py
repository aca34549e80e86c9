"""The profile of a dataset version: at a glance rows a day, and per column count, nulls, least and greatest value.

Bounds come from the Parquet footers that were written anyway: no pass over the data. The histograms beside it, by day
and on the dataset's grid, are those of perennial.datasets.histograms.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from perennial.catalog.contract import Column, Contract
from perennial.monitoring.profile import Profile

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def profile(contract: Contract, paths: list[Path], histograms: Profile, *, shared: bool) -> dict[str, Any]:
    """The profile as JSON: `rows`, `days` (day → rows), `columns` (name → type, count, nulls, min, max), `histograms`.

    The latter is null unless their grid is `shared` with the dataset's other versions.

    Bounds are numbers, ISO 8601 text for dates and timestamps, absent for texts and booleans: no personal data here.
    """
    footers = [pq.read_metadata(path) for path in paths]
    return {
        "rows": sum(footer.num_rows for footer in footers),
        "days": {
            str(day): int(rows)
            for day, rows in zip(histograms.days, histograms.rows, strict=True)
            if contract.event_time is not None
        },
        "columns": {
            column.name: _column(column, position, footers) for position, column in enumerate(contract.columns)
        },
        "histograms": histograms.to_json() if shared else None,
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
