from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from perennial.evaluation.blocks import Blocks
from perennial.evaluation.ranking import auc, average_precision

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=4, max_size=60)
counts = st.lists(st.integers(0, 3), min_size=4, max_size=4)


@settings(deadline=None)
@given(rows=rows, count=counts)
def test_statistics_under_block_counts_are_those_of_weighted_rows(
    rows: list[tuple[bool, int, int]], count: list[int]
) -> None:
    positive, score, block = (np.array(column) for column in zip(*rows, strict=True))
    blocks, weights = Blocks("day", block, 4), np.array(count)[block]
    drawn = np.array([count], dtype=np.float64)
    for ours, theirs in ((auc, roc_auc_score), (average_precision, average_precision_score)):
        found = float(ours(positive, score.astype(np.float64), blocks)(drawn)[0])
        defined = (weights * positive).sum() > 0 and (ours is average_precision or (weights * ~positive).sum() > 0)
        if defined:
            assert np.isclose(found, theirs(positive, score, sample_weight=weights))
        else:
            assert np.isnan(found)


def test_many_draws_are_each_their_own() -> None:
    rng = np.random.default_rng(0)
    positive, score, blocks = rng.random(500) < 0.3, rng.normal(size=500), Blocks("day", np.arange(500) % 7, 7)
    draws: Any = rng.integers(0, 3, (20, 7)).astype(np.float64)
    for statistic in (auc(positive, score, blocks), average_precision(positive, score, blocks)):
        assert np.allclose(statistic(draws), [float(statistic(draw[None])[0]) for draw in draws])
