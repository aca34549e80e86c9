"""Simulated predictions with outcomes: days differ in base rate, in rows and in how well the model does on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.monitoring.answered import Answered

Array = np.ndarray[Any, Any]
EPOCH = np.datetime64("2024-01-01", "D")


@dataclass(frozen=True)
class Days:
    """A source of days of a binary task. `separation` is how far apart the classes lie in the score, in its own noise,
    with `day_spread` from day to day, of which `memory` is left on the next day; base rates move by `base_spread` (in
    log odds, with a memory of .95, so that they wander for weeks); `rows` on average, within a factor of 2.
    """

    separation: float = 0.8
    day_spread: float = 0.1
    memory: float = 0.0
    base_spread: float = 0.6
    rows: int = 200

    def draw(self, count: int, rng: np.random.Generator, *, harm_from: int = 0, harm: float = 0.0) -> Answered:
        """`count` days; from day `harm_from` on the classes lie `harm` closer together."""
        quality = self.separation + self.day_spread * wandering(count, self.memory, rng)
        quality[harm_from:] -= harm
        rate = 1 / (1 + np.exp(-(-1.2 + self.base_spread * wandering(count, 0.95, rng))))
        sizes = np.maximum(2, (self.rows * 2 ** rng.uniform(-1, 1, size=count)).astype(int))
        day = np.repeat(np.arange(count), sizes)
        label = (rng.random(len(day)) < rate[day]).astype(np.int64)
        score = quality[day] * label + rng.normal(size=len(day))
        likely = 1 / (1 + np.exp(-(self.separation * (score - self.separation / 2) - 1.2)))
        return answered(label, np.stack([1 - likely, likely], axis=1), EPOCH + day)


def wandering(count: int, memory: float, rng: np.random.Generator) -> Array:
    """A stationary series [count] of standard normals, of which `memory` is left after a day."""
    steps = rng.normal(size=count)
    found = np.empty(count)
    last = rng.normal()
    for day, one in enumerate(steps):
        last = memory * last + np.sqrt(1 - memory**2) * one
        found[day] = last
    return found


def answered(label: Array, answers: Array, days: Array, versions: Array | None = None) -> Answered:
    """Rows of one version, without amounts."""
    count = len(label)
    version = np.ones(count, dtype=np.int64) if versions is None else versions
    return Answered(label, answers, days, version, np.full(count, np.nan))


def binary(score: Array) -> Array:
    """Answers [n, 2] with `score` [n] as the probability of the second class."""
    return np.stack([1 - score, score], axis=1)
