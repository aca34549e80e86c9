"""The histograms of a dataset version are those of its accepted rows, however the file was cut and whatever it held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perennial.catalog.contract import Column, Contract
from perennial.datasets import histograms as module
from perennial.datasets.convert import arrow_schema
from perennial.datasets.histograms import counted
from perennial.datasets.sift import sift
from perennial.monitoring.grid import Grid
from perennial.monitoring.profile import Profile, profile
from perennial.monitoring.summary import top
from perennial.storage.objects import canonical_json
from tests.unit.datasets.support import contract, csv_bytes

AGREED = contract(
    Column("at", "timestamp", required=True),
    Column("k", "integer", maximum=10**9),
    Column("x", "number"),
    Column("t", "string"),
    Column("b", "boolean"),
    event_time="at",
    keys=(("k",),),
)


def rows(count: int, seed: int = 1) -> list[tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    return [
        (
            f"2013-01-{1 + number % 20:02d}T12:00:00Z",
            number,
            "" if number % 11 == 0 else round(float(value), 3),
            "" if number % 7 == 0 else "abc"[number % 3],
            "" if number % 13 == 0 else ("true", "false")[number % 2],
        )
        for number, value in enumerate(rng.normal(size=count))
    ]


def sifted(folder: Path, given: list[tuple[Any, ...]], agreed: Contract = AGREED, grid: Grid | None = None) -> Any:
    folder.mkdir()
    path = folder / "a.csv"
    path.write_bytes(csv_bytes([column.name for column in agreed.columns], given))
    return sift(path, "a.csv", agreed, folder / "out", grid=grid)


def test_histograms_are_those_of_the_rows(tmp_path: Path) -> None:
    given = rows(1000)
    result = sifted(tmp_path / "a", given)
    found = Profile.from_json(result.profile["histograms"], result.grid)
    columns = {
        "at": np.zeros(1000),
        "k": np.arange(1000),
        "x": np.array([np.nan if row[2] == "" else row[2] for row in given], dtype=np.float64),
        "t": np.array([row[3] for row in given], dtype=object),
        "b": np.array([np.nan if row[4] == "" else float(row[4] == "true") for row in given]),
    }
    days = np.array([row[0][:10] for row in given], dtype="datetime64[D]")
    assert found.to_bytes() == profile(result.grid, days, columns).to_bytes()
    assert result.grid.by_name["k"].identifier
    assert dict(top(found, "t")) == {letter: sum(row[3] == letter for row in given) for letter in "abc"}


def test_refused_and_doubled_rows_do_not_count_and_the_given_grid_is_used(tmp_path: Path) -> None:
    clean = sifted(tmp_path / "clean", rows(800))
    dirty = [*rows(800), *rows(800)[:50], ("2013-01-05T12:00:00Z", 10**10, 5.0, "zzz", "true")]
    again = sifted(tmp_path / "dirty", dirty)
    assert (again.accepted, again.quarantined) == (800, 51)
    assert canonical_json(again.profile["histograms"]) == canonical_json(clean.profile["histograms"])
    later = sifted(tmp_path / "later", rows(20, seed=2), grid=clean.grid)
    assert later.grid == clean.grid
    assert later.profile["histograms"]["grid"] == clean.grid.sha256


def test_cutting_a_file_into_groups_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = sifted(tmp_path / "a", rows(1000))
    table = pa.concat_tables([pq.ParquetFile(part.path).read() for part in result.parts]).cast(
        arrow_schema(AGREED.columns)
    )
    monkeypatch.setattr(module, "GROUP_ROWS", 64)
    cut = counted(AGREED, table.to_batches(max_chunksize=10), result.grid).profile()
    assert canonical_json(cut.to_json()) == canonical_json(result.profile["histograms"])
    assert canonical_json(result.recounted(AGREED, result.grid).profile) == canonical_json(result.profile)


def test_texts_of_people_are_in_no_profile(tmp_path: Path) -> None:
    agreed = contract(Column("mail", "string"), Column("n", "integer"))
    result = sifted(tmp_path / "a", [(f"person{n}@example.org", n % 5) for n in range(2000)], agreed)
    written = canonical_json(result.profile) + canonical_json(result.grid.to_json())
    assert b"example.org" not in written
    assert result.profile["days"] == {}
    assert result.profile["histograms"]["days"] == ["none"]


def test_few_rows_make_no_grid(tmp_path: Path) -> None:
    result = sifted(tmp_path / "a", rows(499))
    assert result.grid is None and result.profile["histograms"] is None
    assert result.profile["days"]["2013-01-01"] == 25
