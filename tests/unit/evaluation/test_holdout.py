from __future__ import annotations

import numpy as np

from perennial.evaluation.holdout import read_holdout, write_holdout

COLUMNS = {"näme": np.array([1.5, np.nan], np.float32), "city": np.array(["Å", ""], dtype=object)}
TIME = np.array(["2024-01-01T23:59", "2024-01-02T00:00"], dtype="datetime64[us]")


def test_rows_come_back_as_they_were() -> None:
    found = read_holdout(write_holdout(COLUMNS, np.array([0, 1]), TIME))
    assert found.columns["näme"].dtype == np.float32
    assert np.array_equal(found.columns["näme"], COLUMNS["näme"], equal_nan=True)
    assert found.columns["city"].tolist() == ["Å", ""]
    assert found.columns["city"].dtype == object
    assert found.label.tolist() == [0, 1]
    assert found.days is not None
    assert found.days.astype(str).tolist() == ["2024-01-01", "2024-01-02"]


def test_rows_without_time_have_no_days() -> None:
    assert read_holdout(write_holdout(COLUMNS, np.array([0.5, 1.5]), None)).days is None


def test_equal_rows_are_equal_bytes() -> None:
    assert write_holdout(COLUMNS, np.array([0, 1]), TIME) == write_holdout(COLUMNS, np.array([0, 1]), TIME)
