"""Predicted against observed: whether probabilities come true as often as they say, and values on average."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from perennial.evaluation.blocks import CONFIDENCE, MIN_DAYS, Array, Blocks
from perennial.evaluation.metrics import mean
from perennial.monitoring.answered import UNBOUNDED, Answered, day_blocks, said

BINS = 10


def calibration(task: str, rows: Answered, *, bins: int = BINS, by_days: bool = True) -> list[dict[str, Any]]:
    """Up to `bins` bins of equal size by what was predicted, in order; equal predictions share a bin.

    Binary: the probability of the second class beside the share that it was; multiclass: that of the likeliest class
    beside how often it was the true one; regression: the predicted value beside the mean label. Intervals are by days;
    of shares, where there are too few days, by Wilson (rows taken as independent); else there is none.
    """
    if not len(rows):
        return []
    predicted, observed = _pairs(task, rows)
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1]))
    of = np.searchsorted(edges, predicted, "right")
    blocks = day_blocks(rows.days)
    daily = by_days and blocks.count >= MIN_DAYS
    told = []
    for number in np.unique(of):
        chosen = of == number
        seen = observed[chosen]
        value = float(seen.mean())
        low, high = _by_days(seen, blocks, chosen, task) if daily else (None, None)
        if low is None and not daily and task != "regression":
            low, high = wilson(value, len(seen))
        told.append(
            {"predicted": float(predicted[chosen].mean()), "observed": value, "rows": len(seen),
             "low": low, "high": high}
        )  # fmt: skip
    return told


def wilson(share: float, rows: int) -> tuple[float, float]:
    """The 95 % interval of a share of independent rows. Source: Wilson, JASA 22 (1927)."""
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def _pairs(task: str, rows: Answered) -> tuple[Array, Array]:
    if task == "regression":
        return rows.answers[:, 0], rows.label.astype(np.float64)
    if task == "binary":
        return rows.answers[:, 1], (rows.label == 1).astype(np.float64)
    return rows.answers.max(axis=1), (rows.answers.argmax(axis=1) == rows.label).astype(np.float64)


def _by_days(seen: Array, blocks: Blocks, chosen: Array, task: str) -> tuple[float | None, float | None]:
    days = day_blocks(blocks.of[chosen])
    found = said(mean(seen, days), days, UNBOUNDED if task == "regression" else (0.0, 1.0))
    return (None, None) if found is None else (found.low, found.high)
