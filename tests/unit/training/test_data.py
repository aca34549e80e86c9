from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perennial.catalog.load import FEATURE_TYPES
from perennial.datasets.parts import ContentDigest
from perennial.errors import TrainingDataInvalid
from perennial.storage.objects import Objects
from perennial.training.data import VERSION, join_tables, read_version, to_rows
from perennial.training.features import KINDS, Feature, features_of, prepare, signature
from perennial.training.request import NamedVersion
from tests.unit.training.made import CONTRACT, rows_of, spec_of, table

NUMBER = Feature("x", "x", "number", "FP64")
CATEGORY = Feature("c", "c", "category", "BYTES")
BOOLEAN = Feature("b", "b", "boolean", "BOOL")


class Stored(Objects):
    """Objects that lie in memory."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        super().__init__("memory")
        object.__setattr__(self, "bodies", bodies)

    def get(self, key: str, version_id: str | None = None) -> bytes:
        found: dict[str, bytes] = self.bodies  # type: ignore[attr-defined]
        return found[key]


def parquet(columns: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def content(*bodies: bytes) -> str:
    files = [pq.ParquetFile(pa.BufferReader(body)) for body in bodies]
    digest = ContentDigest(files[0].schema_arrow)
    for file in files:
        for batch in file.iter_batches():
            digest.add(batch)
    return digest.hexdigest()


def read_versions(
    objects: Objects, versions: list[NamedVersion], columns: list[str], optional: list[str] | None = None
) -> pa.Table:
    tables = [read_version(objects, version, columns, optional or []) for version in versions]
    return join_tables(tables).drop_columns([VERSION])


def stored(**bodies: bytes) -> tuple[Stored, list[NamedVersion]]:
    """One version per body, numbered from 1, of one row each."""
    versions = [
        NamedVersion(version=number, rows=1, content_sha256=content(body), files=[key])
        for number, (key, body) in enumerate(bodies.items(), 1)
    ]
    return Stored(bodies), versions


def test_numbers_are_float32_and_null_is_nan() -> None:
    values = prepare(pa.chunked_array([[1, None, 16777217]]), NUMBER)
    assert values.dtype == np.float32
    assert values[0] == 1
    assert np.isnan(values[1])
    assert values[2] == 16777216


def test_what_float32_cannot_hold_is_missing() -> None:
    assert np.isnan(prepare(pa.chunked_array([[1e39, float("inf"), float("nan")]]), NUMBER)).all()


def test_booleans_are_zero_and_one_and_nan() -> None:
    assert prepare(pa.chunked_array([[True, False, None]]), BOOLEAN).tolist()[:2] == [1.0, 0.0]


def test_categories_are_text_and_null_is_the_empty_text() -> None:
    plain = pa.chunked_array([["Å", None, ""]])
    for column in (plain, plain.dictionary_encode(), plain.cast(pa.large_string())):
        assert prepare(column, CATEGORY).tolist() == ["Å", "", ""]


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(TrainingDataInvalid, match="column 'x' is string, no number"):
        prepare(pa.chunked_array([["one"]]), NUMBER)


def test_every_type_that_the_catalog_lets_through_is_laid_out() -> None:
    assert set(KINDS) == FEATURE_TYPES


def test_a_version_of_several_files_is_one() -> None:
    bodies = {"one": parquet({"x": ["a"], "y": [1]}), "two": parquet({"x": pa.array([None], pa.string()), "y": [2]})}
    version = NamedVersion(version=1, rows=2, content_sha256=content(*bodies.values()), files=["one", "two"])
    assert read_versions(Stored(bodies), [version], ["x"]).column("x").to_pylist() == ["a", None]


def test_an_optional_column_is_null_where_a_version_lacks_it() -> None:
    objects, versions = stored(one=parquet({"x": [1]}), two=parquet({"x": [2], "y": ["b"]}))
    found = read_versions(objects, versions, ["x"], ["y", "z"])
    assert found.to_pydict() == {"x": [1, 2], "y": [None, "b"]}


def test_a_version_without_a_column_is_refused_by_its_number() -> None:
    objects, versions = stored(one=parquet({"x": [1]}), two=parquet({"y": [2]}))
    with pytest.raises(TrainingDataInvalid, match=r"version 2 \(two\) has no column 'x'"):
        read_versions(objects, versions, ["x"])


def test_a_version_that_does_not_hold_its_rows_is_refused() -> None:
    objects, (version,) = stored(one=parquet({"x": [1]}))
    with pytest.raises(TrainingDataInvalid, match="version 1 has 1 rows, 2 were recorded"):
        read_versions(objects, [version.model_copy(update={"rows": 2})], ["x"])


def test_a_version_with_a_changed_value_is_refused_though_no_feature_changed() -> None:
    _, (version,) = stored(one=parquet({"x": [1], "y": [1]}))
    with pytest.raises(TrainingDataInvalid, match="version 1 does not hold the rows"):
        read_versions(Stored({"one": parquet({"x": [1], "y": [2]})}), [version], ["x"])


def test_versions_of_clashing_types_are_refused() -> None:
    objects, versions = stored(one=parquet({"x": [1]}), two=parquet({"x": ["a"]}))
    with pytest.raises(TrainingDataInvalid, match="same types"):
        read_versions(objects, versions, ["x"])


def replaced(name: str, values: Any) -> pa.Table:
    made = table(40)
    return made.set_column(made.schema.get_field_index(name), name, pa.array(values))


def test_rows_without_label_are_left_out() -> None:
    _, rows = rows_of(spec_of("ridge", "regression"), replaced("late", [None, float("nan")] + [1.0, 2.0] * 19))
    assert len(rows) == 38


def test_rows_without_event_time_are_left_out() -> None:
    days = np.datetime64("2024-01-01", "us") + np.arange(40) * np.timedelta64(1, "D")
    made = replaced("at", pa.array(days, mask=np.arange(40) < 5))
    assert len(rows_of(spec_of("ridge", "regression"), made)[1]) == 35


@pytest.mark.parametrize(
    ("task", "name", "values", "cause"),
    [
        ("binary", "late", [None] * 40, "0 of 40 rows have a label"),
        ("binary", "late", [9.0] * 40, r"\(late above 0.5\) has one class only: 1"),
        ("binary", "late", ["x"] * 40, "is string, not a number"),
        ("regression", "late", [1.0] * 19 + [None] * 21, "at least 20 are needed"),
        ("multiclass", "outcome", ["same"] * 40, "one class only: 'same'"),
        ("multiclass", "outcome", [0.5, 1.0] * 20, "has fractions"),
    ],
)
def test_labels_that_cannot_train_are_refused_with_their_cause(
    task: str, name: str, values: list[Any], cause: str
) -> None:
    algorithm = "ridge" if task == "regression" else "logistic_regression"
    typed = pa.array(values, type=pa.float64() if values[0] is None else None)
    with pytest.raises(TrainingDataInvalid, match=cause):
        rows_of(spec_of(algorithm, task), replaced(name, typed))


def test_a_binary_label_with_three_values_is_refused() -> None:
    spec = spec_of("logistic_regression", "binary", label={"column": "outcome"})
    with pytest.raises(TrainingDataInvalid, match="a binary label has two values, 'outcome' has 3"):
        rows_of(spec)


def test_more_classes_than_a_graph_should_have_are_refused() -> None:
    spec = spec_of("logistic_regression", "multiclass", label={"column": "outcome"})
    made = table(400)
    made = made.set_column(made.schema.get_field_index("outcome"), "outcome", pa.array([str(n) for n in range(400)]))
    with pytest.raises(TrainingDataInvalid, match="400 values, more than 200 classes"):
        rows_of(spec, made)


@pytest.mark.parametrize(
    ("values", "classes", "datatype"),
    [
        ([True, False] * 20, [False, True], "BOOL"),
        ([3.0, 1.0] * 20, [1, 3], "INT64"),
        (["no", "yes"] * 20, ["no", "yes"], "BYTES"),
    ],
)
def test_classes_keep_their_own_type(values: list[Any], classes: list[Any], datatype: str) -> None:
    spec = spec_of("logistic_regression", "binary", label={"column": "outcome"})
    features, rows = rows_of(spec, replaced("outcome", values))
    assert rows.classes == classes
    assert [classes[code] for code in rows.label[:2]] == values[:2]
    assert signature(spec, features, rows.classes)["outputs"][0]["datatype"] == datatype


def test_event_time_is_utc_whatever_its_unit() -> None:
    spec = spec_of("ridge", "regression")
    made = table(40)
    zoned = made.column("at").cast(pa.timestamp("ns", tz="America/New_York"))
    features = features_of(spec, CONTRACT)
    rows = to_rows(made.set_column(made.schema.get_field_index("at"), "at", zoned), spec, features, "at")
    expected = to_rows(made, spec, features, "at")
    assert rows.time is not None
    assert expected.time is not None
    assert np.array_equal(rows.time, expected.time)
