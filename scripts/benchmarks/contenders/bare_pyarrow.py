"""Nothing but pyarrow: a CSV file streamed into a Parquet file, types guessed, nothing checked."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pyarrow.csv as pc
import pyarrow.parquet as pq

from scripts.benchmarks.contenders.loop import serve


def main(data: str) -> None:
    """`data` is the CSV file."""

    def write() -> None:
        # one thread and the default block, as a function of one core would be written
        with (
            tempfile.TemporaryDirectory() as folder,
            pc.open_csv(data, read_options=pc.ReadOptions(use_threads=False)) as batches,
            pq.ParquetWriter(Path(folder, "year.parquet"), batches.schema) as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)

    serve(lambda: {"year": write}, ("pyarrow",))


if __name__ == "__main__":
    main(*sys.argv[1:])
