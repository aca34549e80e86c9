"""The interval's proof: how often it covers the truth when days clump. Constants were fixed before simulating."""

from __future__ import annotations

import numpy as np
import pytest

from perennial.evaluation.blocks import MIN_DAYS, ROW_BLOCKS, blocks_of, interval
from perennial.evaluation.metrics import METRICS, Scored
from tests.unit.evaluation.made import EPOCH, World, rank_auc

DAYS = 18
# A 95 % interval may cover in 92 to 98 % of simulations; few simulations scatter by ± 3 % more.
LEAST, MOST = 0.92, 0.98
SCATTER = 0.03
CLUMPED = World(separation=(0.6, 0.6), day_spread=0.3, base_spread=0.8, rows=120)


def coverage(simulations: int, *, by_days: bool) -> float:
    label, scores, _ = CLUMPED.days(6000, seed=1)
    truth = rank_auc(label, scores[0])
    covered = 0
    for seed in range(simulations):
        label, scores, days = CLUMPED.days(DAYS, seed=1000 + seed)
        blocks = blocks_of(days if by_days else None, len(label))
        answers = np.stack([-scores[0], scores[0]], axis=1)
        found = interval(METRICS["binary"]["auc"].prepare(Scored(label, answers, blocks)), blocks)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    return covered / simulations


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    assert LEAST - SCATTER <= coverage(300, by_days=True) <= MOST + SCATTER


@pytest.mark.full
def test_the_interval_covers_the_truth_as_often_as_it_says_in_thousands_of_simulations() -> None:
    assert LEAST <= coverage(4000, by_days=True) <= MOST


def test_drawing_rows_instead_of_days_would_cover_too_rarely() -> None:
    assert coverage(300, by_days=False) < LEAST - SCATTER


def test_days_are_blocks_when_there_are_enough() -> None:
    days = EPOCH + np.arange(MIN_DAYS * 10) // 10
    assert (blocks_of(days, len(days)).kind, blocks_of(days, len(days)).count) == ("day", MIN_DAYS)
    few = blocks_of(days[:20], 20)
    assert (few.kind, few.count) == ("rows", ROW_BLOCKS)


def test_rows_without_days_are_spread_over_blocks() -> None:
    blocks = blocks_of(None, 1000)
    assert np.bincount(blocks.of).tolist() == [50] * ROW_BLOCKS
    assert np.array_equal(blocks.of, blocks_of(None, 1000).of)
    assert blocks_of(None, 3).count == 3


def test_a_single_row_has_a_value_and_no_interval() -> None:
    blocks = blocks_of(None, 1)
    found = interval(lambda counts: counts.sum(axis=1), blocks)
    assert found is not None
    assert (found.value, found.low, found.high) == (1.0, None, None)


def test_a_statistic_that_is_undefined_has_no_interval() -> None:
    assert interval(lambda counts: np.full(len(counts), np.nan), blocks_of(None, 10)) is None
