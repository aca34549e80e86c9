"""Simulated scored rows: days differ in base rate and in how well each model does on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.metrics import Scored

Array = np.ndarray[Any, Any]
EPOCH = np.datetime64("2024-01-01", "D")


@dataclass(frozen=True)
class World:
    """A source of days. `separation` is how far apart the classes lie in each model's score (in its own noise);
    `shared` is how much of the two models' noise is the same."""

    separation: tuple[float, float] = (0.6, 0.6)
    day_spread: float = 0.1
    base_spread: float = 0.6
    shared: float = 0.9
    rows: int = 300

    def days(self, count: int, seed: int) -> tuple[Array, Array, Array]:
        """Labels [n], the two models' scores [2, n], days [n] of `count` simulated days."""
        rng = np.random.default_rng(seed)
        day = np.repeat(np.arange(count), self.rows)
        rate = 1 / (1 + np.exp(-(-1.2 + self.base_spread * rng.normal(size=count))))
        label = (rng.random(len(day)) < rate[day]).astype(np.int64)
        common = rng.normal(size=len(day))
        scores = []
        for separation in self.separation:
            quality = separation + self.day_spread * rng.normal(size=count)
            own = rng.normal(size=len(day))
            noise = np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * own
            scores.append(quality[day] * label + noise)
        return label, np.stack(scores), EPOCH + day

    def scored(self, count: int, seed: int) -> tuple[Scored, Scored]:
        """Both models on the same rows."""
        label, scores, days = self.days(count, seed)
        blocks = blocks_of(days, len(label))
        first, second = (Scored(label, np.stack([-score, score], axis=1), blocks) for score in scores)
        return first, second


def rank_auc(label: Array, score: Array) -> float:
    """The area under the ROC curve, by ranks."""
    order = np.argsort(score)
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    positive = label == 1
    count = positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(label) - count)))
