"""What is exchanged of a column: the bin counts of days, made alike on both sides in all but what is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.monitoring.columns import MIN_DAYS
from perennial.monitoring.grid import GridColumn
from perennial.monitoring.permutation import BLOCKS, Exchange, Sample, dealt, exchange, thinned
from perennial.monitoring.profile import Profile

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Units:
    """Bin counts [units, bins] of the reference's days, then the window's, and how they are exchanged."""

    counts: Array
    how: Exchange

    def of(self, shown: Array) -> Sample:
        """A sample of what is compared, [units, coordinates] of the counts."""
        return Sample(np.concatenate([shown, self.counts.sum(axis=1, keepdims=True)], axis=1), self.how)


def units_of(reference: Profile, window: Profile, column: GridColumn) -> Units | None:
    """The units of a column by the days on which it has rows; None when a side has some days, and too few.

    Where a side has no days at all, its rows are dealt into as many blocks as the other has days.
    """
    days, counts = zip(*(_dated(side, column.name) for side in (reference, window)), strict=True)
    have = [len(side) for side in days]
    if any(0 < count < MIN_DAYS for count in have):
        return None
    if all(have):
        left, right, how = counts[0], counts[1], exchange(days[0], days[1])
    else:
        size = max(have) or BLOCKS
        left, right = (
            dated if len(dated) else dealt(_undated(side, column.name), size, f"{place} {column.name}")
            for place, (dated, side) in enumerate(zip(counts, (reference, window), strict=True))
        )
        how = exchange(np.arange(size), np.arange(size))
    if not left.sum() or not right.sum():
        return None
    return Units(np.concatenate(thinned(left, right, column.name)), how)


def coordinates(column: GridColumn, counts: Array) -> Array:
    """What is compared, from bin counts [..., bins]: rows at or below each edge, or of each label; and missing ones.

    Other and unseen texts are left to the labels that lose by them: labels were chosen by what the grid's rows had most
    of, so the remainder is smaller there than in any other rows, without anything having moved.
    """
    if column.kind != "number":
        return np.concatenate([counts[..., : len(column.labels)], counts[..., -1:]], axis=-1)
    return np.concatenate([np.cumsum(counts[..., :-2], axis=-1), counts[..., -1:]], axis=-1)


def _dated(side: Profile, name: str) -> tuple[Array, Array]:
    counts = side.columns[name].counts
    kept = ~np.isnat(side.days) & (counts.sum(axis=1) > 0)
    return side.days[kept], counts[kept]


def _undated(side: Profile, name: str) -> Array:
    counts: Array = side.columns[name].counts[np.isnat(side.days)].sum(axis=0)
    return counts
