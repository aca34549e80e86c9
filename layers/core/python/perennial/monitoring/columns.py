"""What a column is, as far as its profile tells: those that must change with time are told, and never "drifting"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from perennial.monitoring.grid import GridColumn
from perennial.monitoring.profile import ColumnProfile, Profile

Array = np.ndarray[Any, Any]
Role = Literal["plain", "calendar", "identifier", "monotone", "constant"]

# Fewer days than this cannot show that a column goes with time.
MIN_DAYS = 7
# A calendar column has the calendar's value on nearly all days, give or take what a time zone moves over midnight.
_MATCHING, _OFF, _SPREAD = 0.85, 0.5, 1.0
# A monotone column's days follow one another (rank correlation), and a day spans little of the whole.
_ORDERED, _DAY_SPAN = 0.98, 0.1


def find_roles(profile: Profile) -> dict[str, Role]:
    """The role of each column. Better over more days: give reference and window together."""
    return {column.name: _role(column, profile.columns[column.name], profile.days) for column in profile.grid.columns}


def _role(column: GridColumn, one: ColumnProfile, days: Array) -> Role:
    if column.temporal:
        return "calendar"
    if column.identifier:
        return "identifier"
    if _constant(one):
        return "constant"
    if column.kind != "number":
        return "plain"
    means, spreads, dated = _by_day(column, one, days)
    if len(dated) < MIN_DAYS:
        return "plain"
    if any(_follows(means, spreads, function(dated)) for function in _CALENDAR):
        return "calendar"
    return "monotone" if _monotone(means, spreads) else "plain"


def _constant(one: ColumnProfile) -> bool:
    """One value, never another and never missing, or nothing at all."""
    if (one.counts.sum(axis=0) > 0).sum() > 1:
        return False
    return one.least == one.greatest


def _by_day(column: GridColumn, one: ColumnProfile, days: Array) -> tuple[Array, Array, Array]:
    """Mean and standard deviation of the days that have values, and the days, in order."""
    present = one.counts[:, :-1].sum(axis=1)
    kept = (present > 0) & ~np.isnat(days)
    if one.sums is None or one.squares is None:
        return np.zeros(0), np.zeros(0), days[:0]
    count = present[kept].astype(np.float64)
    mean = one.sums[kept].astype(np.float64) / count
    variance = np.maximum(one.squares[kept].astype(np.float64) / count - mean**2, 0)
    return column.origin + column.unit * mean, column.unit * np.sqrt(variance), days[kept]


def _year(days: Array) -> Array:
    return days.astype("datetime64[Y]").astype(np.int64) + 1970


def _month(days: Array) -> Array:
    return days.astype("datetime64[M]").astype(np.int64) % 12 + 1


def _day_of_month(days: Array) -> Array:
    return np.asarray((days - days.astype("datetime64[M]").astype(days.dtype)).astype(np.int64) + 1)


def _day_of_year(days: Array) -> Array:
    return np.asarray((days - days.astype("datetime64[Y]").astype(days.dtype)).astype(np.int64) + 1)


def _weekday(first: int) -> Callable[[Array], Array]:
    def weekday(days: Array) -> Array:
        # 1970-01-01 was a Thursday: Monday is 0 with an offset of 3, Sunday with 4
        return np.asarray((days.astype(np.int64) + 3 + first // 10) % 7 + first % 10)

    return weekday


def _quarter(days: Array) -> Array:
    return (_month(days) + 2) // 3


def _week(days: Array) -> Array:
    thursday = days - (days.astype(np.int64) + 3) % 7 + 3
    return (_day_of_year(thursday) - 1) // 7 + 1


# Weekdays from Monday or Sunday, counted from 0 or 1.
_WEEKDAYS = [_weekday(first) for first in (0, 1, 10, 11)]
_CALENDAR: list[Callable[[Array], Array]] = [_year, _month, _day_of_month, _day_of_year, _week, _quarter, *_WEEKDAYS]


def _follows(means: Array, spreads: Array, expected: Array) -> bool:
    """Whether days have the calendar's value, and that value changes, so that the match is none by chance."""
    if len(np.unique(expected)) < 2:
        return False
    matching = (np.abs(means - expected) <= _OFF) & (spreads <= _SPREAD)
    changes = len(np.unique(expected[matching])) >= 2
    return bool(changes and matching.mean() >= _MATCHING)


def _monotone(means: Array, spreads: Array) -> bool:
    """Whether days follow one another all along, in either half as over the whole: a step is no such thing."""
    extent = float(means.max() - means.min())
    if extent <= 0 or float(np.median(spreads)) > _DAY_SPAN * extent:
        return False
    half = len(means) // 2
    return all(abs(_rank_correlation(part)) >= _ORDERED for part in (means, means[:half], means[half:]))


def _rank_correlation(values: Array) -> float:
    """Of values [n] with their places, between −1 and 1; 0 for fewer than three."""
    if len(values) < 3:
        return 0.0
    rank = np.unique(values, return_inverse=True)[1].astype(np.float64)
    place = np.arange(len(values), dtype=np.float64)
    if rank.std() == 0:
        return 0.0
    return float(np.corrcoef(rank, place)[0, 1])
