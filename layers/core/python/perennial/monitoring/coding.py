"""Values to bins, whole columns at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from perennial.monitoring.grid import GREATEST, Column, GridColumn, floats
from perennial.monitoring.texts import Texts, Whole, digest_of

Array = np.ndarray[Any, Any]

# Steps beyond this many (64 times the range that the grid was made of) count as this many.
REACH = 2**24
# So many unseen texts of a column are kept to be shown.
EXAMPLES = 3
# Whole numbers of so narrow a range are counted by value first, in at most so many cells a row: several times as fast.
_NARROW, _CELLS = 2**13, 4
# Others of a range that is not too wide are looked up, not searched.
_LOOKED_UP = 2**16
_FAR_APART = 2**17


def coded(column: GridColumn, values: Column) -> tuple[Array, Texts | None]:
    """The bin of each text or boolean, int64 [n]; the texts, where they are some."""
    if column.kind == "boolean":
        numbers = floats(values)
        return np.where(np.isnan(numbers), 2, numbers != 0).astype(np.int64), None
    texts = Texts.of(values)
    if column.identifier:
        return np.where(texts.codes < 0, column.bins - 1, 0), texts
    table = np.array([*(_bin(column, word) for word in texts.words), column.bins - 1], dtype=np.int64)
    return table[texts.codes], texts


def bins_of(column: GridColumn, values: Column) -> Array:
    """The bin of each number."""
    if isinstance(values, Whole) and len(values):
        low, high = int(values.values.min()), int(values.values.max())
        if high - low < _LOOKED_UP:
            table = bins_of(column, np.arange(low, high + 1, dtype=np.float64))
            codes = table[values.values - low]
            return codes if values.valid is None else np.where(values.valid, codes, column.bins - 1)
    numbers = floats(values)
    codes = np.searchsorted(np.array(column.edges), numbers, side="right")
    codes[~(np.abs(numbers) <= GREATEST)] = column.bins - 1
    return codes


def steps_of(column: GridColumn, values: Array) -> Array:
    """Present values float64 [n] as whole steps of the column's unit (float64), at most REACH either way."""
    steps = values - column.origin
    with np.errstate(over="ignore"):
        steps /= column.unit
    return np.clip(np.rint(steps, out=steps), -REACH, REACH, out=steps)


class Table(NamedTuple):
    """Rows by day and value int64 [days, values], the values (ascending), and missing rows by day [days]."""

    counts: Array
    values: Array
    missing: Array


def tabled(whole: Whole, index: Array, days: int) -> Table | None:
    """Whole numbers of a narrow range, counted; None where the table would be larger than the rows are worth."""
    values, missing = whole.values, np.zeros(days, dtype=np.int64)
    if whole.valid is not None:
        missing = np.bincount(index[~whole.valid], minlength=days)
        values, index = values[whole.valid], index[whole.valid]
    if not len(values):
        return None
    low, high = int(values.min()), int(values.max())
    span = high - low + 1
    if span > _NARROW or span * days > _CELLS * len(values):
        return None
    cells = index * span
    cells += values
    cells -= low
    flat = np.bincount(cells, minlength=days * span)
    return Table(flat.reshape(days, span), np.arange(low, high + 1), missing)


def day_index(days: Array) -> tuple[Array, Array]:
    """Distinct days (int64, the least int64, NaT, last) and the place of each row's day among them."""
    if not len(days):
        return days, days
    undated = np.iinfo(np.int64).min
    if days.min() != undated and (reach := int(days.max()) - (least := int(days.min()))) < _FAR_APART:
        there = np.bincount(days - least, minlength=reach + 1) > 0
        return np.flatnonzero(there) + least, (np.cumsum(there) - 1)[days - least]
    dated = days[days != undated]
    low = int(dated.min()) if len(dated) else 0
    span = int(dated.max()) - low + 1 if len(dated) else 1
    if span > _FAR_APART:
        shown = np.where(days == undated, np.iinfo(np.int64).max, days)
        unique, index = np.unique(shown, return_inverse=True)
        return np.where(unique == np.iinfo(np.int64).max, undated, unique), index
    places = np.where(days == undated, span, days - low)
    present = np.flatnonzero(np.bincount(places, minlength=span + 1))
    rank = np.zeros(span + 1, dtype=np.int64)
    rank[present] = np.arange(len(present))
    return np.where(present == span, undated, present + low), rank[places]


def unseen_words(column: GridColumn, texts: Texts) -> tuple[str, ...]:
    """The first few texts, in order, that the grid does not know."""
    if column.unseen is None:
        return ()
    new = [word for word, rows in zip(texts.words, texts.counts(), strict=True) if rows and _is_new(column, word)]
    return tuple(sorted(new)[:EXAMPLES])


def _is_new(column: GridColumn, word: str) -> bool:
    return _bin(column, word) == column.unseen


def _bin(column: GridColumn, word: str) -> int:
    place = column.places.get(word)
    if place is not None:
        return place
    return len(column.labels) + (column.unseen is not None and digest_of(word) not in column.known)
