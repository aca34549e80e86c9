"""Whether a refitted model still is the one that was evaluated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.metrics import METRICS, Scored, measure
from perennial.evaluation.refit import MOST_MOVED, Agreement, agreement, moved
from perennial.training.candidate import both_sides
from perennial.training.pipeline import fit
from perennial.training.scoring import predict
from perennial.training.split import split
from tests.unit.evaluation.made import World
from tests.unit.training.made import ALGORITHMS, rows_of, spec_of, table


def probabilities(score: Any) -> Any:
    second = 1 / (1 + np.exp(-score))
    return np.stack([1 - second, second], axis=1)


def agreed(refitted: Any, seed: int = 1, task: str = "binary") -> Agreement:
    ours, _ = World().scored(18, seed)
    evaluated = Scored(ours.label, probabilities(ours.answers[:, 1]), ours.blocks)
    return agreement(task, "auc", evaluated, refitted(evaluated.answers), measure(task, evaluated))


def test_the_same_answers_agree() -> None:
    found = agreed(lambda answers: answers)
    assert found.passed
    assert [check["name"] for check in found.checks] == ["scores", "auc"]
    assert found.checks[0]["value"] == 0


@pytest.mark.parametrize(
    ("wrong", "check", "words"),
    [
        (lambda answers: answers[:, ::-1], "auc", "auc is 0.3"),
        (lambda answers: np.random.default_rng(1).permutation(answers), "auc", "must be at least 0.6"),
        (lambda answers: probabilities(np.log(answers[:, 1] / answers[:, 0]) + 0.5), "scores", "at most 10% may"),
        (lambda answers: np.full_like(answers, 0.5), "scores", "more or fewer of the held-out rows lie above it"),
        (lambda answers: np.full_like(answers, np.nan), "scores", "not all finite"),
    ],
    ids=["turned round", "shuffled", "higher by half a unit", "constant", "not numbers"],
)
def test_a_fit_that_went_wrong_is_told(wrong: Any, check: str, words: str) -> None:
    found = agreed(wrong)
    assert not found.passed
    assert check in [one["name"] for one in found.checks if not one["passed"]]
    assert words in found.reason


@pytest.mark.parametrize(("algorithm", "task"), ALGORITHMS)
def test_honest_refits_agree(algorithm: str, task: str) -> None:
    """The null: more rows of the same source, fitted the same way, by every algorithm and for every task."""
    spec = spec_of(algorithm, task)
    features, rows = rows_of(spec, table(3000))
    sides = split(rows, 0.2, 1)
    metric = next(iter(METRICS[task]))
    days = None if sides.holdout.time is None else sides.holdout.time.astype("datetime64[D]")
    with threadpool_limits(limits=1):
        one, other = (
            predict(fit(spec, features, side.features, side.label, 7), sides.holdout.features, task)
            for side in (sides.train, both_sides(sides))
        )
    evaluated = Scored(sides.holdout.label, one, blocks_of(days, len(sides.holdout)))
    found = agreement(task, metric, evaluated, other, measure(task, evaluated))
    assert found.passed, found.reason
    assert found.checks[0]["value"] < MOST_MOVED


def test_moved_is_the_share_of_rows_that_change_sides_at_the_worst_threshold() -> None:
    assert moved(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.1, 0.2, 0.3, 0.9])) == pytest.approx(0.25)
    assert moved(np.zeros(5), np.ones(7)) == 1
