"""Gains that are believed and gains that are not; how often either is wrong, by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perennial.catalog.model import Comparison
from perennial.evaluation.blocks import Interval
from perennial.evaluation.comparison import Compared, compare
from perennial.evaluation.metrics import METRICS, Scored
from perennial.evaluation.plausible import plausible_gate
from tests.unit.evaluation.made import World

DAYS = 18


def compared(difference: float, low: float | None = None, metric: str = "auc") -> Compared:
    found = Interval(difference, difference - 0.01 if low is None else low, difference + 0.01)
    return Compared(metric, 0.01, passed=True, reason="", difference=found)


def gate(difference: float, now: float, then: float | None, gain: float = 0.5, **more: Any) -> dict[str, Any]:
    comparison = Comparison(metric="auc", gain=gain)
    return plausible_gate("binary", comparison, compared(difference, **more), now, then, now + difference)


def test_a_leak_is_not_believed() -> None:
    found = gate(0.27, now=0.67, then=0.69)
    assert (found["name"], found["passed"], found["threshold"]) == ("auc.plausible", False, 0.5)
    # (.94 − .69) / (1 − .69) is more than (.26 / .33)
    assert found["value"] == pytest.approx(0.26 / 0.33)
    assert (
        "takes away 79% of what the champion lacks of a perfect auc, more than the 50% that is believed"
        in (found["reason"])
    )


def test_a_champion_that_has_decayed_may_be_beaten_by_far() -> None:
    assert not gate(0.27, now=0.60, then=None)["passed"]
    assert gate(0.27, now=0.60, then=0.85)["passed"]


def test_who_says_so_believes_any_gain() -> None:
    assert gate(0.33, now=0.67, then=0.67, gain=1)["passed"]


def test_what_chance_may_have_added_does_not_count() -> None:
    assert gate(0.27, now=0.67, then=0.67, low=0.1)["passed"]


def test_a_worse_challenger_gains_nothing() -> None:
    found = gate(-0.1, now=0.7, then=0.7)
    assert (found["passed"], found["value"]) == (True, 0.0)


def test_errors_have_zero_as_their_best() -> None:
    comparison = Comparison(metric="rmse")
    for error, passed in ((6.0, True), (4.0, False)):
        found = plausible_gate("regression", comparison, compared(10 - error, metric="rmse"), 10.0, 10.0, error)
        assert found["passed"] == passed, error


def test_a_perfect_champion_leaves_nothing_to_gain() -> None:
    assert gate(0.0, now=1.0, then=1.0)["passed"]


def refused(world: World, seeds: int) -> float:
    """The share of comparisons whose gain is not believed; the champion's past is another draw of days."""
    found = []
    for seed in range(seeds):
        ours, theirs = world.scored(DAYS, seed=seed)
        past = value(world.scored(DAYS, seed=10_000 + seed)[1])
        comparison = Comparison(metric="auc")
        verdict = compare("binary", comparison, ours, theirs)
        found.append(not plausible_gate("binary", comparison, verdict, value(theirs), past, value(ours))["passed"])
    return float(np.mean(found))


def value(scored: Scored) -> float:
    return float(METRICS["binary"]["auc"].prepare(scored)(scored.blocks.once)[0])


def test_equal_models_and_honest_gains_are_believed_and_leaks_are_not() -> None:
    # AUC .66 against .66; .76 against .66, as a very good new column gives; .96 against .66
    assert refused(World(), 40) == 0
    assert refused(World(separation=(1.0, 0.6)), 40) == 0
    assert refused(World(separation=(2.5, 0.6)), 40) == 1
    # few rows, where chance is greatest
    assert refused(World(rows=15), 40) == 0


@pytest.mark.full
def test_the_same_in_thousands_of_simulations() -> None:
    assert refused(World(), 1000) == 0
    assert refused(World(rows=15, shared=0.3), 1000) <= 0.001
    assert refused(World(separation=(1.0, 0.6)), 1000) == 0
    assert refused(World(separation=(2.5, 0.6)), 1000) >= 0.999
