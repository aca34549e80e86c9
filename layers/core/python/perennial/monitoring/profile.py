"""What a span of rows looked like: per day and column how often each bin of the grid was met, and exact moments.

Everything is a count or a sum of whole numbers, so profiles put together in any order and grouping are equal, byte by
byte, to the profile of all rows at once. What is read off them is exact or carries its bound (monitoring/summary.py).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from perennial.errors import GridsDiffer
from perennial.monitoring.coding import EXAMPLES, Table, bins_of, coded, day_index, steps_of, tabled, unseen_words
from perennial.monitoring.grid import GREATEST, Column, Grid, GridColumn, floats
from perennial.monitoring.texts import Whole
from perennial.storage.objects import canonical_json

Array = np.ndarray[Any, Any]

_NO_DAY = "none"
_LOW_BITS = 2**24


@dataclass(frozen=True)
class ColumnProfile:
    """One column: `counts` int64 [days, bins]; of a number also the sums of steps and of squared steps (Python
    integers [days]), its least and greatest value over all days, and whether all values are whole numbers of steps
    (`exact`); of a text the first few unseen ones in order.
    """

    counts: Array
    sums: Array | None = None
    squares: Array | None = None
    least: float | None = None
    greatest: float | None = None
    examples: tuple[str, ...] = ()
    exact: bool = True

    def _together(self, others: list[ColumnProfile], rows: list[Array], days: int) -> ColumnProfile:
        parts = [self, *others]
        known = [part.least for part in parts if part.least is not None]
        tops = [part.greatest for part in parts if part.greatest is not None]
        return ColumnProfile(
            _added([part.counts for part in parts], rows, days),
            None if self.sums is None else _added([part.sums for part in parts], rows, days),
            None if self.squares is None else _added([part.squares for part in parts], rows, days),
            min(known, default=None),
            max(tops, default=None),
            tuple(sorted({word for part in parts for word in part.examples})[:EXAMPLES]),
            all(part.exact for part in parts),
        )

    def to_json(self) -> dict[str, Any]:
        """Counts as lists by day; what is absent is left out."""
        found: dict[str, Any] = {"counts": self.counts.tolist()}
        if self.sums is not None and self.squares is not None:
            found |= {"sums": self.sums.tolist(), "squares": self.squares.tolist()}
        if self.least is not None:
            found |= {"least": self.least, "greatest": self.greatest, "exact": self.exact}
        return found | ({"examples": list(self.examples)} if self.examples else {})

    @classmethod
    def from_json(cls, value: Mapping[str, Any], column: GridColumn) -> ColumnProfile:
        """The inverse of to_json."""
        numeric = column.has_moments
        return cls(
            np.array(value["counts"], dtype=np.int64).reshape(-1, column.bins),
            np.array(value["sums"], dtype=object) if numeric else None,
            np.array(value["squares"], dtype=object) if numeric else None,
            value.get("least"),
            value.get("greatest"),
            tuple(value.get("examples", ())),
            value.get("exact", True),
        )


@dataclass(frozen=True)
class Profile:
    """`days` datetime64[D] [d], ascending, NaT (rows without a day) last; `rows` int64 [d]; columns by name."""

    grid: Grid
    days: Array
    rows: Array
    columns: Mapping[str, ColumnProfile]

    def merge(self, *others: Self) -> Self:
        """All rows together. Raises GridsDiffer."""
        for other in others:
            if other.grid.sha256 != self.grid.sha256:
                raise GridsDiffer(
                    f"a profile on grid {other.grid.sha256[:12]} does not add up with one on {self.grid.sha256[:12]}"
                )
        numbers = [part.days.astype(np.int64) for part in (self, *others)]
        union = _in_order(np.concatenate(numbers))
        rank = {int(day): place for place, day in enumerate(union)}
        rows = [np.array([rank[int(day)] for day in part], dtype=np.int64) for part in numbers]
        columns = {
            name: column._together([other.columns[name] for other in others], rows, len(union))
            for name, column in self.columns.items()
        }
        total = _added([part.rows for part in (self, *others)], rows, len(union))
        return type(self)(self.grid, union.astype("datetime64[D]"), total, columns)

    def of_days(self, chosen: Array) -> Self:
        """The days at which the boolean mask [d] is true; least, greatest and examples stay those of all days."""
        columns = {
            name: ColumnProfile(
                one.counts[chosen],
                None if one.sums is None else one.sums[chosen],
                None if one.squares is None else one.squares[chosen],
                one.least,
                one.greatest,
                one.examples,
                one.exact,
            )
            for name, one in self.columns.items()
        }
        return type(self)(self.grid, self.days[chosen], self.rows[chosen], columns)

    def to_json(self) -> dict[str, Any]:
        """The profile without its grid, which it names by digest."""
        return {
            "grid": self.grid.sha256,
            "days": [_NO_DAY if np.isnat(day) else str(day) for day in self.days],
            "rows": self.rows.tolist(),
            "columns": {name: column.to_json() for name, column in self.columns.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], grid: Grid) -> Self:
        """The inverse of to_json. Raises GridsDiffer when it was counted on another grid."""
        if value["grid"] != grid.sha256:
            raise GridsDiffer(f"the profile was counted on grid {value['grid'][:12]}, not on {grid.sha256[:12]}")
        days = np.array(["NaT" if day == _NO_DAY else day for day in value["days"]], dtype="datetime64[D]")
        columns = {
            column.name: ColumnProfile.from_json(value["columns"][column.name], column) for column in grid.columns
        }
        return cls(grid, days, np.array(value["rows"], dtype=np.int64), columns)

    def to_bytes(self) -> bytes:
        """Grid and profile, gzipped: equal profiles give equal bytes."""
        document = {"grid": self.grid.to_json(), "profile": self.to_json()}
        return gzip.compress(canonical_json(document), 9, mtime=0)

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """The inverse of to_bytes."""
        document = json.loads(gzip.decompress(body))
        return cls.from_json(document["profile"], Grid.from_json(document["grid"]))


def profile(grid: Grid, days: Array, columns: Mapping[str, Column]) -> Profile:
    """Count rows: `days` datetime64[D] [n], NaT where a row has none; columns by name, [n] as make_grid takes them.

    Columns that the grid does not know are left out. Raises GridsDiffer when one of the grid's is missing.
    """
    if missing := sorted(set(grid.by_name) - set(columns)):
        raise GridsDiffer(f"the grid has a column {missing[0]!r} that the rows lack")
    numbers = np.asarray(days).astype("datetime64[D]").astype(np.int64)
    unique, index = day_index(numbers)
    size = len(unique)
    counted = {column.name: _column(column, columns[column.name], index, size) for column in grid.columns}
    rows = np.bincount(index, minlength=size).astype(np.int64)
    return Profile(grid, unique.astype("datetime64[D]"), rows, counted)


def beside(one: Profile, other: Profile) -> Profile:
    """The columns of both on the days of either; `rows` are those of `one`, of whose rows `other` may have a part."""
    left, right = one.merge(empty(one.grid, other.days)), other.merge(empty(other.grid, one.days))
    grid = Grid((*one.grid.columns, *other.grid.columns))
    return Profile(grid, left.days, left.rows, {**left.columns, **right.columns})


def empty(grid: Grid, days: Array | None = None) -> Profile:
    """The profile of no rows on some days (distinct; None: on none): what merging begins with."""
    some = np.zeros(0, dtype="datetime64[D]") if days is None else days
    columns: dict[str, ColumnProfile] = {}
    for column in grid.columns:
        none = np.zeros(len(some), dtype=object) if column.has_moments else None
        columns[column.name] = ColumnProfile(np.zeros((len(some), column.bins), dtype=np.int64), none, none)
    return Profile(grid, some, np.zeros(len(some), dtype=np.int64), columns)


def _column(column: GridColumn, values: Column, index: Array, days: int) -> ColumnProfile:
    if column.kind != "number":
        codes, texts = coded(column, values)
        counts = _by_bin(column, codes, index, days)
        new = texts is not None and column.unseen is not None and counts[:, column.unseen].any()
        return ColumnProfile(counts, examples=unseen_words(column, texts) if texts is not None and new else ())
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        values = Whole(values.astype(np.int64, copy=False))
    if column.temporal:
        return ColumnProfile(_present(values, index, days))
    if isinstance(values, Whole) and (table := tabled(values, index, days)) is not None:
        return _from_table(column, table)
    return _from_rows(column, values, index, days)


def _present(values: Column, index: Array, days: int) -> Array:
    """Rows by day that are there, and that are missing [days, 2]."""
    rows = np.bincount(index, minlength=days)
    if isinstance(values, Whole) and values.valid is None:
        return np.stack([rows, np.zeros_like(rows)], axis=1)
    gone = np.bincount(index[np.isnan(floats(values))], minlength=days)
    return np.stack([rows - gone, gone], axis=1)


def _from_rows(column: GridColumn, values: Column, index: Array, days: int) -> ColumnProfile:
    numbers = floats(values)
    counts = _by_bin(column, bins_of(column, values), index, days)
    known = np.abs(numbers) <= GREATEST
    steps = steps_of(column, np.where(known, numbers, column.origin))
    sums, squares = _moments(
        steps, lambda parts: np.array([np.bincount(index, weights=part, minlength=days) for part in parts])
    )
    finite = numbers if known.all() else numbers[known]
    least, greatest = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    exact = bool(((column.origin + column.unit * steps == numbers) | ~known).all())
    return ColumnProfile(counts, sums, squares, least, greatest, exact=exact)


def _by_bin(column: GridColumn, codes: Array, index: Array, days: int) -> Array:
    flat = np.bincount(index * column.bins + codes, minlength=days * column.bins)
    return flat.astype(np.int64).reshape(days, column.bins)


def _from_table(column: GridColumn, table: Table) -> ColumnProfile:
    """From rows by day and value: what takes a pass over the values, not over the rows."""
    numbers = table.values.astype(np.float64)
    codes = bins_of(column, numbers)
    # values ascend, so those of a bin lie side by side
    first = np.flatnonzero(np.diff(codes, prepend=-1))
    counts = np.zeros((len(table.missing), column.bins), dtype=np.int64)
    counts[:, codes[first]] = np.add.reduceat(table.counts, first, axis=1)
    counts[:, -1] += table.missing
    steps = steps_of(column, numbers)
    sums, squares = _moments(steps, lambda parts: (table.counts.astype(np.float64) @ parts.T).T)
    # the range is that of the rows: both ends were met
    least, greatest = float(numbers[0]), float(numbers[-1])
    exact = bool((column.origin + column.unit * steps == numbers)[table.counts.any(axis=0)].all())
    return ColumnProfile(counts, sums, squares, least, greatest, exact=exact)


def _moments(steps: Array, add: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Sums of steps and of their squares by day, as Python integers [days], which never overflow.

    `add` sums whole numbers [3, n] by day [3, days] in float64: exact in any order, since no sum reaches 2**53 (half a
    thousand million rows a day would).
    """
    squared = steps * steps
    high = np.floor(squared / _LOW_BITS)
    sums, highs, lows = add(np.array([steps, high, squared - high * _LOW_BITS])).astype(np.int64).astype(object)
    return sums, highs * _LOW_BITS + lows


def _added(parts: list[Any], rows: list[Array], days: int) -> Array:
    """Arrays by day, added up on the days of the union: `rows` are the places of each one's days there."""
    total = np.zeros((days, *parts[0].shape[1:]), dtype=parts[0].dtype)
    for part, places in zip(parts, rows, strict=True):
        total[places] += part
    return total


def _in_order(days: Array) -> Array:
    """Distinct days, ascending, NaT (the least int64) last."""
    unique = np.unique(days)
    undated = np.iinfo(np.int64).min
    return np.roll(unique, -1) if len(unique) and unique[0] == undated else unique
