from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.schedule_expressions import InvalidExpression, parse
from perennial.catalog.schedule import check_schedule
from perennial.catalog.train import When

VALUES = (
    *("*", "?", "L", "LW", "15W", "31W", "32W", "0", "1", "7", "8", "13", "31", "32", "59", "60", "1970", "2200"),
    *("MON-FRI", "mon", "SUN#3", "6#6", "6L", "JAN", "DEC-FEB", "5-1", "1/5", "*/15", "*/0", "1/", "/5", "-5", "1,2"),
    *("1,,2", "MON,3", "x", "1-2-3", "00", "007", "٣", "*-5"),
)


@pytest.mark.parametrize(
    "text", ["rate(30 days)", "rate( 1 hour )", "rate(11 hours)", "cron(0 6 ? * MON-FRI *)", "cron(0/5 * L * ? *)"]
)
def test_a_schedule_that_scheduler_takes_is_taken(text: str) -> None:
    assert When(schedule=text).schedule == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rate(0 days)", "is no schedule"),
        ("rate(1 week)", "is no schedule"),
        ("rate(1 minutes)", "is no schedule"),
        ("rate(5 minute)", "is no schedule"),
        ("rate(10 day)", "is no schedule"),
        ("rate(30 days)\n", "is no schedule"),
        ("at(2026-01-01T00:00:00)", "is no schedule"),
        ("cron(0 6 * * *)", "has 5 fields"),
        ("cron(0 6 * * * *)", "exactly one of day of month and day of week"),
        ("cron(61 6 ? * MON *)", "minutes '61' is not made of values from 0 to 59"),
        ("cron(0 6 ? * MON#6 *)", "day of week 'MON#6'"),
        ("cron(0 6 ? * MON 1969)", "year '1969'"),
    ],
)
def test_a_schedule_that_scheduler_refuses_is_refused_with_the_catalog(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        When(schedule=text)


@given(st.lists(st.sampled_from(VALUES), min_size=5, max_size=7))
def test_the_catalog_takes_what_the_local_scheduler_takes(fields: list[str]) -> None:
    text = f"cron({' '.join(fields)})"
    try:
        parse(text)
        taken = True
    except InvalidExpression:
        taken = False
    if taken:
        assert check_schedule(text) == text
    else:
        with pytest.raises(ValueError, match=r"\w"):
            check_schedule(text)


def test_data_settles_within_what_a_wait_takes() -> None:
    """Step Functions fails an execution whose Wait is longer, with an error that nothing catches."""
    assert When(settle="1157d").settle == 99_964_800
    with pytest.raises(ValueError, match="99999999"):
        When(settle="1158d")
