"""Days of predictions and their outcomes as the arrays that statistics take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from perennial.catalog.model import ModelSpec
from perennial.evaluation.blocks import Array
from perennial.monitoring.answered import Answered
from perennial.monitoring.days import INPUT
from perennial.outcomes.labels import label_of

UNLIKE = "the outcome is no label of the model"
OTHER_CLASSES = "answered by a version with other classes"

Classes = tuple[Any, ...] | None


@dataclass(frozen=True)
class Chosen:
    """Some rows of some days: positions [n] in the table of each day."""

    tables: Mapping[date, pa.Table]
    rows: Mapping[date, Array]

    def __len__(self) -> int:
        return sum(len(found) for found in self.rows.values())

    @property
    def days(self) -> Array:
        """The day of each row, datetime64[D] [n]."""
        return _together(
            [np.full(len(found), np.datetime64(day, "D")) for day, found in self.rows.items()], "datetime64[D]"
        )

    def texts(self, name: str) -> Array:
        """A feature as text, object [n]; "" where it is missing."""
        return _together([_texts(self._column(day, name), found) for day, found in self.rows.items()], object)

    def numbers(self, name: str) -> Array:
        """A feature as float64 [n]; NaN where it is missing, or is no number."""
        return _together([_numbers(self._column(day, name), found) for day, found in self.rows.items()], np.float64)

    def feature(self, name: str) -> Array:
        """A feature as what it is: numbers (booleans too) where no day has a text, else texts."""
        columns = [self._column(day, name) for day, found in self.rows.items() if len(found)]
        textual = any(column is not None and pa.types.is_string(column.type) for column in columns)
        known = any(column is not None and column.null_count < len(column) for column in columns)
        return self.texts(name) if textual and known else self.numbers(name)

    def _column(self, day: date, name: str) -> pa.ChunkedArray | None:
        table = self.tables[day]
        return table[INPUT + name] if INPUT + name in table.column_names else None

    def answers(self, width: int) -> Array:
        """The answers float64 [n, width]: probabilities by class, or the one value."""
        parts = [_answers(self.tables[day], found, width) for day, found in self.rows.items()]
        found: Array = np.concatenate([np.zeros((0, width)), *parts])
        return found

    def predictions(self) -> list[Any]:
        """What was predicted, row by row."""
        return [
            value
            for day, found in self.rows.items()
            for value in self.tables[day]["prediction"].take(pa.array(found, pa.int64())).to_pylist()
        ]


def _together(parts: list[Array], kind: Any) -> Array:
    found: Array = np.concatenate([np.zeros(0, kind), *parts]).astype(kind)
    return found


def versions_of(table: pa.Table) -> Array:
    """The version that answered each row of a day, int64 [n]."""
    found: Array = np.array(table["version"].to_pylist(), np.int64)
    return found


def of_version(tables: Mapping[date, pa.Table], version: int) -> Chosen:
    """The rows that a version answered and whose inputs are known."""
    rows = {}
    for day, table in tables.items():
        known = ~np.array(table["shortened"].to_pylist(), bool)
        rows[day] = np.flatnonzero((versions_of(table) == version) & known)
    return Chosen(tables, rows)


@dataclass(frozen=True)
class Joined:
    """The rows of complete cohorts that have an outcome; `excluded` counts by reason those left out."""

    chosen: Chosen
    rows: Answered
    excluded: Mapping[str, int]


def join(
    tables: Mapping[date, pa.Table], cohorts: Mapping[date, pa.Table], spec: ModelSpec, classes: Mapping[int, Classes]
) -> Joined:
    """The rows of the days of `cohorts` with outcomes. `classes` are those of each version whose rows may be put
    together; rows of others are left out.
    """
    excluded: Counter[str] = Counter()
    places: dict[date, Array] = {}
    labels: list[float] = []
    for day, cohort in cohorts.items():
        versions = versions_of(tables[day])
        outcomes = cohort["outcome"].to_pylist()
        kept = []
        for row, (version, outcome) in enumerate(zip(versions.tolist(), outcomes, strict=True)):
            if outcome is None:
                continue
            if version not in classes:
                excluded[OTHER_CLASSES] += 1
                continue
            label = label_of(outcome, spec, classes[version])
            if label is None:
                excluded[UNLIKE] += 1
                continue
            kept.append(row)
            labels.append(label)
        places[day] = np.array(kept, np.int64)
    chosen = Chosen(tables, places)
    known = next(iter(classes.values()), None)
    answered = Answered(
        label=np.array(labels, np.float64 if known is None else np.int64),
        answers=chosen.answers(len(known or (0,))),
        days=chosen.days,
        versions=_together([versions_of(tables[day])[found] for day, found in places.items()], np.int64),
        amounts=_together([_numbers(cohorts[day]["amount"], found) for day, found in places.items()], np.float64),
    )
    return Joined(chosen, answered, dict(excluded))


def _answers(table: pa.Table, rows: Array, width: int) -> Array:
    taken = table.take(pa.array(rows, pa.int64()))
    if width > 1:
        return np.array(taken["probability"].to_pylist(), np.float64).reshape(-1, width)
    return np.array(taken["prediction"].to_pylist(), np.float64).reshape(-1, 1)


def _numbers(column: pa.ChunkedArray | None, rows: Array) -> Array:
    if column is None or pa.types.is_string(column.type):
        return np.full(len(rows), np.nan)
    values = np.array([np.nan if value is None else float(value) for value in column.to_pylist()], np.float64)
    found: Array = values[rows]
    return found


def _texts(column: pa.ChunkedArray | None, rows: Array) -> Array:
    values: Sequence[Any] = [] if column is None else column.to_pylist()
    found = np.full(len(rows), "", object)
    for place, row in enumerate(rows.tolist() if column is not None else ()):
        value = values[row]
        found[place] = "" if value is None else value if isinstance(value, str) else str(value).lower()
    return found
