"""Statistics of a ranking under block counts: area under the ROC curve, average precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from perennial.evaluation.blocks import Blocks, Statistic, quotient

Array = np.ndarray[Any, Any]

# Draws × rows per pass of the average precision: bounds memory at about 30 MB per array.
PASS = 4_000_000


def auc(positive: Array, score: Array, blocks: Blocks) -> Statistic:
    """The area under the ROC curve of `score` [n] for the rows where `positive` [n] is true; ties count one half.

    Rows of block a enter a draw w_a times, so the wins of positives over negatives are Σ w_a w_b wins[a, b]: after one
    table of blocks × blocks, a draw costs nothing. Source: DeLong et al. 1988 (the Mann–Whitney form).
    """
    wins = np.zeros((blocks.count, blocks.count))
    winners, winner_blocks = score[positive], blocks.of[positive]
    for block in range(blocks.count):
        losers = np.sort(score[~positive & (blocks.of == block)])
        below = np.searchsorted(losers, winners, "left") + np.searchsorted(losers, winners, "right")
        wins[:, block] = np.bincount(winner_blocks, weights=below / 2, minlength=blocks.count)
    positives, negatives = blocks.totals(positive), blocks.totals(~positive)

    def statistic(counts: Array) -> Array:
        pairs = (counts @ positives) * (counts @ negatives)
        won = np.einsum("da,da->d", counts @ wins, counts)
        return quotient(won, pairs)

    return statistic


def average_precision(positive: Array, score: Array, blocks: Blocks) -> Statistic:
    """Average precision: precision at each distinct score, weighted by the recall gained there (as scikit-learn's)."""
    order = np.argsort(-score, kind="stable")
    hit, block = positive[order].astype(np.float64), blocks.of[order]
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)

    def some(counts: Array) -> Array:
        weights = counts[:, block]
        hits = np.cumsum(weights * hit, axis=1)[:, ends]
        seen = np.cumsum(weights, axis=1)[:, ends]
        precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
        gained = (np.diff(hits, axis=1, prepend=0.0) * precision).sum(axis=1)
        return quotient(gained, hits[:, -1])

    def statistic(counts: Array) -> Array:
        step = max(1, PASS // max(1, len(order)))
        return np.concatenate([some(counts[start : start + step]) for start in range(0, len(counts), step)])

    return statistic
