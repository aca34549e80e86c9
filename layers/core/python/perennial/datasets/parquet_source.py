"""Parquet: the footer first, then row groups in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from perennial.catalog.contract import Contract
from perennial.datasets.refusal import Refusal
from perennial.datasets.source import Limits, RawBatch, Source, check_columns

BATCH_ROWS = 65_536


def open_parquet(path: Path, contract: Contract, limits: Limits) -> Source:
    """The rows of a Parquet file. Raises Refusal for its footer; the batches raise it for the rest."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        if file.read(4) != b"PAR1":
            raise Refusal("truncated", "the file begins as Parquet and does not end as Parquet")
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        names = file.schema_arrow.names
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise Refusal("unreadable", f"the Parquet footer cannot be read: {error}") from error
    check_columns(names, contract)
    meta = file.metadata
    size = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
    if size > limits.text_bytes or meta.num_rows > limits.rows:
        raise Refusal("tooLarge", f"{size:,} bytes decompressed in {meta.num_rows:,} rows are too many to read here")
    return Source(batches=_batches(file, contract), missing=contract.missing)


def _batches(file: pq.ParquetFile, contract: Contract) -> Iterator[RawBatch]:
    names = [column.name for column in contract.columns]
    done = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names, use_threads=False):
            numbers = np.arange(done + 1, done + 1 + batch.num_rows, dtype=np.int64)
            done += batch.num_rows
            yield RawBatch([batch.column(name) for name in names], numbers)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise Refusal("unreadable", f"the Parquet file breaks off or is damaged: {error}") from error
    finally:
        file.close()
