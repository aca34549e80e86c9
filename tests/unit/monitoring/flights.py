"""The example's real flights as columns."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from scripts.flights import source

Array = np.ndarray[Any, Any]


@cache
def flights() -> tuple[Array, dict[str, Array], frozenset[str]]:
    """Days (UTC) and columns of the year, and which are instants (in days since 1970)."""
    options = pc.ConvertOptions(strings_can_be_null=True, null_values=["", "NA"])
    with zipfile.ZipFile(source()) as archive:
        table = pc.read_csv(io.BytesIO(archive.read(archive.namelist()[0])), convert_options=options)
    instants = table.column("time_hour").cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    columns = {"time_hour": instants.astype(np.int64) / 86_400e6}
    for name in table.column_names:
        column = table.column(name)
        if name != "time_hour":
            text = pa.types.is_string(column.type)
            columns[name] = (
                np.array(column.fill_null("").to_pylist(), dtype=object)
                if text
                else column.cast(pa.float64()).to_numpy()
            )
    return instants.astype("datetime64[D]"), columns, frozenset({"time_hour"})


def flights_of_month(month: int) -> tuple[Array, dict[str, Array], frozenset[str]]:
    """Those of one month."""
    days, columns, temporal = flights()
    chosen = columns["month"] == month
    return days[chosen], {name: values[chosen] for name, values in columns.items()}, temporal
