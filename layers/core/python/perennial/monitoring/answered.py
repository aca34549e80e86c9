"""Predictions whose outcomes are known, as arrays, and what may be said of them by whole days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perennial.evaluation.blocks import MIN_DAYS, Array, Blocks, Interval, Statistic, interval
from perennial.evaluation.metrics import Scored

UNBOUNDED = (-np.inf, np.inf)


@dataclass(frozen=True)
class Answered:
    """n predictions with their outcomes.

    `label` [n] and `answers` float64 [n, k] as evaluation.metrics.Scored has them, `days` datetime64[D] [n] on which
    they were asked for, `versions` int64 [n] that answered, `amounts` float64 [n] that outcomes carried, NaN where
    none.
    """

    label: Array
    answers: Array
    days: Array
    versions: Array
    amounts: Array

    def __len__(self) -> int:
        return len(self.label)

    def part(self, chosen: Array) -> Answered:
        """The rows that `chosen` (mask or positions) takes."""
        return Answered(
            self.label[chosen],
            self.answers[chosen],
            self.days[chosen],
            self.versions[chosen],
            self.amounts[chosen],
        )

    def by_days(self) -> Scored:
        """The rows with a block for each day, however few the days are."""
        return Scored(self.label, self.answers, day_blocks(self.days))


def by_day_and_version(rows: Answered) -> list[Array]:
    """The positions of the rows of each day and version, in order of both; nothing without rows."""
    order = np.lexsort((rows.versions, rows.days))
    days, versions = rows.days[order], rows.versions[order]
    starts = np.flatnonzero((days[1:] != days[:-1]) | (versions[1:] != versions[:-1])) + 1
    return np.split(order, starts) if len(rows) else []


def day_blocks(days: Array) -> Blocks:
    """A block for each day that occurs in `days` [n]."""
    found, index = np.unique(days, return_inverse=True)
    return Blocks("day", index, len(found))


def said(
    statistic: Statistic, blocks: Blocks, bounds: tuple[float, float] = UNBOUNDED, *, enough: bool | None = None
) -> Interval | None:
    """A value, with an interval where there is `enough` (None: as many days as say something about their spread).

    None where the value itself is undefined.
    """
    if blocks.count >= MIN_DAYS if enough is None else enough:
        return interval(statistic, blocks, bounds=bounds)
    value = float(statistic(blocks.once)[0])
    return Interval(value, None, None) if np.isfinite(value) else None


def too_few_days(days: int) -> str | None:
    """Why there is no interval, or None when there is one."""
    return None if days >= MIN_DAYS else f"{days} days are too few to say how much they differ: {MIN_DAYS} at least"
