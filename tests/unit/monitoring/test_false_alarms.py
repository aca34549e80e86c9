"""How often quiet days raise an alarm, and whether moved ones do: simulated, with constants fixed before."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import pytest

from perennial.monitoring.drift import detect
from perennial.monitoring.grid import make_grid
from perennial.monitoring.profile import profile
from tests.unit.monitoring.made import Columns, made_days, taken
from tests.unit.monitoring.quiet import WINDOW, looks, quiet_days

Array = np.ndarray[Any, Any]


def most(trials: int, rate: float, chance: float = 0.001) -> int:
    """As many events as `trials` at `rate` exceed with less than `chance`."""
    tail, count = 1.0, -1
    while tail >= chance:
        count += 1
        tail -= comb(trials, count) * rate**count * (1 - rate) ** (trials - count)
    return count


@pytest.mark.parametrize("rows", [(200, 200), (200, 30), (60, 400)])
def test_quiet_windows_alarm_no_more_than_alpha_says_whatever_their_volume(rows: tuple[int, int]) -> None:
    """Null: levels of days, a week's pattern, 8 features; windows of 14 days at alpha .2, so that many may alarm."""
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng([21, seed])
        before = made_days(rng, "2013-01-01", 60, rows[0], features=8)
        after = made_days(rng, "2013-03-02", 14, rows[1], features=8)
        grid = make_grid(before[1])
        alarms += detect(profile(grid, *before), profile(grid, *after), alpha=0.2).alarm
    assert alarms <= most(40, 0.2)


@pytest.mark.parametrize("sizes", [(3000, 3000), (5000, 250), (250, 250)])
def test_a_random_split_of_the_same_days_alarms_no_more_than_alpha_says(sizes: tuple[int, int]) -> None:
    alarms = found = 0
    for seed in range(40):
        rng = np.random.default_rng([22, seed])
        days, columns = made_days(rng, "2013-01-01", 30, 220, features=8)
        order = rng.permutation(len(days))
        sides = order[: sizes[0]], order[sizes[0] : sum(sizes)]
        before, after = (taken(columns, side) for side in sides)
        grid = make_grid(before)
        reference = profile(grid, days[sides[0]], before)
        alarms += detect(reference, profile(grid, days[sides[1]], after), alpha=0.1).alarm
        moved: Columns = after | {"f0": after["f0"] + 0.4}
        found += detect(reference, profile(grid, days[sides[1]], moved), alpha=0.1).columns[0].column.name == "f0"
    assert alarms <= most(40, 0.1)
    assert found >= 38, "the same days are compared with themselves, so that their levels hide nothing"


def test_without_days_rows_are_exchanged_and_alarm_no_more_than_alpha_says() -> None:
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng([23, seed])
        days, columns = made_days(rng, "2013-01-01", 10, 100, features=8, spread=0.0)
        undated = np.full(len(days), "NaT", dtype=days.dtype)
        chosen = rng.random(len(days)) < 0.5
        grid = make_grid(taken(columns, chosen))
        sides = [profile(grid, undated[side], taken(columns, side)) for side in (chosen, ~chosen)]
        alarms += detect(*sides, alpha=0.1).alarm
    assert alarms <= most(60, 0.1)


@pytest.mark.parametrize("days", [8, 14, 28])
def test_days_against_a_reference_without_any_alarm_no_more_than_alpha_says(days: int) -> None:
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng([31, seed])
        before = made_days(rng, "2013-01-01", 60, 100, features=8)
        after = made_days(rng, "2013-03-02", days, 100, features=8)
        grid = make_grid(before[1])
        undated = np.full(len(before[0]), "NaT", dtype="datetime64[D]")
        alarms += detect(profile(grid, undated, before[1]), profile(grid, *after), alpha=0.1).alarm
    assert alarms <= most(40, 0.1)


def test_daily_looks_at_overlapping_windows_keep_to_an_alarm_a_year() -> None:
    """A small sample of what follows: 150 looks at 8 features."""
    reference, rest = quiet_days(24, 150 + WINDOW - 1, 8)
    assert sum(look.alarm for look in looks(reference, rest, 1, 1 / 365)) <= 1


@pytest.mark.full
@pytest.mark.parametrize(("features", "histories"), [(20, 4), (200, 1)])
def test_two_thousand_quiet_days_alarm_at_most_once_a_year(features: int, histories: int) -> None:
    """2,000 quiet days, looked at daily through 28 days at alpha 1/365; with 20 features four such histories."""
    alarms = 0
    for seed in range(histories):
        reference, rest = quiet_days(100 + seed, 2000 + WINDOW - 1, features)
        alarms += sum(look.alarm for look in looks(reference, rest, 1, 1 / 365))
    rate = alarms / (2000 * histories / 365)
    assert rate <= 1, f"{alarms} alarms"
