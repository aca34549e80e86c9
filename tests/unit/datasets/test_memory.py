"""A file costs bounded memory, whatever its shape: each is sifted by a process of its own under a limit."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perennial.datasets import parquet_source
from perennial.datasets.refusal import Refusal
from perennial.datasets.source import Limits
from tests.unit.datasets.support import texts

MIB = 1024 * 1024
# What a file may cost beyond what Python, numpy and Arrow cost by themselves: less than half of what the function has
ALLOWED = 700 * MIB

SIFT = """
import resource, sys
from pathlib import Path
from perennial.datasets.source import Limits
from perennial.datasets.sift import sift
import perennial.datasets.json_source, perennial.datasets.parquet_source
from tests.unit.datasets.support import texts

folder, name, columns, text_bytes, allowed = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
agreed = texts(*(f"c{n}" for n in range(columns)))
def status(name):
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024
limit = status("VmSize") + allowed
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
result = sift(folder / name, name, agreed, folder / "out", Limits(text_bytes=text_bytes))
print(result.accepted, result.refusal.rule if result.refusal else "accepted")
"""


def sifted_within(folder: Path, name: str, columns: int, text_bytes: int = 2**31, allowed: int = ALLOWED) -> list[str]:
    """Rows accepted and the verdict, of a process that has no more memory than `allowed` for it."""
    # Arrow's usual allocator and malloc's arenas reserve addresses that they never use
    ours = {"PYTHONPATH": os.pathsep.join(sys.path), "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
    words = [str(folder), name, str(columns), str(text_bytes), str(allowed)]
    command = [sys.executable, "-c", SIFT, *words]
    done = subprocess.run(command, env=os.environ | ours, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_long_lines_of_json(tmp_path: Path) -> None:
    line = json.dumps({"c0": "x" * 60_000}).encode() + b"\n"
    with gzip.open(tmp_path / "a.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(6_000):
            file.write(line)

    assert sifted_within(tmp_path, "a.jsonl.gz", 1) == ["6000", "accepted"]


def test_absent_keys_of_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"c0": "x"}\n' * 12_000)

    assert sifted_within(tmp_path, "a.jsonl", 2000) == ["12000", "accepted"]


def coded(path: Path, length: int, rows: int) -> None:
    """One text of `length` bytes in `rows` rows: hardly larger than the text."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["x" * length]))
    # in pieces, so that a piece decoded has room in an array of text
    table = pa.Table.from_batches([pa.record_batch({"c0": column.slice(n, 1000)}) for n in range(0, rows, 1000)])
    pq.write_table(table, path, row_group_size=rows)


def test_texts_of_parquet_that_unfold(tmp_path: Path) -> None:
    coded(tmp_path / "a.parquet", 30_000, 40_000)

    assert (tmp_path / "a.parquet").stat().st_size < 2 * MIB
    assert sifted_within(tmp_path, "a.parquet", 1) == ["40000", "accepted"]


def test_texts_of_parquet_that_unfold_beyond_the_limit(tmp_path: Path) -> None:
    coded(tmp_path / "a.parquet", 1_000_000, 65_536)

    assert sifted_within(tmp_path, "a.parquet", 1) == ["0", "tooLarge"]


def test_a_value_of_parquet_longer_than_any_line(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c0": ["x" * (parquet_source.MAX_VALUE + 1)]}), tmp_path / "a.parquet")

    assert sifted_within(tmp_path, "a.parquet", 1) == ["0", "tooLarge"]


def test_a_wide_row_group_of_parquet_is_read_in_small_batches(tmp_path: Path) -> None:
    columns = {f"c{n}": np.random.default_rng(n).random(20_000) for n in range(300)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")

    source = parquet_source.open_parquet(tmp_path / "a.parquet", texts(*columns), Limits())
    sizes = [(len(batch.numbers), sum(column.nbytes for column in batch.columns)) for batch in source.batches]

    assert sum(rows for rows, _ in sizes) == 20_000
    assert max(size for _, size in sizes) <= parquet_source.BATCH_BYTES


def test_a_row_group_too_wide_to_be_open_at_once_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_source, "MAX_OPEN", 10_000)
    pq.write_table(pa.table({name: np.random.default_rng(0).random(1000) for name in "ab"}), tmp_path / "a.parquet")

    with pytest.raises(Refusal, match="write smaller row groups"):
        parquet_source.open_parquet(tmp_path / "a.parquet", texts("a", "b"), Limits())
