from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.errors import TrainingDataInvalid
from perennial.training.data import Rows
from perennial.training.split import first_held_out_day, hash_mask, split


def rows(label: Any, days: Any = None, x: Any = None) -> Rows:
    label = np.asarray(label, dtype=np.int64)
    values = np.arange(len(label)) if x is None else x
    frame = pd.DataFrame({"x": np.asarray(values, np.float32), "c": pd.Series(["a"] * len(label), dtype=object)})
    time = None if days is None else np.datetime64("2024-01-01T12:00", "us") + np.asarray(days) * np.timedelta64(1, "D")
    return Rows(frame, label, time, [f"class {code}" for code in range(int(label.max()) + 1)])


@given(st.lists(st.integers(0, 30), min_size=2, max_size=200).filter(lambda days: len(set(days)) > 1),
       st.floats(0.05, 0.95))  # fmt: skip
def test_whole_days_are_held_out_and_no_other_choice_is_nearer(days: list[int], share: float) -> None:
    stamps = np.datetime64("2024-01-01", "D") + np.array(days) * np.timedelta64(1, "D")
    first = first_held_out_day(stamps, share)
    assert stamps.min() < first <= stamps.max()
    distance = abs((stamps >= first).mean() - share)
    for other in np.unique(stamps)[1:]:
        assert distance <= abs((stamps >= other).mean() - share) + 1e-12


def test_a_day_never_falls_on_both_sides() -> None:
    made = split(rows(np.arange(100) % 2, days=np.arange(100) // 7), 0.2, seed=0)
    assert made.train.time is not None
    assert made.holdout.time is not None
    assert made.train.time.max() < made.holdout.time.min()
    assert made.evidence["by"] == "time"
    assert made.evidence["holdout_from"] == str(made.holdout.time.min().astype("datetime64[D]"))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31 - 1), order=st.randoms(use_true_random=False))
def test_without_time_the_order_of_rows_changes_nothing(seed: int, order: Any) -> None:
    made = rows(np.arange(60) % 3)
    shuffled = list(range(60))
    order.shuffle(shuffled)
    mixed = Rows(made.features.iloc[shuffled].reset_index(drop=True), made.label[shuffled], None, made.classes)
    assert np.array_equal(hash_mask(made, 0.25, seed)[shuffled], hash_mask(mixed, 0.25, seed))


def test_without_time_every_class_is_held_out_in_proportion() -> None:
    label = np.array([0] * 900 + [1] * 90 + [2] * 10)
    mask = hash_mask(rows(label), 0.2, seed=3)
    assert [int(mask[label == code].sum()) for code in range(3)] == [180, 18, 2]


def test_equal_rows_fall_on_the_same_side() -> None:
    made = rows(np.arange(200) % 2, x=np.arange(200) // 10)
    mask = hash_mask(made, 0.3, seed=1)
    sides = {(x, label): set() for x in range(20) for label in range(2)}  # type: ignore[var-annotated]
    for index, held in enumerate(mask):
        sides[(index // 10, index % 2)].add(bool(held))
    assert all(len(side) == 1 for side in sides.values())


def test_another_seed_holds_out_other_rows() -> None:
    made = rows(np.arange(200) % 2)
    assert not np.array_equal(hash_mask(made, 0.2, 1), hash_mask(made, 0.2, 2))


def test_rows_of_a_single_day_are_split_by_content() -> None:
    assert split(rows(np.arange(50) % 2, days=np.zeros(50, int)), 0.2, seed=0).evidence["by"] == "hash"


def test_held_out_days_with_one_class_are_refused() -> None:
    label = np.r_[np.arange(80) % 2, np.zeros(20, int)]
    with pytest.raises(TrainingDataInvalid, match=r"held-out rows \(from 2024-01-09\) have one class only: 'class 0'"):
        split(rows(label, days=np.arange(100) // 10), 0.2, seed=0)


def test_a_class_that_first_appears_in_the_held_out_days_counts_as_an_error() -> None:
    label = np.r_[np.arange(80) % 2, np.arange(20) % 3]
    made = split(rows(label, days=np.arange(100) // 10), 0.2, seed=0)
    assert made.train.classes == ["class 0", "class 1"]
    assert set(made.holdout.label.tolist()) == {-1, 0, 1}
