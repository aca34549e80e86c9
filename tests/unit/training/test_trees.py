from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perennial.training.trees import Tree, floor32, next32, splits_of

finite = st.floats(min_value=-1e38, max_value=1e38, allow_nan=False)
narrow = st.floats(width=32, allow_nan=False)


@given(threshold=finite, value=narrow)
def test_a_lowered_threshold_sends_every_float32_the_same_way(threshold: float, value: float) -> None:
    lowered = floor32(np.array([threshold]))[0]
    assert (value <= threshold) == (np.float32(value) <= lowered)


@given(threshold=finite)
def test_the_values_beside_a_threshold_fall_on_its_two_sides(threshold: float) -> None:
    left = floor32(np.array([threshold]))
    right = next32(left)
    assert float(left[0]) <= threshold < float(right[0])


def test_infinite_thresholds_stay() -> None:
    assert np.isposinf(floor32(np.array([np.inf]))[0])


def stump_of_stumps() -> Tree:
    return Tree(
        feature=np.array([0, 1, 0, 0, 0]),
        threshold=np.array([5.0, 2.0, 0.0, 0.0, 0.0]),
        left=np.array([1, 2, 0, 0, 0]),
        right=np.array([4, 3, 0, 0, 0]),
        leaf=np.array([False, False, True, True, True]),
    )


def test_splits_know_the_region_from_which_they_are_reached() -> None:
    splits = splits_of([stump_of_stumps()], width=2, most=10)
    assert splits.threshold.tolist() == [5.0, 2.0]
    assert splits.upper.tolist() == [[np.inf, np.inf], [5.0, np.inf]]
    assert np.isneginf(splits.lower).all()


def test_too_many_splits_are_thinned_evenly() -> None:
    splits = splits_of([stump_of_stumps()] * 10, width=2, most=5)
    assert len(splits.threshold) == 5


def test_a_model_without_splits_has_none() -> None:
    assert len(splits_of([], width=3, most=5).feature) == 0
