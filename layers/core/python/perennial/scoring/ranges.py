"""Rows to be scored on their way to staging, cut into ranges: each row is in exactly one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from perennial.datasets.arrays import array_of
from perennial.datasets.rejects import ROW

# A range ends early at this many bytes of rows, so that long texts fit into the memory of whoever scores them.
RANGE_BYTES = 64 * 1024 * 1024
# What all executions of a map answer must fit into one state (256 KB), and so must what each says of its range.
MAX_RANGES = 10_000


@dataclass(frozen=True)
class Range:
    """Rows `first` to `last` of a file (by their numbers, from 1), of which `rows` are scored and none is elsewhere."""

    first: int
    last: int
    rows: int

    @property
    def name(self) -> str:
        """Its part's name: the range itself, in digits that sort."""
        return f"part-{self.first:09d}-{self.last:09d}"

    def to_json(self) -> dict[str, int]:
        """The range as the workflow hands it on."""
        return asdict(self)


class Ranges:
    """Writes good rows as one Parquet file per range, `<directory>/<name>.parquet`, with their numbers beside them."""

    def __init__(self, directory: Path, schema: pa.Schema, size: int) -> None:
        self.found: list[Range] = []
        self._directory = directory
        self._schema = pa.schema([pa.field(ROW, pa.int64()), *schema])
        self._size = size
        self._waiting: list[pa.RecordBatch] = []
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def rows(self) -> int:
        """Rows in all ranges so far."""
        return sum(one.rows for one in self.found) + self._count()

    def add(self, rows: pa.RecordBatch, numbers: npt.NDArray[np.int64]) -> None:
        """The next good rows and their numbers, which ascend."""
        batch = pa.RecordBatch.from_arrays([array_of(numbers, pa.int64()), *rows.columns], schema=self._schema)
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, self._size - self._count())
            self._waiting.append(piece)
            start += piece.num_rows
            if self._count() == self._size or sum(one.nbytes for one in self._waiting) >= RANGE_BYTES:
                self.close()

    def close(self) -> None:
        """End the range that is open, if any."""
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting, self._schema)
        numbers = table.column(ROW)
        one = Range(numbers[0].as_py(), numbers[-1].as_py(), table.num_rows)
        pq.write_table(table, self._directory / f"{one.name}.parquet", compression="snappy")
        self.found.append(one)
        self._waiting = []

    def _count(self) -> int:
        return sum(one.num_rows for one in self._waiting)


def read_rows(body: bytes) -> pa.Table:
    """The rows of a range, `__row__` first."""
    # not read_table, which takes pandas along
    return pq.ParquetFile(pa.BufferReader(body), pre_buffer=False).read()


def range_of(item: Any) -> Range:
    """The range that `to_json` wrote."""
    return Range(item["first"], item["last"], item["rows"])
