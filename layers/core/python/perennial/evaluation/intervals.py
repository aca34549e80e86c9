"""Intervals from a bootstrap of whole days: rows of one day clump, so days are what is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from perennial.evaluation.metrics import Weighted

Array = np.ndarray[Any, Any]

DRAWS = 400
CONFIDENCE = 0.95
SEED = 20130101


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; low and high are None when fewer than two blocks were seen."""

    value: float
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def block_interval(metric: Weighted, blocks: Array) -> Interval:
    """The interval of a metric over rows [n] that belong to `blocks` [n].

    value ± t(blocks − 1) × standard deviation over 400 seeded draws of blocks, widened by √(D/(D−1)) for the draw's
    own shrinkage (Efron and Tibshirani 1993, §5.3 and §12.4). Coverage is simulated in tests/unit/evaluation.
    """
    _, index = np.unique(blocks, return_inverse=True)
    count = int(index.max()) + 1
    value = metric(np.ones(len(blocks)))
    if count < 2:
        return Interval(value, None, None)
    draws = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    found = np.array([metric(draw[index].astype(np.float64)) for draw in draws])
    found = found[np.isfinite(found)]
    if len(found) < DRAWS // 2:
        return Interval(value, None, None)
    spread = float(found.std(ddof=1)) * np.sqrt(count / (count - 1))
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * spread
    return Interval(value, value - reach, value + reach)
