"""Statistics read off a profile, each with how far it can be from that of the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.monitoring.coding import REACH
from perennial.monitoring.grid import GridColumn
from perennial.monitoring.profile import ColumnProfile, Profile

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Bounded:
    """A statistic; that of the rows themselves lies between `low` and `high`."""

    value: float
    low: float
    high: float


def present(profile: Profile, name: str) -> int:
    """Rows that are not missing: exact."""
    return int(profile.columns[name].counts[:, :-1].sum())


def shares(profile: Profile, name: str) -> Array:
    """Shares of rows by bin [bins], missing last: exact."""
    counts = profile.columns[name].counts.sum(axis=0)
    found: Array = counts / max(1, int(counts.sum()))
    return found


def mean(profile: Profile, name: str) -> Bounded | None:
    """The mean of a number's present values; None when there are none.

    Each value is kept to the nearest step, so the mean is off by half a step at most, and not at all where all values
    are whole numbers of steps; there is no bound once a value lay beyond REACH steps.
    """
    column, one = profile.grid.by_name[name], profile.columns[name]
    count = present(profile, name)
    if one.sums is None or not count:
        return None
    value = column.origin + column.unit * (int(one.sums.sum()) / count)
    reach = _reach(column, one)
    return Bounded(value, value - reach, value + reach)


def deviation(profile: Profile, name: str) -> Bounded | None:
    """The standard deviation (by n) of a number's present values; None when there are none.

    Off by half a step at most: moving every value by so much moves the deviation by no more (it is a norm).
    """
    column, one = profile.grid.by_name[name], profile.columns[name]
    count = present(profile, name)
    if one.sums is None or one.squares is None or not count:
        return None
    # whole numbers until the last division: no cancellation
    spread = count * int(one.squares.sum()) - int(one.sums.sum()) ** 2
    value = column.unit * math.sqrt(spread) / count
    reach = _reach(column, one)
    return Bounded(value, max(0.0, value - reach), value + reach)


def quantile(profile: Profile, name: str, share: float) -> Bounded | None:
    """The smallest present value that at least `share` of them do not exceed (0 < share ≤ 1); None without any.

    It is known to lie in its bin; `value` is where it would be if the bin's values lay evenly.
    """
    column, one = profile.grid.by_name[name], profile.columns[name]
    if one.least is None or one.greatest is None:
        return None
    counts = one.counts[:, :-1].sum(axis=0)
    total = np.cumsum(counts)
    rank = max(1, math.ceil(share * int(total[-1])))
    place = int(np.searchsorted(total, rank))
    ends = [one.least, *column.edges, one.greatest]
    low, high = max(ends[place], one.least), min(ends[place + 1], one.greatest)
    inside = (rank - (int(total[place]) - int(counts[place]))) / int(counts[place])
    return Bounded(low + (high - low) * inside, low, high)


def top(profile: Profile, name: str, most: int = 10) -> list[tuple[str, int]]:
    """The commonest labels of a text or boolean with their rows, exact; those that share a bin are not told apart."""
    column, one = profile.grid.by_name[name], profile.columns[name]
    found = list(zip(column.labels, one.counts[:, : len(column.labels)].sum(axis=0).tolist(), strict=True))
    return sorted((pair for pair in found if pair[1]), key=lambda pair: (-pair[1], pair[0]))[:most]


def _reach(column: GridColumn, one: ColumnProfile) -> float:
    """How far a mean can be off."""
    if one.least is None or one.greatest is None:
        return 0.0
    furthest = max(abs(one.least - column.origin), abs(one.greatest - column.origin)) / column.unit
    if furthest > REACH:
        return math.inf
    # the rounding of a few float64 operations at this magnitude
    rounding = 4 * float(np.spacing(max(abs(one.least), abs(one.greatest), abs(column.origin))))
    return rounding + (0.0 if one.exact else column.unit / 2)
