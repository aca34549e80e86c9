"""Blocks of rows that are drawn together, and the interval that drawing them gives.

Rows of one day share weather and crowds: drawn one by one they look like more evidence than they are (on the flights
the spread of an AUC difference is a third of what it is by days). So whole days are drawn, with replacement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit

Array = np.ndarray[Any, Any]
# Block counts [draws, blocks] in, the statistic [draws] out (NaN where a draw leaves it undefined).
Statistic = Callable[[Array], Array]

# Below this many days their spread says too little; rows are then put into blocks at random, and the record says so.
MIN_DAYS = 6
ROW_BLOCKS = 20
DRAWS = 1000
CONFIDENCE = 0.95
SEED = 20130101


@dataclass(frozen=True)
class Blocks:
    """`of` is the block of each row, 0 … count − 1 [n]."""

    kind: Literal["day", "rows", "entity"]
    of: Array
    count: int

    @cached_property
    def draws(self) -> Array:
        """How often each block is drawn, float64 [DRAWS, count]; the same for every statistic, so differences pair."""
        even = np.full(self.count, 1 / self.count)
        return np.random.default_rng(SEED).multinomial(self.count, even, size=DRAWS).astype(np.float64)

    @cached_property
    def once(self) -> Array:
        """Every block counted once, [1, count]: the rows as they are."""
        return np.ones((1, self.count))

    def totals(self, values: Array) -> Array:
        """Sums of a value per row [n] by block [count]."""
        return np.bincount(self.of, weights=values, minlength=self.count)


def blocks_of(days: Array | None, rows: int) -> Blocks:
    """Days where there are enough of them, else up to 20 random blocks of rows (seeded by position)."""
    if days is not None:
        unique, index = np.unique(days, return_inverse=True)
        if len(unique) >= MIN_DAYS:
            return Blocks("day", index, len(unique))
    count = max(1, min(ROW_BLOCKS, rows))
    shuffled = np.random.default_rng(SEED).permutation(rows)
    return Blocks("rows", shuffled % count, count)


def quotient(above: Array, below: Array) -> Array:
    """`above` / `below`, NaN where `below` is not positive: how a statistic says that a draw leaves it undefined."""
    divided: Array = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return divided


@dataclass(frozen=True)
class Interval:
    """A value with its interval; `low` and `high` are None when the blocks are too few to have one."""

    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        """For evaluation.json."""
        return {"value": self.value, "low": self.low, "high": self.high}


def interval(
    statistic: Statistic,
    blocks: Blocks,
    *,
    confidence: float = CONFIDENCE,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval | None:
    """The two-sided interval of a statistic, within `bounds`; None when the statistic is undefined on the rows.

    value ± t(count − 1) × standard deviation over the draws, widened by √(count / (count − 1)): with as few as 18
    blocks a percentile interval covers too rarely. Source: Efron and Tibshirani, An Introduction to the Bootstrap
    (1993), §12; its coverage is simulated in tests/unit/evaluation.
    """
    value = float(statistic(blocks.once)[0])
    if not np.isfinite(value):
        return None
    found = statistic(blocks.draws)
    found = found[np.isfinite(found)]
    if blocks.count < 2 or len(found) < DRAWS / 2:
        return Interval(value, None, None)
    spread = float(found.std(ddof=1)) * np.sqrt(blocks.count / (blocks.count - 1))
    reach = float(stdtrit(blocks.count - 1, 0.5 + confidence / 2)) * spread
    return Interval(value, float(max(value - reach, bounds[0])), float(min(value + reach, bounds[1])))
