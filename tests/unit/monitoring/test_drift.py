"""The detector: what it finds, what it says of it, and what it leaves alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from perennial.errors import GridsDiffer
from perennial.monitoring.drift import EFFECT, Drift, Moved, detect
from perennial.monitoring.grid import Grid, make_grid
from perennial.monitoring.profile import Profile, empty, profile
from tests.unit.monitoring.made import Columns, made_days

Array = np.ndarray[Any, Any]
ALPHA = 0.01


@pytest.fixture(scope="module")
def reference() -> Profile:
    days, columns = made_days(np.random.default_rng(1), "2013-01-01", 90, 300)
    return profile(make_grid(columns), days, columns)


def window(grid: Grid, change: Any = None, rows: int = 300, days: int = 28) -> Profile:
    dates, columns = made_days(np.random.default_rng(2), "2013-04-01", days, rows)
    if change:
        change(dates, columns)
    return profile(grid, dates, columns)


def of(drift: Drift, name: str) -> Moved:
    return next(column for column in drift.columns if column.column.name == name)


def test_quiet_days_are_quiet_at_a_third_and_at_thrice_the_volume(reference: Profile) -> None:
    for rows in (100, 300, 900):
        found = detect(reference, window(reference.grid, rows=rows), alpha=ALPHA)
        assert (found.state, found.alarm, found.days) == ("compared", False, (90, 28))


def test_what_moved_is_told_with_size_and_day_and_the_rest_is_left_alone(reference: Profile) -> None:
    first = np.datetime64("2013-04-11")

    def change(dates: Array, columns: Columns) -> None:
        columns["f1"][dates >= first] += 2.0

    found = detect(reference, window(reference.grid, change), alpha=ALPHA)
    assert [column.column.name for column in found.columns if column.moved] == ["f1"]
    moved = found.columns[0]
    assert moved.column.name == "f1" and moved.since == "2013-04-11"
    assert moved.effect > 0.15 and moved.p is not None and moved.p < ALPHA / 4
    assert moved.words.startswith("mean ") and " -> 1." in moved.words


def test_missing_values_and_a_label_that_grows_are_told_in_words(reference: Profile) -> None:
    def change(dates: Array, columns: Columns) -> None:
        rng = np.random.default_rng(3)
        columns["f0"][rng.random(len(dates)) < 0.2] = np.nan
        columns["f3"][rng.random(len(dates)) < 0.3] = "d"

    found = detect(reference, window(reference.grid, change), alpha=ALPHA)
    assert {column.column.name for column in found.columns if column.moved} == {"f0", "f3"}
    assert of(found, "f0").words.startswith("missing 0 % -> 2") or "missing 0 % -> 2" in of(found, "f0").words
    assert of(found, "f3").words.startswith("d ")
    assert of(found, "f3").since == "2013-04-01"


def test_texts_that_give_way_to_unseen_ones_have_moved(reference: Profile) -> None:
    def change(dates: Array, columns: Columns) -> None:
        columns["f3"][np.random.default_rng(4).random(len(dates)) < 0.4] = "new"

    found = detect(reference, window(reference.grid, change), alpha=ALPHA)
    assert of(found, "f3").moved and of(found, "f3").words.startswith("unseen 0 % -> ")


def test_what_is_certain_but_too_small_to_matter_has_not_moved() -> None:
    rng = np.random.default_rng(5)
    days, columns = made_days(rng, "2013-01-01", 60, 20_000, features=1, spread=0.0)
    columns["f0"][:] = rng.normal(size=len(days))
    half = days < np.datetime64("2013-02-01")
    columns["f0"][~half] += 0.03
    grid = make_grid(columns)
    sides = [profile(grid, days[side], {"f0": columns["f0"][side]}) for side in (half, ~half)]
    found = detect(*sides, alpha=0.05).columns[0]
    assert found.p is not None and found.p < 0.05 and found.effect < EFFECT and not found.moved


@pytest.mark.parametrize(("allowed", "moved"), [(0.05, True), (0.15, False)])
def test_what_is_known_to_differ_is_added_to_the_size_that_matters(
    reference: Profile, allowed: float, *, moved: bool
) -> None:
    def change(_: Array, columns: Columns) -> None:
        columns["f0"] += 0.3
        columns["f1"] += 0.3

    found = detect(reference, window(reference.grid, change), alpha=ALPHA, allowance={"f1": allowed})
    assert 0.09 < of(found, "f1").effect < 0.15
    assert (of(found, "f0").moved, of(found, "f1").moved) == (True, moved)
    told = {column["name"]: column["threshold"] for column in found.to_json()["columns"]}
    assert (told["f0"], told["f1"]) == (EFFECT, pytest.approx(EFFECT + allowed))


def test_columns_of_time_are_told_and_never_said_to_drift() -> None:
    sides = []
    for seed, first, length in ((6, "2013-01-01", 90), (7, "2013-04-01", 28)):
        days, columns = made_days(np.random.default_rng(seed), first, length, 100, features=2)
        month = days.astype("datetime64[M]")
        columns["month"] = month.astype(np.int64) % 12 + 1.0
        columns["day"] = (days - month.astype("datetime64[D]")).astype(np.int64) + 1.0
        columns["weekday"] = (days.astype(np.int64) + 3) % 7 + 0.0
        sides.append((days, columns))
    grid = make_grid(sides[0][1])
    found = detect(*(profile(grid, *side) for side in sides), alpha=ALPHA)
    for name in ("month", "day", "weekday"):
        assert (of(found, name).role, of(found, name).moved, of(found, name).p) == ("calendar", False, None)
    assert of(found, "month").effect > 0.5, "it is shown all the same"
    assert not found.alarm


@pytest.mark.parametrize(
    ("lengths", "second"), [((90, 28), "2013-04-01"), ((31, 28), "2013-02-01")], ids=["quarter", "month"]
)
def test_a_step_at_a_boundary_of_the_calendar_alarms(lengths: tuple[int, int], second: str) -> None:
    """Levels close to what the calendar says before and after: quarters 1 and 2, months 1 and 2."""
    rng = np.random.default_rng(10)
    sides = []
    for first, length, step in (("2013-01-01", lengths[0], 0.0), (second, lengths[1], 1.0)):
        days = np.repeat(np.datetime64(first) + np.arange(length), 300)
        columns = {
            "normal": rng.normal(1.2 + 0.6 * step, 0.6, len(days)),
            "count": rng.poisson(0.9, len(days)) + step,
            "far": rng.normal(1.0 + 1.2 * step, 0.6, len(days)),
            "whole": np.where(rng.random(len(days)) < 0.9, 1.0, 2.0) + step,
        }
        sides.append((days, columns))
    grid = make_grid(sides[0][1])
    found = detect(*(profile(grid, *side) for side in sides), alpha=1 / 365)
    assert {one.column.name: (one.role, one.moved) for one in found.columns} == dict.fromkeys(
        ("normal", "count", "far", "whole"), ("plain", True)
    )


def test_too_few_days_and_no_rows_are_states_and_no_verdicts(reference: Profile) -> None:
    few = detect(reference, window(reference.grid, days=6), alpha=ALPHA)
    assert (few.state, few.alarm) == ("too few days", False)
    assert all(column.p is None for column in few.columns) and len(few.columns) == 4
    assert detect(reference, empty(reference.grid), alpha=ALPHA).state == "no traffic"
    assert detect(empty(reference.grid), reference, alpha=ALPHA).state == "no reference"
    assert detect(reference, window(reference.grid, days=7), alpha=ALPHA).state == "compared"


@pytest.mark.parametrize("undated", [("reference",), ("window",), ("reference", "window")])
def test_rows_without_days_are_compared_all_the_same(undated: tuple[str, ...]) -> None:
    rng = np.random.default_rng(8)
    made = {}
    for name, shift in (("reference", 0.0), ("window", 0.5)):
        days, columns = made_days(rng, "2013-01-01", 40, 50, features=2, spread=0.0)
        columns["f1"] += shift
        made[name] = (np.full(len(days), "NaT", dtype="datetime64[D]") if name in undated else days, columns)
    grid = make_grid(made["reference"][1])
    found = detect(*(profile(grid, *made[name]) for name in ("reference", "window")), alpha=ALPHA)
    assert found.state == "compared"
    assert [column.column.name for column in found.columns if column.moved] == ["f1"]


@pytest.mark.parametrize("days", [7, 12, 13, 14, 20])
def test_without_days_of_training_what_cannot_alarm_is_not_said_to_be_compared(days: int) -> None:
    """Nine columns at 1 / 365: 2^days assignments of days in pairs must tell one column from all the others."""
    rng = np.random.default_rng(11)
    _, before = made_days(rng, "2013-01-01", 60, 50, features=9)
    dates, after = made_days(rng, "2013-03-02", days, 50, features=9)
    after["f0"] += 5.0
    grid = make_grid(before)
    undated = np.full(len(before["f0"]), "NaT", dtype="datetime64[D]")
    found = detect(profile(grid, undated, before), profile(grid, dates, after), alpha=1 / 365)
    enough = days >= 14
    assert (found.state, found.alarm) == (("compared", True) if enough else ("too few days", False))
    assert all((column.p is not None) == enough for column in found.columns)
    assert of(found, "f0").moved == enough


def test_days_that_are_few_for_one_column_are_enough_where_all_have_moved() -> None:
    """Seven pairs give p 1 / 64: too much for one column of nine at .05, and enough for all of them."""
    rng = np.random.default_rng(12)
    sides = [made_days(rng, first, days, 50, features=9) for first, days in (("2013-01-01", 60), ("2013-03-02", 7))]
    grid = make_grid(sides[0][1])
    for name in ("f0", "f1", "f2", "f4", "f5", "f6", "f8"):
        sides[1][1][name] += 5.0
    for name in ("f3", "f7"):
        sides[1][1][name][:] = "h"
    undated = np.full(len(sides[0][0]), "NaT", dtype="datetime64[D]")
    found = detect(profile(grid, undated, sides[0][1]), profile(grid, *sides[1]), alpha=0.05)
    assert (found.state, sum(column.moved for column in found.columns)) == ("compared", 9)


def test_the_same_profiles_give_the_same_answer_and_json_takes_it(reference: Profile) -> None:
    there = window(reference.grid)
    one, two = (detect(reference, there, alpha=ALPHA).to_json() for _ in range(2))
    assert json.dumps(one, allow_nan=False) == json.dumps(two, allow_nan=False)
    assert all(len(column["bins"]["labels"]) == len(column["bins"]["window"]) for column in one["columns"])


def test_profiles_of_other_grids_are_refused(reference: Profile) -> None:
    days, columns = made_days(np.random.default_rng(9), "2013-04-01", 10, 50)
    with pytest.raises(GridsDiffer):
        detect(reference, profile(make_grid(columns), days, columns), alpha=ALPHA)
