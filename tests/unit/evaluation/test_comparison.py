"""The comparison's proof: how often it refuses equal, harmless and harmful challengers.

Constants were fixed before the simulations ran; the world is set so that the difference of two AUCs over 18 days has
about the spread seen on the flights (standard error .002 to .004).
"""

from __future__ import annotations

import numpy as np
import pytest

from perennial.catalog.model import Comparison
from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.comparison import compare, not_comparable
from perennial.evaluation.metrics import Scored
from tests.unit.evaluation.made import World, rank_auc

DAYS = 18
MARGIN = 0.01
# Passing when worse by exactly the margin: 5 % by design, the bootstrap's error on top.
MOST_AT_MARGIN = 0.08
LEAST_EQUAL = 0.90
LEAST_HARMLESS = 0.70  # worse by a fifth of the margin
MOST_HARMFUL = 0.005  # worse by three margins
SCATTER = 0.06

EQUAL = World(separation=(0.6, 0.6), day_spread=0.02, shared=0.97)


def worse_by(difference: float) -> World:
    """The challenger's AUC is lower by about `difference`: binormal, d AUC / d separation ≈ .258 at .6."""
    return World(separation=(0.6 - difference / 0.258, 0.6), day_spread=0.02, shared=0.97)


def passes(world: World, simulations: int, margin: float = MARGIN) -> float:
    comparison = Comparison(metric="auc", margin=margin)
    return (
        sum(compare("binary", comparison, *world.scored(DAYS, seed=s)).passed for s in range(simulations)) / simulations
    )


def true_difference(world: World) -> float:
    label, scores, _ = world.days(4000, seed=999_999)
    return rank_auc(label, scores[0]) - rank_auc(label, scores[1])


def at_margin(simulations: int) -> float:
    world = worse_by(MARGIN)
    return passes(world, simulations, margin=-true_difference(world))


def test_equal_models_pass() -> None:
    assert passes(EQUAL, 120) >= LEAST_EQUAL - SCATTER


def test_a_harmless_difference_mostly_passes() -> None:
    assert passes(worse_by(MARGIN / 5), 120) >= LEAST_HARMLESS - SCATTER


def test_a_difference_of_the_margin_rarely_passes() -> None:
    assert at_margin(120) <= MOST_AT_MARGIN + SCATTER


def test_a_harmful_difference_is_refused() -> None:
    assert passes(worse_by(3 * MARGIN), 120) <= MOST_HARMFUL


@pytest.mark.full
def test_error_rates_hold_in_thousands_of_simulations() -> None:
    assert passes(EQUAL, 2000) >= LEAST_EQUAL
    assert passes(worse_by(MARGIN / 5), 2000) >= LEAST_HARMLESS
    assert at_margin(2000) <= MOST_AT_MARGIN
    assert passes(worse_by(3 * MARGIN), 2000) <= MOST_HARMFUL


def test_a_model_against_itself_differs_by_nothing() -> None:
    ours, _ = EQUAL.scored(DAYS, seed=1)
    found = compare("binary", Comparison(metric="auc", margin=0.001), ours, ours)
    assert found.passed
    assert found.difference is not None
    assert (found.difference.low, found.difference.value, found.difference.high) == (0, 0, 0)


def test_smaller_is_better_where_it_is() -> None:
    label = np.arange(200) % 2
    good = np.where(label[:, None] == [0, 1], 0.8, 0.2)
    blocks = blocks_of(None, 200)
    comparison = Comparison(metric="log_loss", margin=0.01)
    better, worse = Scored(label, good, blocks), Scored(label, np.full((200, 2), 0.5), blocks)
    assert compare("binary", comparison, better, worse).passed
    refused = compare("binary", comparison, worse, better)
    assert not refused.passed
    assert "worse than the margin allows" in refused.reason


def test_too_little_evidence_is_refused_and_says_so() -> None:
    ours, theirs = World(rows=10, shared=0.3).scored(DAYS, seed=4)
    found = compare("binary", Comparison(metric="auc", margin=0.01), ours, theirs)
    assert not found.passed
    assert "do not show" in found.reason or "worse than" in found.reason


def test_a_metric_that_is_undefined_is_not_comparable() -> None:
    blocks = blocks_of(None, 50)
    rows = Scored(np.zeros(50, int), np.full((50, 2), 0.5), blocks)
    found = compare("binary", Comparison(metric="auc"), rows, rows)
    assert (found.passed, found.to_json()["comparable"]) == (False, False)


def test_a_champion_that_cannot_be_asked_fails_the_gate() -> None:
    found = not_comparable(Comparison(metric="auc"), "it takes 'x'")
    assert not found.passed
    assert "it takes 'x'" in found.reason
