"""Refused rows as a table of text: every column as it stood in the file, the row's number, and the reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from perennial.datasets.arrays import to_text

ROW, REASONS, TEXT = "__row__", "__reasons__", "__text__"


class Rejects:
    """Writes `rows.parquet`, once there is a row to write."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self.path = path
        self.names = names
        self.rows = 0
        self._writer: pq.ParquetWriter | None = None
        texts = [pa.field(name, pa.string()) for name in [*names, TEXT, REASONS]]
        self._schema = pa.schema([pa.field(ROW, pa.int64()), *texts])

    def add(self, columns: list[pa.Array], rows: Any, reasons: list[str]) -> None:
        """Rows with the shape of the table."""
        texts = [to_text(column) for column in columns]
        self._write([pa.array(np.asarray(rows, dtype=np.int64)), *texts, pa.nulls(len(reasons), pa.string()), reasons])

    def add_text(self, row: int, text: str, reason: str) -> None:
        """A row without the shape of the table, as the text that it is."""
        nulls = [pa.nulls(1, pa.string()) for _ in self.names]
        self._write([pa.array([row], pa.int64()), *nulls, pa.array([text], pa.string()), [reason]])

    def close(self) -> Path | None:
        """The file, or None when no row was refused."""
        if self._writer is None:
            return None
        self._writer.close()
        return self.path

    def _write(self, columns: list[Any]) -> None:
        *arrays, reasons = columns
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, self._schema, compression="snappy")
        self.rows += len(reasons)
        self._writer.write_batch(
            pa.RecordBatch.from_arrays([*arrays, pa.array(reasons, pa.string())], schema=self._schema)
        )
