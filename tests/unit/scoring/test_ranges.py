"""Ranges: whatever the file, each of its rows is in exactly one range, or refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.catalog.column import Column
from perennial.catalog.contract import Contract
from perennial.datasets.rejects import ROW
from perennial.datasets.source import Limits
from perennial.scoring import ranges as ranges_module
from perennial.scoring.ranges import Range, Ranges, range_of, read_rows
from perennial.scoring.survey import survey
from perennial.serving.signature import parse_signature
from tests.unit.serving.bundles import signature

SIGNATURE = parse_signature(json.dumps(signature()).encode())
CONTRACT = Contract(
    "flights", "1.0.0", (Column("flight", "string"), Column("at", "timestamp")), "at", (("flight",),), ("", "NA")
)
SCHEMA = pa.schema([pa.field("value", pa.int64())])


def staged(directory: Path, found: list[Range]) -> list[pa.Table]:
    return [read_rows((directory / f"{one.name}.parquet").read_bytes()) for one in found]


@given(st.lists(st.lists(st.booleans(), max_size=12), max_size=6), st.integers(1, 7))
def test_whatever_the_batches_each_good_row_is_in_one_range(batches: list[list[bool]], size: int) -> None:
    with TemporaryDirectory() as folder:
        made, number, good = Ranges(Path(folder), SCHEMA, size), 0, []
        for batch in batches:
            numbers = np.arange(number + 1, number + 1 + len(batch))[np.array(batch, dtype=bool)]
            number += len(batch)
            good += numbers.tolist()
            made.add(pa.RecordBatch.from_arrays([pa.array(numbers * 10)], schema=SCHEMA), numbers)
        made.close()
        tables = staged(Path(folder), made.found)
    assert [row for table in tables for row in table[ROW].to_pylist()] == good
    assert [row for table in tables for row in table["value"].to_pylist()] == [10 * row for row in good]
    assert made.rows == len(good)
    for one, table in zip(made.found, tables, strict=True):
        assert (one.first, one.last, one.rows) == (table[ROW][0].as_py(), table[ROW][-1].as_py(), len(table))
        assert range_of(one.to_json()) == one
    assert all(len(table) == size for table in tables[:-1])
    assert [one.name for one in made.found] == sorted(one.name for one in made.found)


def test_long_texts_end_a_range_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges_module, "RANGE_BYTES", 1000)
    schema = pa.schema([pa.field("text", pa.string())])
    made = Ranges(tmp_path, schema, 100)
    for row in range(5):
        made.add(pa.RecordBatch.from_arrays([pa.array(["x" * 600])], schema=schema), np.array([row + 1]))
    made.close()
    assert [one.rows for one in made.found] == [2, 2, 1]


CELL: dict[str, Any] = {
    "flight": st.sampled_from(["a1", "b2", ""]),
    "at": st.sampled_from(["2024-01-01 08:00:00", "never", ""]),
    "distance": st.sampled_from(["1.5", "NA", "far", "1e39"]),
    "hour": st.sampled_from(["7", "7.5", "seven", ""]),
    "night": st.sampled_from(["true", "0", "perhaps"]),
    "carrier": st.sampled_from(["UA", "", "é"]),
    "unasked": st.text("xyz", max_size=3),
}
WRONG = {"never", "far", "1e39", "7.5", "seven", "perhaps"}


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".jsonl", ".parquet"])
@settings(max_examples=30)
@given(st.lists(st.fixed_dictionaries(CELL), max_size=25), st.integers(1, 9))
def test_whatever_the_file_each_row_is_in_one_range_or_refused(
    kind: str, rows: list[dict[str, str]], size: int
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{kind}"
        path.write_bytes(written(kind, rows))
        found = survey(path, path.name, SIGNATURE, CONTRACT, Path(folder), size, Limits())
        if not [row for row in rows if not WRONG & set(row.values())]:
            assert found.refusal is not None
            assert found.ranges == []
            return
        tables = staged(Path(folder) / "rows", found.ranges)
        refused = pq.ParquetFile(found.rejects).read()[ROW].to_pylist() if found.rejects else []
    assert found.refusal is None
    assert found.carried == ["flight", "at"]
    scored = [row for table in tables for row in table[ROW].to_pylist()]
    assert scored == [number for number, row in enumerate(rows, 1) if not WRONG & set(row.values())]
    assert sorted([*scored, *refused]) == list(range(1, len(rows) + 1))
    assert (found.rows, found.quarantined) == (len(rows), len(refused))
    assert {problem["row"] for problem in found.findings.problems} == set(refused)


def written(kind: str, rows: list[dict[str, str]]) -> bytes:
    if kind == ".parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in CELL}), sink)
        return bytes(sink.getvalue().to_pybytes())
    if kind == ".jsonl":
        # JSON has a null of its own: there the contract's texts for it are texts
        nulled = [{name: None if value in {"", "NA"} else value for name, value in row.items()} for row in rows]
        return b"".join(json.dumps(row).encode() + b"\n" for row in nulled)
    lines = [",".join(CELL), *(",".join(row[name] for name in CELL) for row in rows)]
    text = "".join(f"{line}\r\n" for line in lines).encode()
    return gzip.compress(text) if kind.endswith(".gz") else text
