"""Accepted rows on their way to curated/: Parquet files of bounded size, and one digest over what they say.

The digest is over the rows, not the Parquet bytes: the same rows have the same digest whatever file they came in,
however it was cut into batches, and whichever version of the writer wrote them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from perennial.datasets.arrays import mask_of, text_buffers, values_of
from perennial.storage.objects import canonical_json

GROUP_ROWS = 131_072
GROUP_BYTES = 64 * 1024 * 1024
PART_ROWS = 4 * 1024 * 1024


class _ColumnDigest:
    """One column: places of nulls, lengths of texts and values each in a stream of their own, so cuts do not show."""

    def __init__(self) -> None:
        self._nulls, self._lengths, self._values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def add(self, column: pa.Array, first: int) -> None:
        if column.null_count:
            places = np.flatnonzero(mask_of(pc.is_null(column))) + first
            self._nulls.update(places.astype("<i8").data)
            column = column.drop_null()
        if pa.types.is_string(column.type):
            ends, body = text_buffers(column)
            self._lengths.update(np.diff(ends).astype("<i4", copy=False).data)
            self._values.update(body.data)
        elif pa.types.is_boolean(column.type):
            self._values.update(values_of(column.cast(pa.uint8())).data)
        else:
            values = values_of(column)
            self._values.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data)

    def hexdigests(self) -> list[str]:
        return [stream.hexdigest() for stream in (self._nulls, self._lengths, self._values)]


@dataclass
class ContentDigest:
    """SHA-256 of a table's columns (name, type, values, places of nulls), fed in batches of any size."""

    schema: pa.Schema
    rows: int = 0
    _columns: list[_ColumnDigest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._columns = [_ColumnDigest() for _ in self.schema]

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        for digest, column in zip(self._columns, batch.columns, strict=True):
            digest.add(column, self.rows)
        self.rows += batch.num_rows

    def hexdigest(self) -> str:
        """The digest of all rows so far, in hex; the order of columns does not matter, that of rows does."""
        columns = {
            part.name: [str(part.type), *digest.hexdigests()]
            for part, digest in zip(self.schema, self._columns, strict=True)
        }
        return hashlib.sha256(canonical_json({"columns": columns, "rows": self.rows})).hexdigest()


@dataclass(frozen=True)
class Part:
    """One local Parquet file: where, how long, and SHA-256 of its bytes."""

    path: Path
    bytes: int
    sha256: str


class Parts:
    """Writes rows as `part-00000.parquet`, … in a directory; the same rows in the same batches make the same bytes."""

    def __init__(self, directory: Path, schema: pa.Schema) -> None:
        self.directory = directory
        self.schema = schema
        self.digest = ContentDigest(schema)
        self.paths: list[Path] = []
        self._buffer: list[pa.RecordBatch] = []
        self._writer: pq.ParquetWriter | None = None
        self._part_rows = 0
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self.digest.rows

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; they reach the disk in row groups of about `GROUP_ROWS`."""
        if not batch.num_rows:
            return
        self.digest.add(batch)
        self._buffer.append(batch)
        rows = sum(part.num_rows for part in self._buffer)
        if rows >= GROUP_ROWS or sum(part.nbytes for part in self._buffer) >= GROUP_BYTES:
            self._flush()

    def close(self) -> list[Part]:
        """Finish the last file and describe all."""
        self._flush()
        self._end()
        return [_described(path) for path in self.paths]

    def read(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows written (after close), in order."""
        for path in self.paths:
            yield from read_part(path, columns)

    def _flush(self) -> None:
        if not self._buffer:
            return
        if self._writer is None:
            path = self.directory / f"part-{len(self.paths):05d}.parquet"
            self._writer = pq.ParquetWriter(path, self.schema, compression="snappy")
            self.paths.append(path)
        table = pa.Table.from_batches(self._buffer, self.schema)
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._part_rows += table.num_rows
        self._buffer = []
        if self._part_rows >= PART_ROWS:
            self._end()

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._part_rows = None, 0


def read_part(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of one file, in order."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        # group by group: a batch across groups could be larger than any that was written
        for group in range(file.num_row_groups):
            yield from file.iter_batches(GROUP_ROWS, [group], columns, use_threads=False)


def _described(path: Path) -> Part:
    with path.open("rb") as file:
        return Part(path, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
