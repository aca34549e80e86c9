"""Years on which nothing happens: days have levels of their own, weeks a pattern, and the volume wanders."""

from __future__ import annotations

from typing import Any

import numpy as np

from perennial.monitoring.drift import Drift, detect
from perennial.monitoring.grid import Grid, make_grid
from perennial.monitoring.profile import Profile, profile
from tests.unit.monitoring.made import Columns, drawn

Array = np.ndarray[Any, Any]

REFERENCE_DAYS, WINDOW = 90, 28
_CHUNK = 50


def quiet_days(seed: int, days: int, features: int, mean_rows: int = 60) -> tuple[Profile, Profile]:
    """Reference and the days after it: the reference has thrice the rows a day, and the volume of the rest doubles and
    halves over the seasons.
    """
    rng = np.random.default_rng(seed)
    first = np.datetime64("2013-01-01", "D")
    dates = first + np.arange(REFERENCE_DAYS + days)
    season = 2.0 ** np.sin(np.arange(len(dates)) / 60)
    volume = np.where(np.arange(len(dates)) < REFERENCE_DAYS, 3 * mean_rows, mean_rows * season)
    grid: Grid | None = None
    parts: list[Profile] = []
    starts = [0, *range(REFERENCE_DAYS, len(dates), _CHUNK)]
    for start, stop in zip(starts, [*starts[1:], len(dates)], strict=True):
        given: tuple[Array, Columns] = drawn(rng, dates[start:stop], rng.poisson(volume[start:stop]), features)
        grid = grid or make_grid(given[1])
        parts.append(profile(grid, *given))
    return parts[0], parts[1].merge(*parts[2:])


def looks(reference: Profile, rest: Profile, every: int, alpha: float) -> list[Drift]:
    """What is found at a look every so many days, each at the last WINDOW days."""
    found: list[Drift] = []
    for last in range(WINDOW, len(rest.days) + 1, every):
        chosen = np.zeros(len(rest.days), dtype=bool)
        chosen[last - WINDOW : last] = True
        found.append(detect(reference, rest.of_days(chosen), alpha=alpha))
    return found
