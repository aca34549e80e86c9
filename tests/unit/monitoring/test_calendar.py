"""Windows end with whole days, cohorts with days whose outcomes are due, looks share one false alarm a year."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.catalog.monitor import Monitor
from perennial.monitoring.calendar import Span, alpha_of, cohort_of, is_settled, last_settled, window_of

SPEC = Monitor.model_validate({"window": "28d", "horizon": "7d"})
NOW = datetime(2013, 5, 10, 6, tzinfo=UTC)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def test_the_window_of_the_spec_ends_with_the_last_whole_day() -> None:
    assert window_of(SPEC, NOW, None, None) == Span(date(2013, 4, 12), date(2013, 5, 9))
    assert window_of(SPEC, NOW, None, date(2013, 4, 28)) == Span(date(2013, 4, 1), date(2013, 4, 28))
    assert window_of(SPEC, NOW, date(2013, 5, 1), None) == Span(date(2013, 5, 1), date(2013, 5, 9))


def test_its_cohort_is_as_long_and_ends_where_outcomes_are_due() -> None:
    window = window_of(SPEC, NOW, None, None)
    assert cohort_of(window, SPEC, NOW) == Span(date(2013, 4, 4), date(2013, 5, 1))
    old = Span(date(2013, 3, 1), date(2013, 3, 7))
    assert cohort_of(old, SPEC, NOW) == old


@given(moments)
def test_the_newest_settled_day_is_settled_and_the_next_one_is_not(as_of: datetime) -> None:
    newest = last_settled(as_of)
    assert is_settled(newest, as_of)
    assert not is_settled(newest + timedelta(days=1), as_of)


@given(moments, st.integers(7, 92), st.integers(1, 366))
def test_every_day_of_a_cohort_is_complete(as_of: datetime, days: int, horizon: int) -> None:
    spec = Monitor.model_validate({"window": f"{days}d", "horizon": f"{horizon}d"})
    cohort = cohort_of(window_of(spec, as_of, None, None), spec, as_of)
    assert len(cohort) == days
    assert is_settled(cohort.last + timedelta(days=horizon), as_of)


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("rate(1 day)", 1), ("rate(7 days)", 7), ("rate(6 hours)", 1), ("rate(30 days)", 28),
        ("cron(0 6 ? * MON *)", 1), (None, 1),
    ],
)  # fmt: skip
def test_a_look_every_so_many_days_spends_their_share_of_the_year(schedule: str | None, days: int) -> None:
    assert alpha_of(schedule) == days / 365


def test_a_span_is_its_days() -> None:
    span = Span(date(2013, 2, 27), date(2013, 3, 2))
    assert [day.day for day in span] == [27, 28, 1, 2]
    assert (len(span), span.name) == (4, "2013-02-27_2013-03-02")
    assert date(2013, 3, 3) not in span
    assert len(Span(date(2013, 3, 2), date(2013, 3, 1))) == 0
    assert span.since(date(2013, 3, 1)) == Span(date(2013, 3, 1), date(2013, 3, 2))
