"""Intervals cover however often one looks; a wrong split is found; better and worse are found; few rows stay open.

Constants were fixed beforehand: α = .05 per measure and .01 for the split, at all looks of an experiment together.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from perennial.experiments.analysis import GROUPS, MIN_ENTITIES, ArmRows, balance, quality, spread, value
from perennial.experiments.sequence import imbalance, reach
from tests.unit.experiments.worlds import ALPHA, World, play

# the same entities all along; entities that arrive; few entities with many rows that are much alike
STANDING = World(entities=300, days=20, rate=1.0)
ARRIVING = World(entities=2_000, days=20, rate=0.3, arriving=True)
FEW = World(entities=100, days=20, rate=3.0, alike=1.5)
OTHER = World(entities=300, days=20, rate=1.0, other=True)
NULLS = {"standing": STANDING, "arriving": ARRIVING, "few": FEW, "other": OTHER}


def shares(world: World, metric: str, count: int, seed: int) -> tuple[float, float]:
    """In which shares of experiments any look said better or worse, of quality and of value."""
    rng = np.random.default_rng(seed)
    wrong = np.zeros(2)
    for _ in range(count):
        verdicts = play(rng, world, metric)
        wrong += [any(look[side] in ("better", "worse") for look in verdicts) for side in (0, 1)]
    quality_share, value_share = wrong / count
    return float(quality_share), float(value_share)


def most(count: int) -> float:
    """What α may come to in a simulation of this size: four standard deviations above it."""
    return ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / count)


@pytest.mark.parametrize("other", [False, True], ids=["the same answers", "other answers"])
def test_versions_of_equal_worth_are_seldom_told_apart_however_often_one_looks(other: bool) -> None:
    """Also when they differ, harmlessly: a challenger that sees something else, which tells as much."""
    found = shares(World(entities=300, days=10, rate=1.0, other=other), "brier", 25, seed=1)
    assert max(found) <= most(25)


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("name", "metric", "count"),
    [
        *[(name, "brier", 10_000 if name == "standing" else 2_000) for name in NULLS],
        *[(name, "auc", 300) for name in NULLS],
    ],
)
def test_versions_of_equal_worth_are_told_apart_at_most_as_stated(name: str, metric: str, count: int) -> None:
    found = shares(NULLS[name], metric, count, seed=2)
    assert max(found) <= most(count), found


@pytest.mark.parametrize(("change", "verdict"), [("gain", "better"), ("noise", "worse")])
def test_better_and_worse_models_are_found(change: str, verdict: str) -> None:
    rng = np.random.default_rng(4)
    world = World(entities=2_000, days=3, rate=1.0, gain=1.0 * (change == "gain"), noise=3.0 * (change == "noise"))
    assert play(rng, world, "brier")[-1][0] == verdict


def test_value_is_found_where_quality_is_equal() -> None:
    world = World(entities=2_000, days=3, rate=1.0, more=0.3)
    quality_verdict, value_verdict = play(np.random.default_rng(5), world, "brier")[-1]
    assert (quality_verdict, value_verdict) == ("open", "better")


def test_rows_of_few_entities_are_not_many_entities() -> None:
    """Rows that are copies say as much as their entities; taken for independent they would say 25 times as much."""
    rng = np.random.default_rng(6)
    entity = np.repeat(np.arange(400), 25)

    def arm(seed: int) -> ArmRows:
        label = np.random.default_rng(seed).integers(0, 2, 400)[entity]
        score = np.random.default_rng(seed + 1).random(400)[entity]
        paid = rng.normal(0, 1, 400)[entity]
        return ArmRows(len(entity), 400, label, np.stack([1 - score, score], 1), entity, paid)

    found = value(arm(1), arm(2), ALPHA)
    assert found is not None
    assert found.champion.low is not None
    assert found.champion.value is not None
    error = 1 / math.sqrt(400)
    assert found.champion.value - found.champion.low > 2.5 * error
    assert quality("binary", "auc", arm(1), arm(2), ALPHA).verdict == "open"


def test_too_few_entities_have_no_interval() -> None:
    rng = np.random.default_rng(7)
    entity = np.repeat(np.arange(MIN_ENTITIES - 1), 50)
    label, score = rng.integers(0, 2, len(entity)), rng.random(len(entity))
    few = ArmRows(len(entity), MIN_ENTITIES - 1, label, np.stack([1 - score, score], 1), entity, score)
    found = quality("binary", "auc", few, few, ALPHA)
    assert (found.difference.value, found.difference.low, found.verdict) == (0.0, None, "open")


def test_without_amounts_there_is_no_value() -> None:
    some = ArmRows(2, 2, np.array([0, 1]), np.eye(2), np.array([0, 1]), np.array([np.nan, np.nan]))
    assert value(some, some, ALPHA) is None


def test_the_spread_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(8).normal(0, 2, 20_000)
    sums = values.reshape(GROUPS, -1).sum(axis=1)
    found = spread(lambda counts: counts @ sums / (counts.sum(axis=1) * 100), GROUPS)
    assert found == pytest.approx(2 / math.sqrt(20_000), rel=0.2)


@given(st.floats(1, 1e6), st.floats(1.01, 10))
def test_an_interval_narrows_with_evidence_and_is_never_narrower_than_the_fixed_one(rows: float, factor: float) -> None:
    now = reach(1 / math.sqrt(rows), rows, ALPHA, 1000)
    later = reach(1 / math.sqrt(rows * factor), rows * factor, ALPHA, 1000)
    assert later < now
    assert now > 1.96 / math.sqrt(rows)


# ---- the split


def test_a_right_split_is_seldom_called_wrong_however_often_one_looks() -> None:
    rng = np.random.default_rng(9)
    count, entities = 1_000, 3_000
    looks = np.arange(1, entities + 1)
    wrong = 0
    for _ in range(count):
        challenger = np.cumsum(rng.random(entities) < 0.3)
        seen = zip(looks[99::100].tolist(), challenger[99::100].tolist(), strict=True)
        wrong += any(not balance(total - mine, mine, 0.3).held for total, mine in seen)
    assert wrong / count <= 0.01 + 4 * math.sqrt(0.01 * 0.99 / count)


@pytest.mark.parametrize(("found", "needed"), [(0.52, 20_000), (0.55, 4_000), (0.4, 1_000)])
def test_a_wrong_split_is_found(found: float, needed: int) -> None:
    held = 0
    rng = np.random.default_rng(10)
    for _ in range(200):
        challenger = int(rng.binomial(needed, found))
        held += balance(needed - challenger, challenger, 0.5).held
    assert held <= 200 * 0.05


@given(st.integers(0, 200), st.floats(0.05, 0.95))
def test_the_evidence_of_a_split_averages_to_one(count: int, share: float) -> None:
    """An e-value: under the right split its expectation is 1, whatever the number of entities."""
    expected = math.fsum(
        binom.pmf(c, count, share) * math.exp(imbalance(c, count - c, share)) for c in range(count + 1)
    )
    assert expected == pytest.approx(1, rel=1e-6)
