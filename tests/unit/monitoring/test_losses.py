"""The loss of a day: what moves with base rates and rows, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from perennial.monitoring.losses import Scale, day_loss, scale_of
from tests.unit.evaluation.made import rank_auc
from tests.unit.monitoring.answered_made import binary

RNG = np.random.default_rng(2)


def test_binary_is_one_minus_auc_within_the_day() -> None:
    label = RNG.integers(0, 2, size=300)
    score = label + RNG.normal(size=300)
    found = day_loss("binary", Scale(), label, binary(score))
    assert found.loss == pytest.approx(1 - rank_auc(label, score))
    assert found.weight == pytest.approx(label.sum() * (300 - label.sum()) / 300)


@pytest.mark.parametrize(("rows", "rate"), [(20, 0.5), (500, 0.5), (500, 0.05)])
def test_neither_rows_nor_base_rate_move_the_mean_loss(rows: int, rate: float) -> None:
    losses = []
    for _ in range(1500 if rows < 100 else 400):
        label = (RNG.random(rows) < rate).astype(np.int64)
        losses.append(day_loss("binary", Scale(), label, binary(label + RNG.normal(size=rows))).loss)
    known = [one for one in losses if one is not None]
    assert np.mean(known) == pytest.approx(0.2398, abs=4 * np.std(known) / np.sqrt(len(known)))


def test_one_class_has_no_loss_and_it_says_so() -> None:
    assert day_loss("binary", Scale(), np.zeros(9), binary(np.linspace(0, 1, 9))) == (None, 0.0, "one class only")
    assert day_loss("binary", Scale(), np.zeros(0), np.zeros((0, 2))).reason == "no rows"


def test_many_classes_count_as_on_the_held_out_rows() -> None:
    label = np.array([0] * 80 + [1] * 20)
    answers = np.eye(3)[np.where(np.arange(100) % 10 == 0, 2, label)]
    scale = scale_of("multiclass", label, answers)
    assert (scale.shares, scale.errors) == ((0.8, 0.2, 0.0), (0.1, 0.1, 0.0))
    # class 0 is wrong half of the time, class 1 never; there are other shares of them, and a class nobody knows
    day, said = np.array([0, 0, 1, 1, 1, 1, -1]), np.eye(3)[[0, 1, 1, 1, 1, 1, 0]]
    assert day_loss("multiclass", scale, day, said) == pytest.approx((0.4, 6.0, None))
    assert day_loss("multiclass", scale, day[2:], said[2:]).loss == pytest.approx(0.8 * 0.1)
    assert day_loss("multiclass", scale, day[-1:], said[-1:]).reason == "no rows"


def test_a_regressions_errors_are_shares_of_a_large_one() -> None:
    label = np.arange(101.0)
    scale = scale_of("regression", label, np.zeros((101, 1)))
    assert scale.unit == 95.0
    found = day_loss("regression", scale, np.array([19.0, 95.0, 1e9]), np.zeros((3, 1)))
    assert found.loss == pytest.approx((0.2 + 1 + 1) / 3)
    assert day_loss("regression", scale, np.zeros(0), np.zeros((0, 1))).reason == "no rows"
    exact = scale_of("regression", label, label[:, None])
    assert day_loss("regression", exact, np.array([1.0, 2.0]), np.array([[1.0], [3.0]])).loss == 0.5
