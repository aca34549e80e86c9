"""Data quality: what became worse is told, what days explain is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perennial.monitoring.grid import Grid, make_grid
from perennial.monitoring.profile import Profile, empty, profile
from perennial.monitoring.quality import Finding, check_quality
from tests.unit.monitoring.made import Columns, made_days

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def reference() -> Profile:
    days, columns = made_days(np.random.default_rng(11), "2013-01-01", 90, 300)
    return profile(make_grid(columns), days, columns)


def window(grid: Grid, change: Any = None, days: int = 28, seed: int = 12) -> Profile:
    dates, columns = made_days(np.random.default_rng(seed), "2013-04-01", days, 300)
    if change:
        change(np.random.default_rng(13).random(len(dates)), columns)
    return profile(grid, dates, columns)


def spoiled(chance: Array, columns: Columns) -> None:
    columns["f0"][chance < 0.03] = np.nan
    columns["f1"][chance < 0.02] = 99.0
    columns["f3"][chance < 0.04] = "z"


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.column, one.rule) for one in findings]


def test_missing_unseen_and_out_of_range_are_told_with_shares_and_an_example(reference: Profile) -> None:
    found = check_quality(reference, window(reference.grid, spoiled))
    assert told(found) == [("f3", "unseen"), ("f0", "missing"), ("f1", "out of range")]
    assert [one.example for one in found] == ["z", None, 99.0]
    assert all(one.before < 0.001 and one.p is not None and one.p < 0.01 for one in found)
    assert [round(one.now, 2) for one in found] == [0.04, 0.03, 0.02]


def test_a_number_below_all_that_were_known_is_the_example(reference: Profile) -> None:
    def change(chance: Array, columns: Columns) -> None:
        columns["f1"][chance < 0.05] = -50.0

    (found,) = check_quality(reference, window(reference.grid, change))
    assert (found.rule, found.example) == ("out of range", -50.0)
    assert found.to_json()["example"] == -50.0


def test_what_became_better_or_was_so_before_is_not_told(reference: Profile) -> None:
    days, columns = made_days(np.random.default_rng(11), "2013-01-01", 90, 300)
    columns["f0"][np.random.default_rng(14).random(len(days)) < 0.3] = np.nan
    worse = profile(reference.grid, days, columns)
    assert check_quality(worse, window(reference.grid)) == []


def test_days_whose_missing_values_come_in_storms_raise_no_alarm() -> None:
    """Null: one day in eight has 5 to 40 % missing; windows of 14 such days against 60."""
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng([15, seed])
        sides = []
        for first, days in (("2013-01-01", 60), ("2013-03-02", 14)):
            dates, columns = made_days(rng, first, days, 60, features=2)
            storm = np.where(rng.random(days) < 0.125, rng.uniform(0.05, 0.4, days), 0.0)
            columns["f0"][rng.random(len(dates)) < storm[(dates - dates[0]).astype(int)]] = np.nan
            sides.append((dates, columns))
        grid = make_grid(sides[0][1])
        alarms += bool(check_quality(*(profile(grid, *side) for side in sides), alpha=0.05))
    # 5 % of 60 are 3; 8 or more have a chance below 1 %
    assert alarms <= 7


def test_on_the_first_days_only_what_is_gross_is_told(reference: Profile) -> None:
    def lost(chance: Array, columns: Columns) -> None:
        columns["f0"][:] = np.nan

    assert told(check_quality(reference, window(reference.grid, lost, days=2))) == [("f0", "missing")]
    assert check_quality(reference, window(reference.grid, spoiled, days=2)) == []


def test_columns_of_time_may_leave_their_range_but_not_go_missing() -> None:
    sides = []
    for seed, first in ((16, "2013-01-01"), (17, "2013-02-20")):
        days, columns = made_days(np.random.default_rng(seed), first, 40, 50, features=1)
        columns["row"] = np.arange(len(days)) + 1e6 * (seed - 15)
        columns["day"] = (days - np.datetime64("2012-12-31")).astype(np.float64)
        sides.append((days, columns))
    grid = make_grid(sides[0][1])
    assert check_quality(*(profile(grid, *side) for side in sides)) == []
    sides[1][1]["day"][::3] = np.nan
    assert told(check_quality(*(profile(grid, *side) for side in sides))) == [("day", "missing")]


def test_no_traffic_breaks_no_rule(reference: Profile) -> None:
    assert check_quality(reference, empty(reference.grid)) == []
