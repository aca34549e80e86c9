"""The profile of a dataset version's rows by day, counted batch by batch beside what ingestion does anyway.

All versions of a dataset are counted on one grid, which the first rows of its first version make, so that the profiles
of any versions can be added up and compared.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from perennial.catalog.contract import Contract
from perennial.datasets.arrays import mask_of, values_of
from perennial.datasets.convert import arrow_schema
from perennial.datasets.grids import kinds_of, times_of
from perennial.monitoring.grid import Column, Grid, make_grid
from perennial.monitoring.profile import Profile, profile
from perennial.monitoring.texts import Texts, Whole

# Rows that are counted at once, and that a grid is made of.
GROUP_ROWS = 65_536
_GROUP_BYTES = 64 * 1024 * 1024
_DAY_US = 86_400_000_000


class Histograms:
    """Takes in accepted rows; `grid` is the one given, or that of the first rows, once they are counted."""

    def __init__(self, contract: Contract, grid: Grid | None = None) -> None:
        self._contract = contract
        self._schema = arrow_schema(contract.columns)
        self.grid = grid
        self._total: Profile | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """The next rows. Keeps at most a group of them."""
        self._waiting.append(rows)
        self._rows += rows.num_rows
        self._bytes += rows.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._count()

    def profile(self) -> Profile:
        """That of all rows so far."""
        if self._waiting or self._total is None:
            self._count()
        if self._total is None:
            raise AssertionError("counted above")
        return self._total

    def _count(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._rows, self._bytes = [], 0, 0
        nameless = {column.name for column in self.grid.columns if column.identifier} if self.grid else set()
        columns = {name: _column(table.column(name), name in nameless) for name in table.column_names}
        if self.grid is None:
            self.grid = make_grid(columns, kinds_of(self._contract), times_of(self._contract))
        found = profile(self.grid, self._days(table), columns)
        self._total = found if self._total is None else self._total.merge(found)

    def _days(self, table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
        name = self._contract.event_time
        if name is None:
            return np.full(table.num_rows, "NaT", dtype="datetime64[D]")
        typed = _one(table.column(name))
        values = values_of(typed)
        numbers = values // _DAY_US if pa.types.is_timestamp(typed.type) else values
        return numbers.astype(np.int64).astype("datetime64[D]")


def counted(contract: Contract, batches: Iterable[pa.RecordBatch], grid: Grid | None) -> Histograms:
    """All of some batches."""
    found = Histograms(contract, grid)
    for batch in batches:
        found.add(batch)
    return found


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _column(chunked: pa.ChunkedArray, nameless: bool) -> Column:
    """A column as profiles take it, without pandas. Of a `nameless` column of texts only the missing count."""
    typed = _one(chunked)
    valid = mask_of(pc.is_valid(typed)) if typed.null_count else None
    if pa.types.is_string(typed.type) and nameless:
        present = values_of(pc.binary_length(typed)) > 0
        return Texts(np.where(present if valid is None else present & valid, 0, -1), ["present"])
    if pa.types.is_string(typed.type):
        encoded = typed.dictionary_encode()
        codes = values_of(encoded.indices).astype(np.int64)
        return Texts.coded(codes if valid is None else np.where(valid, codes, -1), encoded.dictionary.to_pylist())
    if pa.types.is_boolean(typed.type):
        numbers = values_of(typed.cast(pa.uint8())).astype(np.float64)
    elif pa.types.is_floating(typed.type):
        numbers = values_of(typed)
    else:
        return Whole(values_of(typed).astype(np.int64, copy=False), valid)
    return numbers if valid is None else np.where(valid, numbers, np.nan)
