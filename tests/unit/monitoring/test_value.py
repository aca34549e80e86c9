"""What predictions were worth."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from perennial.catalog.monitor import Value
from perennial.monitoring.value import matrix_worth, value
from tests.unit.monitoring.answered_made import EPOCH, answered, binary

MATRIX = Value(matrix={"true": {"true": 10.0, "false": -2.5}, "false": {"true": -4.0}}, threshold=0.25)
ROWS = answered(
    np.tile([1, 1, 0, 0], 100), binary(np.tile([0.25, 0.2, 0.7, 0.1], 100)), EPOCH + np.arange(400) // 40
)  # fmt: skip


def test_the_matrix_says_what_each_row_is_worth() -> None:
    assert matrix_worth("binary", ROWS, MATRIX)[:4].tolist() == [10.0, -2.5, -4.0, 0.0]
    found = value("binary", ROWS, unit="EUR", spec=MATRIX)
    assert found is not None
    (version,) = found["versions"]
    assert (found["unit"], found["of"], found["rows"]) == ("EUR", ["matrix"], 400)
    assert (version["total"], version["mean"], version["rows"]) == (350.0, 0.875, 400)
    assert version["low"] == pytest.approx(version["high"])  # every day is alike
    assert [one["total"] for one in found["by_day"]] == [35.0] * 10
    json.dumps(found, allow_nan=False)


def test_amounts_alone_count_where_there_are_any_and_the_others_are_counted() -> None:
    amounts = np.where(np.arange(400) % 4 == 0, 3.0, np.nan)
    found = value("binary", replace(ROWS, amounts=amounts), unit="minutes")
    assert found is not None
    assert (found["of"], found["rows"], found["missing"]) == (["amounts"], 100, {"amount": 300, "class": 0})
    assert (found["versions"][0]["total"], found["versions"][0]["mean"]) == (300.0, 3.0)


def test_an_amount_comes_on_top_of_the_matrix() -> None:
    amounts = np.where(np.arange(400) % 4 == 0, 3.0, np.nan)
    found = value("binary", replace(ROWS, amounts=amounts), unit="EUR", spec=MATRIX)
    assert found is not None
    assert (found["of"], found["versions"][0]["total"]) == (["matrix", "amounts"], 650.0)
    assert found["missing"] == {"amount": 300, "class": 0}


def test_versions_are_told_apart() -> None:
    rows = replace(ROWS, versions=np.where(np.arange(400) % 4 < 2, 1, 2))
    found = value("binary", rows, unit="EUR", spec=MATRIX)
    assert found is not None
    assert [(one["version"], one["total"]) for one in found["versions"]] == [(1, 750.0), (2, -400.0)]
    days = [(str(EPOCH + day), version, worth) for day in range(10) for version, worth in ((1, 75.0), (2, -40.0))]
    assert [(one["day"], one["version"], one["total"]) for one in found["by_day"]] == days


def test_classes_are_named_as_the_spec_writes_them_and_an_unknown_one_is_missing() -> None:
    spec = Value(matrix={"7": {"7": 1.0, "9": -1.0}, "9": {"9": 5.0}})
    rows = answered(np.array([0, 0, 1, -1]), np.array([[0.9, 0.1], [0.2, 0.8], [0, 1], [1, 0]]), EPOCH + np.arange(4))
    assert matrix_worth("multiclass", rows, spec, [7, 9]).tolist() == [1.0, -1.0, 5.0, 0.0]
    found = value("multiclass", rows, unit="EUR", spec=spec, classes=[7, 9])
    assert found is not None
    assert (found["rows"], found["missing"]["class"], found["versions"][0]["low"]) == (3, 1, None)
    assert "3 days" in found["intervals"]["missing"]


def test_without_matrix_and_amounts_there_is_nothing_to_say() -> None:
    assert value("binary", ROWS, unit=None) is None


def test_a_mean_by_days_is_known_less_well_than_one_by_rows() -> None:
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(30), 50)
    amounts = rng.normal(size=30)[day] + rng.normal(size=1500)
    rows = replace(answered(np.zeros(1500, int), binary(rng.random(1500)), EPOCH + day), amounts=amounts)
    found = value("binary", rows, unit="EUR")
    assert found is not None
    (version,) = found["versions"]
    assert version["high"] - version["low"] > 3 * 2 * 1.96 * amounts.std() / np.sqrt(1500) / 1.5
    assert version["low"] <= 0.0 <= version["high"]
