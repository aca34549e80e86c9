"""Predicted against observed."""

from __future__ import annotations

import numpy as np
import pytest

from perennial.monitoring.calibration import BINS, calibration, wilson
from tests.unit.monitoring.answered_made import EPOCH, answered, binary

RNG = np.random.default_rng(3)
COUNT = 20_000
DAYS = EPOCH + np.arange(COUNT) % 25
LIKELY = RNG.random(COUNT)


def test_probabilities_that_come_true_lie_within_their_intervals() -> None:
    label = (RNG.random(COUNT) < LIKELY).astype(np.int64)
    found = calibration("binary", answered(label, binary(LIKELY), DAYS))
    assert len(found) == BINS
    assert sum(one["rows"] for one in found) == COUNT
    assert [one["predicted"] for one in found] == sorted(one["predicted"] for one in found)
    assert sum(one["low"] <= one["predicted"] <= one["high"] for one in found) >= BINS - 2


def test_probabilities_that_do_not_come_true_lie_outside() -> None:
    label = (RNG.random(COUNT) < LIKELY**2).astype(np.int64)
    found = calibration("binary", answered(label, binary(LIKELY), DAYS))
    assert sum(one["high"] < one["predicted"] for one in found) >= BINS - 3


def test_without_days_shares_have_wilsons_interval() -> None:
    label = (RNG.random(COUNT) < LIKELY).astype(np.int64)
    for one in (
        calibration("binary", answered(label, binary(LIKELY), np.full(COUNT, EPOCH)))[0],
        calibration("binary", answered(label, binary(LIKELY), DAYS), by_days=False)[0],
    ):
        assert (one["low"], one["high"]) == wilson(one["observed"], one["rows"])


def test_wilsons_interval() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_equal_predictions_share_a_bin() -> None:
    score = np.where(np.arange(1000) < 900, 0.1, 0.6)
    found = calibration("binary", answered(np.arange(1000) % 2, binary(score), EPOCH + np.arange(1000) % 10))
    assert [(one["predicted"], one["rows"]) for one in found] == [(pytest.approx(0.1), 900), (pytest.approx(0.6), 100)]


def test_of_many_classes_the_likeliest_is_asked_and_of_a_regression_the_value() -> None:
    answers = RNG.dirichlet([1, 1, 1], size=COUNT)
    label = np.array([RNG.choice(3, p=one) for one in answers])
    for one in calibration("multiclass", answered(label, answers, DAYS)):
        assert abs(one["observed"] - one["predicted"]) < 0.05
    value = RNG.normal(size=(COUNT, 1))
    found = calibration("regression", answered(2 * value[:, 0] + RNG.normal(size=COUNT), value, DAYS))
    assert found[0]["observed"] == pytest.approx(2 * found[0]["predicted"], abs=0.1)
    assert found[0]["low"] < found[0]["observed"] < found[0]["high"]
    few = calibration("regression", answered(value[:50, 0], value[:50], np.full(50, EPOCH)))
    assert few[0]["low"] is None


def test_nothing_comes_of_nothing() -> None:
    assert calibration("binary", answered(np.empty(0, int), np.empty((0, 2)), np.empty(0, "datetime64[D]"))) == []
