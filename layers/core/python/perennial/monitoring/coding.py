"""Values to bins, whole columns at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from perennial.monitoring.grid import GREATEST, Column, GridColumn
from perennial.monitoring.texts import Texts, digest_of

Array = np.ndarray[Any, Any]

# Steps beyond this many (64 times the range that the grid was made of) count as this many.
REACH = 2**24
# So many unseen texts of a column are kept to be shown.
EXAMPLES = 3
# Whole numbers within this range are looked up instead of searched: four times as fast.
_LOOKED_UP = 2**16


def coded(column: GridColumn, values: Column) -> tuple[Array, Texts | None]:
    """The bin of each value, int64 [n]; the texts, where they are some."""
    if column.kind == "number":
        return _numbers(column, np.asarray(values)), None
    if column.kind == "boolean":
        return _booleans(values), None
    texts = Texts.of(values)
    table = np.array([*(_bin(column, word) for word in texts.words), column.bins - 1], dtype=np.int64)
    return table[texts.codes], texts


def steps_of(column: GridColumn, values: Array) -> Array:
    """Values float64 [n] as whole steps of the column's unit (float64), 0 where missing, at most REACH either way."""
    steps = np.rint((np.where(np.abs(values) <= GREATEST, values, column.origin) - column.origin) / column.unit)
    return np.clip(steps, -REACH, REACH)


def day_index(days: Array) -> tuple[Array, Array]:
    """Distinct days (int64, the least int64, NaT, last) and the place of each row's day among them."""
    if not len(days):
        return days, days
    undated = np.iinfo(np.int64).min
    dated = days[days != undated]
    low = int(dated.min()) if len(dated) else 0
    span = int(dated.max()) - low + 1 if len(dated) else 1
    if span > 2 * _LOOKED_UP:
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


def _numbers(column: GridColumn, values: Array) -> Array:
    edges = np.array(column.edges)
    missing = column.bins - 1
    if values.dtype.kind in "iu" and len(values):
        low, high = int(values.min()), int(values.max())
        if high - low < _LOOKED_UP:
            table = np.searchsorted(edges, np.arange(low, high + 1, dtype=np.float64), side="right")
            return table[values.astype(np.int64) - low]
    numbers = values.astype(np.float64, copy=False)
    codes = np.searchsorted(edges, numbers, side="right")
    codes[~(np.abs(numbers) <= GREATEST)] = missing
    return codes


def _booleans(values: Column) -> Array:
    if isinstance(values, Texts):
        raise TypeError("texts in a column of booleans")
    numbers = values.astype(np.float64)
    return np.where(np.isnan(numbers), 2, numbers != 0).astype(np.int64)
