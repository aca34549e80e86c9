"""Performance without labels: right where only inputs moved, and withheld where that cannot be relied on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from perennial.evaluation.blocks import Array, blocks_of
from perennial.evaluation.metrics import Scored, points
from perennial.monitoring.estimate import (
    LUCK,
    MIN_PAST,
    Calibrator,
    PastWindow,
    calibrate,
    estimate,
    expected,
    read_calibrator,
    remember,
)
from tests.unit.monitoring.answered_made import binary


def world(count: int, rng: np.random.Generator, *, spread: float = 1.0, shift: float = 0.0) -> tuple[Array, Array]:
    """Labels and miscalibrated answers: inputs move by `spread` and `shift`, what is true given them does not."""
    x = shift + spread * rng.normal(size=count)
    label = (rng.random(count) < 1 / (1 + np.exp(1 - x))).astype(np.int64)
    return label, binary(1 / (1 + np.exp(-2 * x)))


def measured(task: str, label: Array, answers: Array) -> dict[str, float]:
    return points(task, Scored(label, answers, blocks_of(None, len(label))))


def test_where_only_inputs_moved_the_estimate_is_right_and_unchanged_is_not() -> None:
    rng = np.random.default_rng(1)
    label, answers = world(50_000, rng)
    calibrator = calibrate("binary", label, answers)
    assert calibrator is not None
    moved, scores = world(50_000, rng, spread=0.4, shift=0.3)
    truth, guess, before = (
        measured("binary", moved, scores),
        expected("binary", calibrator, scores),
        measured("binary", label, answers),
    )
    assert set(guess) == set(truth)
    for name, value in truth.items():
        assert guess[name] == pytest.approx(value, abs=0.015)
    assert abs(before["auc"] - truth["auc"]) > 0.05


def test_many_classes() -> None:
    rng = np.random.default_rng(2)
    true = rng.dirichlet([1, 1, 1], size=40_000)
    label = np.array([rng.choice(3, p=one) for one in true])
    answers = true**2 / (true**2).sum(axis=1, keepdims=True)
    calibrator = calibrate("multiclass", label[:20_000], answers[:20_000])
    assert calibrator is not None
    guess = expected("multiclass", calibrator, answers[20_000:])
    truth = measured("multiclass", label[20_000:], answers[20_000:])
    assert set(guess) == set(truth)
    for name, value in truth.items():
        assert guess[name] == pytest.approx(value, rel=0.04)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 300), distinct=st.integers(1, 40))
def test_the_curve_is_scikit_learns(seed: int, rows: int, distinct: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, distinct, size=rows) / distinct
    label = (rng.random(rows) < score).astype(np.int64)
    calibrator = calibrate("binary", label, binary(score))
    assert calibrator is not None
    theirs = IsotonicRegression(out_of_bounds="clip").fit(score, label)
    asked = np.linspace(-0.1, 1.1, 200)
    assert calibrator.probabilities(binary(asked))[:, 1] == pytest.approx(theirs.predict(asked), abs=1e-9)


@given(
    likely=st.lists(st.floats(0.01, 0.99), min_size=2, max_size=12),
    scores=st.lists(st.integers(0, 5), min_size=12, max_size=12),
)
def test_the_expected_auc_is_that_of_all_pairs(likely: list[float], scores: list[int]) -> None:
    p, score = np.array(likely), np.array(scores[: len(likely)]) / 5
    # a calibrator that is none: each distinct score has the mean of its rows
    distinct = np.unique(score)
    rates = np.array([p[score == one].mean() for one in distinct])
    given_rates = np.interp(score, distinct, rates)
    wins = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    pairs = given_rates[:, None] * (1 - given_rates)
    found = expected("binary", Calibrator(((distinct, rates),)), binary(score))
    assert found["auc"] == pytest.approx((wins * pairs).sum() / pairs.sum())


def test_a_calibrator_survives_its_json() -> None:
    label, answers = world(5000, np.random.default_rng(4))
    calibrator = calibrate("binary", label, answers)
    assert calibrator is not None
    text = json.dumps(calibrator.to_json())
    assert len(text) < 20_000
    again = read_calibrator(json.loads(text))
    assert again.probabilities(answers) == pytest.approx(calibrator.probabilities(answers), abs=1e-5)


def test_a_regression_has_no_estimate_and_it_says_why() -> None:
    assert calibrate("regression", np.zeros(5), np.zeros((5, 1))) is None
    found = estimate("rmse", None, 3.0, [])
    assert (found["shown"], found["cbpe"], found["unchanged"]) == (False, None, 3.0)
    assert "regression" in found["reason"]


def window(number: int, cbpe: float, realised: float, days: int = 7) -> PastWindow:
    first = np.datetime64("2024-01-01") + number * 7
    return PastWindow(str(first), str(first + days - 1), 1, "auc", cbpe, 0.70, realised)


def test_it_is_withheld_until_it_was_better_on_enough_past_windows() -> None:
    right = [window(number, 0.66, 0.65) for number in range(MIN_PAST)]
    assert not estimate("auc", 0.6, 0.7, right[:-1])["shown"]
    found = estimate("auc", 0.6, 0.7, right)
    assert (found["shown"], found["cbpe"], found["unchanged"]) == (True, 0.6, 0.7)
    assert found["past"] == {
        "windows": MIN_PAST, "cbpe_error": pytest.approx(0.01), "unchanged_error": pytest.approx(0.05),
    }  # fmt: skip
    wrong = [window(number, 0.71, 0.5) for number in range(MIN_PAST)]
    found = estimate("auc", 0.71, 0.7, wrong)
    assert (found["shown"], found["cbpe"]) == (False, None)
    assert "not better" in found["reason"]
    assert found["past"]["cbpe_error"] > found["past"]["unchanged_error"]


def shown(simulations: int, windows: int, *, moved: float, noise: float) -> float:
    """Share of simulations in which the estimate is shown: the truth moves by `moved`, the estimate is off by `noise`;
    outcomes are few enough to be off by .01 themselves.
    """
    rng, count = np.random.default_rng(7), 0
    for _ in range(simulations):
        truth = 0.70 + moved * rng.normal(size=windows)
        seen, guess = truth + 0.01 * rng.normal(size=windows), truth + noise * rng.normal(size=windows)
        past = [window(number, guess[number], seen[number]) for number in range(windows)]
        count += estimate("auc", 0.7, 0.7, past)["shown"]
    return count / simulations


@pytest.mark.parametrize("windows", [MIN_PAST, 12])
def test_where_nothing_changes_it_is_seldom_shown_and_where_inputs_do_it_mostly_is(windows: int) -> None:
    """Where nothing changes the two are equally good, or the estimate is a little worse."""
    assert shown(2000, windows, moved=0.0, noise=0.003) <= LUCK + 2.6 * np.sqrt(LUCK * (1 - LUCK) / 2000)
    assert shown(500, windows, moved=0.05, noise=0.01) >= (0.9 if windows > MIN_PAST else 0.5)
    assert shown(500, windows, moved=0.01, noise=0.05) <= 0.01


def test_windows_that_overlap_count_once_and_other_metrics_not_at_all() -> None:
    past: list[PastWindow] = []
    for number in (2, 0, 1, 0):
        past = remember(past, window(number, 0.6, 0.6, days=14))
    assert [one.first for one in past] == ["2024-01-01", "2024-01-15"]
    assert estimate("brier", 0.1, 0.1, past)["past"]["windows"] == 0


def test_nothing_predicted_nothing_estimated() -> None:
    assert expected("binary", Calibrator(((np.array([0.5]), np.array([0.5])),)), np.empty((0, 2))) == {}


def test_a_class_that_never_came_true_leaves_ranking_undefined() -> None:
    calibrator = calibrate("binary", np.zeros(50, int), binary(np.linspace(0, 1, 50)))
    assert calibrator is not None
    found = expected("binary", calibrator, binary(np.linspace(0, 1, 50)))
    assert set(found) == {"log_loss", "accuracy", "brier", "base_rate"}
    assert found["base_rate"] == 0.0
