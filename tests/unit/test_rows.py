"""What `perennial predict` reads of a file: values that a model can be asked, or a line that says which one is none."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.cli.output import Failure
from scripts.cli.rows import read_columns, tensors


def parquet(folder: Path, values: pa.Array) -> Path:
    """A file whose column `x` holds them."""
    pq.write_table(pa.table({"x": values}), folder / "rows.parquet")
    return folder / "rows.parquet"


def asked(path: Path, datatype: str) -> list[Any]:
    (tensor,) = tensors(read_columns(path, ["x"], [""]), [{"name": "x", "datatype": datatype}])
    data: list[Any] = tensor["data"]
    return data


def test_values_are_read_from_both_kinds_of_files(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("y,x,y\na,1,b\na,,b\n")
    assert asked(tmp_path / "rows.csv", "INT64") == [1, None]
    assert asked(parquet(tmp_path, pa.array([1.5, float("nan"), None])), "FP64") == [1.5, None, None]
    assert asked(parquet(tmp_path, pa.array(["a", None])), "BYTES") == ["a", None]


@pytest.mark.parametrize("datatype", ["BYTES", "INT64", "FP64", "BOOL"])
@pytest.mark.parametrize("value", [[1], {"a": 1}, b"1"], ids=["list", "struct", "binary"])
def test_what_is_not_one_value_is_refused_by_row_and_column(tmp_path: Path, value: Any, datatype: str) -> None:
    with pytest.raises(Failure, match=r"^row 2, column x: .*1.* is not one value$"):
        asked(parquet(tmp_path, pa.array([None, value])), datatype)


@pytest.mark.parametrize(
    ("value", "datatype"), [(float("inf"), "INT64"), (date(2026, 3, 1), "INT64"), (date(2026, 3, 1), "FP64")]
)
def test_a_value_of_another_type_is_refused_by_row_and_column(tmp_path: Path, value: Any, datatype: str) -> None:
    with pytest.raises(Failure, match=rf"^row 2, column x: .* is not a {datatype}$"):
        asked(parquet(tmp_path, pa.array([None, value])), datatype)


@pytest.mark.parametrize(
    "values",
    [pa.array([b"\xff"], pa.binary()).view(pa.string()), pa.array([2**62], pa.timestamp("us"))],
    ids=["no UTF-8", "a far time"],
)
def test_a_value_that_cannot_be_read_is_told_by_column(tmp_path: Path, values: pa.Array) -> None:
    with pytest.raises(Failure, match=r"rows\.parquet: column x: "):
        asked(parquet(tmp_path, values), "BYTES")


def test_a_column_that_is_there_twice_or_never_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,y,x\n1,2,3\n")
    twice = pa.table([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(twice, tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.parquet"):
        with pytest.raises(Failure, match=r"the header names 'x' more than once$"):
            asked(tmp_path / name, "INT64")
    (tmp_path / "rows.csv").write_text("y\n1\n")
    with pytest.raises(Failure, match="the model takes column 'x', which the file does not have"):
        asked(tmp_path / "rows.csv", "INT64")


@pytest.mark.parametrize(("name", "body"), [("r.parquet", b"no"), ("r.csv", b""), ("r.csv", b"x\n1,2\n")])
def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path, name: str, body: bytes) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(Failure, match=name):
        asked(tmp_path / name, "BYTES")
