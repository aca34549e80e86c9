"""Keys: exactly the later rows of a key are found, also where hashes collide."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.datasets import uniqueness
from perennial.datasets.duplicates import Repeated, RowNumbers, without_duplicates
from perennial.datasets.parts import Parts
from perennial.datasets.refusal import Refusal
from perennial.datasets.uniqueness import Keys, hash_rows

SCHEMA = pa.schema([("i", pa.int64()), ("s", pa.string()), ("f", pa.float64()), ("b", pa.bool_())])
Row = tuple[int | None, str | None, float | None, bool | None]
_rows: st.SearchStrategy[list[Row]] = st.lists(
    st.tuples(
        st.none() | st.integers(0, 3),
        st.none() | st.sampled_from(["", "a", "é", "ab", "aa", "\0"]),
        st.none() | st.sampled_from([0.0, -0.0, 1.5]),
        st.none() | st.booleans(),
    ),
    max_size=30,
)
_keys = st.sampled_from([(("i",),), (("i", "s"),), (("i",), ("s",)), (("i", "s", "f", "b"), ("f", "b")), (("s", "f"),)])


def batches(rows: list[Row], size: int) -> list[pa.RecordBatch]:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    whole = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
    return [whole.slice(start, size) for start in range(0, len(rows), size)]


def naive(rows: list[Row], keys: tuple[tuple[str, ...], ...]) -> list[int]:
    """Row by row: refused when one of its keys was seen among the rows kept."""
    seen: list[set[Any]] = [set() for _ in keys]
    refused = []
    for number, row in enumerate(rows, 1):
        named = dict(zip(SCHEMA.names, row, strict=True))
        values = [tuple(named[name] for name in key) for key in keys]
        if any(None not in value and value in known for value, known in zip(values, seen, strict=True)):
            refused.append(number)
            continue
        for value, known in zip(values, seen, strict=True):
            known.add(value)
    return refused


def found(folder: Path, rows: list[Row], keys: tuple[tuple[str, ...], ...], size: int) -> tuple[list[int], Parts]:
    tracked, numbers, written = Keys(keys), RowNumbers(), Parts(folder / "a", SCHEMA)
    for batch in batches(rows, size):
        numbers.add(np.arange(numbers.rows + 1, numbers.rows + 1 + batch.num_rows))
        tracked.add(batch)
        written.write(batch)
    written.close()
    repeated: list[Repeated] = []
    kept = without_duplicates(written, tracked, numbers, folder / "b", repeated.append)
    return [number for _, places, _ in repeated for number in places.tolist()], kept


@given(rows=_rows, keys=_keys, size=st.integers(1, 7))
def test_duplicates_are_those_of_a_row_by_row_look(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], keys: Any, size: int
) -> None:
    refused, kept = found(tmp_path_factory.mktemp("keys"), rows, keys, size)

    assert refused == naive(rows, keys)
    left = [tuple(row.values()) for batch in kept.read() for row in batch.to_pylist()]
    assert left == [row for number, row in enumerate(rows, 1) if number not in refused]


def test_colliding_hashes_only_cost_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniqueness, "hash_rows", lambda columns: np.zeros(len(columns[0]), dtype=np.uint64))
    rows: list[Row] = [(n % 4, "x", 0.0, True) for n in range(6)]

    refused, _ = found(tmp_path, rows, (("i",),), 4)

    assert refused == [5, 6]


def test_too_many_suspects_refuse_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniqueness, "MAX_SUSPECTS", 3)

    with pytest.raises(Refusal, match="share a key"):
        found(tmp_path, [(1, "x", 0.0, True)] * 4, (("i",),), 10)


def test_rows_that_are_too_many_to_remember_refuse_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniqueness, "MAX_BYTES", 100 * (9 * 2 + 16))
    rows: list[Row] = [(n, str(n), 0.0, True) for n in range(101)]
    keys = (("i",), ("i", "s"))

    assert found(tmp_path / "few", rows[:100], keys, 7)[0] == []
    with pytest.raises(Refusal, match="more than 100 rows are too many to tell whether unique: i; i, s"):
        found(tmp_path / "many", rows, keys, 7)


@pytest.mark.parametrize("keys", [(("i",),), (("i",), ("f",))])
@pytest.mark.parametrize("nulls", [0, 1])
def test_hashes_cost_what_the_limit_counts_on(keys: Any, nulls: int) -> None:
    count, size = 1_000_000, 50_000
    tracemalloc.start()
    tracked = Keys(keys)
    for start in range(0, count, size):
        numbers = np.arange(start, start + size)
        arrays = [pa.array([None] * nulls + numbers[nulls:].tolist(), kind) for kind in (pa.int64(), pa.float64())]
        tracked.add(pa.RecordBatch.from_arrays(arrays, names=["i", "f"]))
        del arrays
    tracemalloc.reset_peak()
    assert len(tracked.suspects()) == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < count * (9 * len(keys) + 16) * 1.1


@given(st.lists(st.text(max_size=6)), st.integers(0, 3))
def test_equal_texts_have_equal_hashes_wherever_they_stand(texts: list[str], start: int) -> None:
    together = hash_rows([pa.array(texts, pa.string()).slice(start)])

    assert together.tolist() == [int(hash_rows([pa.array([text])])[0]) for text in texts[start:]]


def test_hashes_of_many_keys_do_not_collide() -> None:
    numbers = pa.array(range(100_000), pa.int64())
    texts = numbers.cast(pa.string())

    for columns in ([numbers], [texts], [texts, numbers]):
        assert len(np.unique(hash_rows(columns))) == 100_000


@given(st.lists(st.lists(st.booleans(), max_size=6), max_size=5))
def test_numbers_of_accepted_rows_are_remembered(batches_: list[list[bool]]) -> None:
    numbers, expected, start = RowNumbers(), [], 1
    for kept in batches_:
        rows = np.arange(start, start + len(kept), dtype=np.int64)[np.array(kept, dtype=np.bool_)]
        start += len(kept)
        expected += rows.tolist()
        numbers.add(rows)

    assert numbers.of(np.arange(len(expected))).tolist() == expected
