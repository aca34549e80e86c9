"""Columns that go with time are recognised, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perennial.monitoring.columns import find_roles
from perennial.monitoring.grid import make_grid
from perennial.monitoring.profile import empty, profile
from tests.unit.monitoring.flights import flights_of_month
from tests.unit.monitoring.made import made_days

Array = np.ndarray[Any, Any]


def roles_of(days: Array, columns: dict[str, Array], temporal: frozenset[str] = frozenset()) -> dict[str, str]:
    found = profile(make_grid(columns, temporal=temporal), days, columns)
    return dict(find_roles(found, empty(found.grid)))


def test_columns_of_time_are_told_from_those_of_the_world() -> None:
    days, columns = made_days(np.random.default_rng(1), "2013-01-20", 60, 100)
    number = days.astype(np.int64).astype(np.float64)
    month = days.astype("datetime64[M]")
    rng = np.random.default_rng(2)
    columns |= {
        "month": month.astype(np.int64) % 12 + 1.0,
        "weekday": (number + 3) % 7,
        "day_of_year": number - 15705,
        "day": (days - month.astype("datetime64[D]")).astype(np.int64) + 1.0,
        "row_id": np.arange(len(days)) + 5e6,
        "meter": np.arange(len(days)) * 0.01 + rng.normal(size=len(days)) * 0.2,
        "year": np.full(len(days), 2013.0),
        "country": np.full(len(days), "NL", dtype=object),
        "level_of_day": rng.normal(size=60)[(number - number[0]).astype(int)],
        "step": (number > number[0] + 30) * 5.0 + rng.normal(size=len(days)),
        "rating": rng.normal(2.0, 0.4, len(days)),
        "due": number + 3,
    }
    assert roles_of(days, columns, frozenset({"due"})) == {
        "f0": "plain", "f1": "plain", "f2": "plain", "f3": "plain", "month": "calendar", "weekday": "calendar",
        "day_of_year": "calendar", "day": "calendar", "row_id": "identifier", "meter": "monotone", "year": "constant",
        "country": "constant", "level_of_day": "plain", "step": "plain", "rating": "plain", "due": "calendar",
    }  # fmt: skip


def test_the_flights_calendar_is_recognised_though_their_days_are_local() -> None:
    found = roles_of(*flights_of_month(2))
    told = {name: role for name, role in found.items() if role != "plain"}
    assert told == {
        "time_hour": "calendar", "day": "calendar", "month": "constant", "year": "constant", "tailnum": "identifier",
    }  # fmt: skip


def test_nothing_is_said_to_go_with_time_on_few_days_or_none() -> None:
    days, columns = made_days(np.random.default_rng(3), "2013-01-20", 5, 50)
    columns["day"] = (days - np.datetime64("2012-12-31")).astype(np.float64)
    assert roles_of(days, columns)["day"] == "plain"
    undated = np.full(len(days), "NaT", dtype="datetime64[D]")
    assert roles_of(undated, columns)["day"] == "plain"


@pytest.mark.parametrize("hours", [-8, -5, 0, 9])
def test_a_calendar_of_another_time_zone_is_recognised(hours: int) -> None:
    rng = np.random.default_rng(4)
    local = np.datetime64("2013-01-01T06", "h") + rng.integers(0, 18, (90, 200)) + np.arange(90)[:, None] * 24
    instants = local.ravel()
    days, month = instants.astype("datetime64[D]"), instants.astype("datetime64[M]")
    columns = {
        "month": month.astype(np.int64) % 12 + 1.0,
        "day": (days - month.astype("datetime64[D]")).astype(np.int64) + 1.0,
        "weekday": (days.astype(np.int64) + 3) % 7 + 1.0,
        "hour": (instants - days).astype(np.float64),
    }
    told = roles_of((instants - hours).astype("datetime64[D]"), columns)
    assert told == {"month": "calendar", "day": "calendar", "weekday": "calendar", "hour": "plain"}


def test_the_reference_alone_says_what_follows_the_calendar_by_three_values_of_it() -> None:
    days = np.repeat(np.datetime64("2013-01-01") + np.arange(120), 50)
    month, weekday = days.astype("datetime64[M]").astype(np.int64) % 12 + 1.0, (days.astype(np.int64) + 3) % 7 + 1.0
    columns = {
        "month": month, "weekday": weekday, "quarter": (month + 2) // 3, "year": 2013.0 + (month == 4),
        "near": weekday + np.random.default_rng(5).normal(0, 0.3, len(days)), "late": np.where(month < 4, 1.0, weekday),
    }  # fmt: skip
    grid = make_grid(columns)

    def roles(first: str) -> dict[str, str]:
        before = days < np.datetime64(first)
        sides = (
            profile(grid, days[side], {name: values[side] for name, values in columns.items()})
            for side in (before, ~before)
        )
        return dict(find_roles(*sides))

    assert roles("2013-04-01") == {
        "month": "calendar", "weekday": "calendar", "quarter": "plain", "year": "calendar", "near": "plain",
        "late": "plain",
    }  # fmt: skip
    assert roles("2013-03-01")["month"] == "plain", "1, then 2: a step would look the same"
