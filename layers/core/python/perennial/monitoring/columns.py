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
# A calendar column has the calendar's value on nearly all days, by so little off, and takes so many different values:
# with fewer, a level that changed once or twice may look like one. (Of years one will do: nothing else is 2013.)
_MATCHING, _OFF, _VALUES = 0.85, 0.1, 3
# Up to so many of a day's rows may have the value of the day before, or of the day after: a time zone moves midnight.
_NEIGHBOUR = 0.5
# A monotone column's days follow one another (rank correlation), and a day spans little of the whole.
_ORDERED, _DAY_SPAN = 0.98, 0.1


def find_roles(reference: Profile, window: Profile) -> dict[str, Role]:
    """The role of each column of two profiles of one grid.

    Whether a column follows the calendar is for the reference alone to say: a level that moves in the window must not
    make it one. Constant and monotone are columns that are so over both. Raises GridsDiffer.
    """
    both = reference.merge(window)
    return {column.name: _role(column, reference, both) for column in reference.grid.columns}


def _role(column: GridColumn, reference: Profile, both: Profile) -> Role:
    if column.temporal:
        return "calendar"
    if column.identifier:
        return "identifier"
    if _constant(both.columns[column.name]):
        return "constant"
    if column.kind != "number":
        return "plain"
    if _calendar(*_by_day(column, reference.columns[column.name], reference.days)):
        return "calendar"
    return "monotone" if _monotone(*_by_day(column, both.columns[column.name], both.days)) else "plain"


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
_CALENDAR: list[Callable[[Array], Array]] = [_month, _day_of_month, _day_of_year, _week, _quarter, *_WEEKDAYS]


def _calendar(means: Array, spreads: Array, days: Array) -> bool:
    """Whether days [d] with these means and standard deviations have the values of a calendar."""
    if len(days) < MIN_DAYS:
        return False
    followed = any(_follows(means, spreads, days, function, _VALUES) for function in _CALENDAR)
    return followed or _follows(means, spreads, days, _year, 1)


def _follows(means: Array, spreads: Array, days: Array, function: Callable[[Array], Array], values: int) -> bool:
    """Whether nearly all days have the function's value, and so many different `values` of it."""
    own = function(days)
    for other in (function(days - 1), function(days + 1)):
        matching = _mixed(means, spreads, own, other)
        if matching.mean() >= _MATCHING and len(np.unique(own[matching])) >= values:
            return True
    return False


def _mixed(means: Array, spreads: Array, own: Array, other: Array) -> Array:
    """Mask [d] of the days whose rows are `own` [d], but for a minority that are `other` [d]: nothing lies between.

    If a share s of the rows is `other`, the mean lies s of the way there, and the mean square about `own` is s times
    the square of the way: with anything else among the rows the two do not go together.
    """
    way = (other - own).astype(np.float64)
    shares = np.clip((means - own) / np.where(way == 0, np.inf, way), 0, _NEIGHBOUR)
    square = spreads**2 + (means - own) ** 2
    mask: Array = np.abs(square - shares * way**2) <= _OFF**2
    return mask


def _monotone(means: Array, spreads: Array, days: Array) -> bool:
    """Whether days follow one another all along, in either half as over the whole: a step is no such thing."""
    if len(days) < MIN_DAYS:
        return False
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
