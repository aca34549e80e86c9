"""Parquet: the footer first, then row groups in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from perennial.catalog.contract import Contract
from perennial.datasets.arrays import values_of
from perennial.datasets.refusal import Refusal
from perennial.datasets.source import Limits, RawBatch, Source, check_columns

# A batch ends at the first of these; a value of fixed width counts as the 16 bytes that it is before and after it is
# converted
BATCH_ROWS = 65_536
BATCH_BYTES = 64 * 1024 * 1024
_LEAST_BYTES = 16
# The longest value, as of a line of CSV
MAX_VALUE = 4 * 1024 * 1024
# Read at once of a column, next to the page that is open (1 MiB as writers make them, with a dictionary as large)
_BUFFER = 64 * 1024
_PAGES = 2 * 1024 * 1024
# All pages that are open at once
MAX_OPEN = 1024**3
_UNREADABLE = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError)


def open_parquet(path: Path, contract: Contract, limits: Limits) -> Source:
    """The rows of a Parquet file. Raises Refusal for its footer; the batches raise it for the rest."""
    with path.open("rb") as tail:
        tail.seek(-4, 2)
        if tail.read(4) != b"PAR1":
            raise Refusal("truncated", "the file begins as Parquet and does not end as Parquet")
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            schema, meta = file.schema_arrow, file.metadata
    except _UNREADABLE as error:
        raise Refusal("unreadable", f"the Parquet footer cannot be read: {error}") from error
    check_columns(schema.names, contract)
    groups = [meta.row_group(group) for group in range(meta.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    if size > limits.text_bytes or meta.num_rows > limits.rows:
        raise Refusal("tooLarge", f"{size:,} bytes decompressed in {meta.num_rows:,} rows are too many to read here")
    names = [column.name for column in contract.columns]
    rows = _batch_rows(groups, set(names))
    return Source(batches=_batches(path, schema, names, rows, limits.text_bytes), missing=contract.missing)


def _batch_rows(groups: list[Any], names: set[str]) -> int:
    """Rows that fit into a batch, by the footer. Raises Refusal when a group has too many large columns to be read."""
    widest = 0
    for group in groups:
        every = [group.column(place) for place in range(group.num_columns)]
        sizes = [one.total_uncompressed_size for one in every if one.path_in_schema.split(".")[0] in names]
        if sum(min(size, _PAGES) for size in sizes) > MAX_OPEN:
            message = f"its columns are too large to be read together: {sum(sizes):,} bytes in a row group"
            raise Refusal("tooLarge", f"{message}; write smaller row groups")
        rows = max(1, group.num_rows)
        widest = max(widest, sum(max(_LEAST_BYTES, size // rows) for size in sizes))
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, widest)))


def _batches(path: Path, schema: pa.Schema, names: list[str], rows: int, most: int) -> Iterator[RawBatch]:
    # kept as they are coded, texts that repeat cost what they cost in the file; what they come to is known before
    texts = [name for name in names if _is_text(schema.field(name).type)]
    done = decoded = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER, read_dictionary=texts) as file:
            for whole in file.iter_batches(batch_size=rows, columns=names, use_threads=False):
                sizes = _sizes(whole)
                decoded += int(sizes.sum())
                if decoded > most:
                    raise Refusal("tooLarge", f"more than {most:,} bytes of text when decompressed")
                for batch in _cut(whole, sizes):
                    numbers = np.arange(done + 1, done + 1 + batch.num_rows, dtype=np.int64)
                    done += batch.num_rows
                    yield RawBatch([batch.column(name) for name in names], numbers)
    except _UNREADABLE as error:
        raise Refusal("unreadable", f"the Parquet file breaks off or is damaged: {error}") from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def _sizes(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Bytes of each row's texts once decoded. Raises Refusal for a value too long."""
    sizes = np.zeros(batch.num_rows, dtype=np.int64)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            sizes += _lengths(name, column)
    return sizes


def _cut(batch: pa.RecordBatch, sizes: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of at most `BATCH_BYTES`."""
    start, ends = 0, np.cumsum(sizes)
    while start < batch.num_rows:
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + BATCH_BYTES, side="right")))
        yield batch.slice(start, end - start)
        start = end


def _lengths(name: str, column: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """Bytes of each value, 0 for null."""
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    longest = pc.max(lengths).as_py() or 0
    if longest > MAX_VALUE:
        raise Refusal(
            "tooLarge", f"column {name}: a value of {longest:,} bytes; at most {MAX_VALUE:,} are read", (name,)
        )
    return values_of(pc.fill_null(lengths.take(column.indices), 0))
