"""Columns that go with time are recognised, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np

from perennial.monitoring.columns import find_roles
from perennial.monitoring.grid import make_grid
from perennial.monitoring.profile import profile
from tests.unit.monitoring.flights import flights_of_month
from tests.unit.monitoring.made import made_days

Array = np.ndarray[Any, Any]


def roles_of(days: Array, columns: dict[str, Array], temporal: frozenset[str] = frozenset()) -> dict[str, str]:
    return dict(find_roles(profile(make_grid(columns, temporal=temporal), days, columns)))


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
