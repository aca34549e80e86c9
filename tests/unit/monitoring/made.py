"""Made-up days of rows: features with a level of their own on each day, a week's pattern, and missing values."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Columns = dict[str, Array]

DAY_SPREAD = 0.3
WEEK = 0.3
LETTERS = np.array(list("abcdefgh"), dtype=object)


def made_days(
    rng: np.random.Generator, first: str, days: int, rows: int, features: int = 4, spread: float = DAY_SPREAD
) -> tuple[Array, Columns]:
    """Days datetime64[D] [n], about `rows` a day, and columns f0, f1, … [n]: numbers and texts, f2 with missing ones.

    Levels of days have a standard deviation of `spread` of the rows'; on top comes the week's pattern.
    """
    return drawn(rng, np.datetime64(first, "D") + np.arange(days), rng.poisson(rows, days), features, spread)


def drawn(
    rng: np.random.Generator, dates: Array, sizes: Array, features: int, spread: float = DAY_SPREAD
) -> tuple[Array, Columns]:
    """The same for given days [d] with so many rows each [d]."""
    day = np.repeat(np.arange(len(dates)), sizes)
    week = WEEK * np.sin(2 * np.pi * dates.astype(np.int64) / 7)
    columns: Columns = {}
    for place in range(features):
        level = rng.normal(0, spread, len(dates)) + week
        values = rng.normal(0, 1, len(day)) + level[day]
        if place % 4 == 3:
            columns[f"f{place}"] = LETTERS[np.clip((values * 1.5 + 4).astype(int), 0, 7)]
            continue
        if place % 4 == 2:
            share = 0.05 * np.exp(rng.normal(0, spread, len(dates)))
            values[rng.random(len(day)) < share[day]] = np.nan
        columns[f"f{place}"] = values
    return dates[day], columns


def taken(columns: Columns, rows: Array) -> Columns:
    """The rows of a mask or of places."""
    return {name: values[rows] for name, values in columns.items()}
