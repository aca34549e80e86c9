from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.catalog.train import When
from perennial.retraining.decisions import (
    AGAIN,
    MONTH,
    Arrival,
    Decline,
    Reason,
    Start,
    Wait,
    behind,
    held_back,
    new_outcomes,
    on_alarm,
    on_arrival,
    on_schedule,
    pending,
    settled,
    switched_off,
)

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

arrivals = st.lists(
    st.builds(
        Arrival,
        dataset=st.just("flights"),
        version=st.integers(1, 50),
        rows=st.integers(0, 100),
        flight=st.none() | st.just("late-000001-ab"),
    ),
    unique_by=lambda one: one.version,
)


@given(arrivals, st.integers(1, 500))
def test_a_training_starts_exactly_when_the_unseen_rows_suffice(found: list[Arrival], min_rows: int) -> None:
    rows = sum(one.rows for one in found if one.flight is None)
    decision = on_arrival(When(min_rows=min_rows), found)
    assert isinstance(decision, Start) == (rows >= min_rows)


@given(arrivals)
def test_the_order_in_which_arrivals_are_read_decides_nothing(found: list[Arrival]) -> None:
    when = When(min_rows=50)
    assert on_arrival(when, found) == on_arrival(when, found[::-1])
    assert pending(found) == pending(found[::-1])


def test_a_reason_counts_what_it_speaks_of() -> None:
    found = [Arrival("flights", 1, 30), Arrival("flights", 2, 30), Arrival("flights", 3, 99, "late-000001-ab")]
    assert on_arrival(When(min_rows=60), found) == Start("60 unseen rows in 2 dataset versions")
    assert on_arrival(When(min_rows=61), found) == Decline("60 unseen rows are fewer than 61")


def test_a_schedule_starts_only_when_something_is_new() -> None:
    assert isinstance(on_schedule(0, 0), Decline)
    assert isinstance(on_schedule(2, 2), Decline)
    assert on_schedule(3, 2) == Start("scheduled, with 1 dataset versions since the last training")


def test_a_dataset_has_settled_when_two_looks_see_the_same() -> None:
    assert settled(3, 3)
    assert not settled(3, 2)
    assert not settled(0, 0)


# ---- cool-down and budget

hours = st.integers(-24 * 60, 0).map(lambda count: AT + count * HOUR)


@given(st.lists(hours, max_size=12), st.integers(0, 24 * 40), st.none() | st.integers(1, 6), st.booleans())
def test_a_training_may_start_exactly_when_cool_down_and_budget_allow_it(
    starts: list[datetime], cool: int, monthly: int | None, person: bool
) -> None:
    held = held_back(When(cool_down=cool * 3600, monthly=monthly), starts, AT, person=person)
    cooled = person or not starts or AT - max(starts) >= cool * HOUR
    affordable = monthly is None or sum(AT - start < MONTH for start in starts) < monthly
    assert (held is None) == (cooled and affordable)


@given(st.lists(hours, max_size=12), st.integers(0, 24 * 40), st.none() | st.integers(1, 6), st.booleans())
def test_what_is_held_back_may_start_when_it_says_and_no_earlier(
    starts: list[datetime], cool: int, monthly: int | None, person: bool
) -> None:
    when = When(cool_down=cool * 3600, monthly=monthly)
    held = held_back(when, starts, AT, person=person)
    if held is not None:
        assert held.not_before is not None
        assert held_back(when, starts, held.not_before, person=person) is None
        assert held_back(when, starts, held.not_before - timedelta(seconds=1), person=person) is not None


@given(st.lists(st.integers(0, 24 * 90), max_size=60), st.integers(1, 5), st.integers(0, 72))
def test_whoever_asks_whenever_the_budget_is_never_overdrawn(asked: list[int], monthly: int, cool: int) -> None:
    when, starts = When(monthly=monthly, cool_down=cool * 3600), list[datetime]()
    for hour in sorted(asked):
        at = AT + hour * HOUR
        if held_back(when, starts, at, person=hour % 3 == 0) is None:
            starts.append(at)
    assert all(sum(one <= other < one + MONTH for other in starts) <= monthly for one in starts)


def test_why_a_training_is_held_back_says_until_when() -> None:
    when = When(cool_down=7200, monthly=2)
    cooling = held_back(when, [AT - HOUR], AT)
    assert cooling == Decline(
        "the last training started at 2026-03-01 11:00:00 UTC: cool-down until 2026-03-01 13:00:00 UTC", AT + HOUR
    )
    assert held_back(when, [AT - HOUR], AT, person=True) is None
    spent = held_back(when, [AT - HOUR, AT - 24 * HOUR], AT, person=True)
    assert spent == Decline(
        "2 of 2 trainings in 30 days: the budget allows none until 2026-03-30 12:00:00 UTC", AT - 24 * HOUR + MONTH
    )


@pytest.mark.parametrize("reason", ["schedule", "person", "drift", "performance"])
def test_only_data_waits_behind_a_flight(reason: Reason) -> None:
    when = When(cool_down=7200)
    assert behind(when, "data", "f", AT, AT + HOUR) == Wait("a training is under way: f", AT + 2 * HOUR)
    told = behind(when, reason, "f", AT, AT + HOUR)
    again = AT + HOUR + AGAIN if reason in ("drift", "performance") else None
    assert told == Decline("a training is under way: f", again)


# ---- alarms


def test_the_switches_say_which_alarms_ask() -> None:
    assert switched_off(When(), "drift") == Decline("alarms of drift start nothing here: train.when.drift is false")
    assert switched_off(When(), "performance") is None
    assert switched_off(When(drift=True, performance=False), "drift") is None
    assert switched_off(When(performance=False), "performance") is not None
    assert all(switched_off(When(performance=False), reason) is None for reason in ("data", "schedule", "person"))


def test_an_alarm_starts_with_enough_outcomes_and_before_no_other_training() -> None:
    when = When(outcomes=100)
    assert on_alarm(when, "worse", 100, None, AT) == Start("worse")
    assert on_alarm(when, "worse", 100, AT - HOUR, AT) == Start("worse")
    assert on_alarm(when, "worse", 99, None, AT) == Decline("99 new outcomes are fewer than 100", AT + AGAIN)
    assert on_alarm(when, "worse", 100, AT, AT) == Decline(
        "a training has started since, at 2026-03-01 12:00:00 UTC", AT + AGAIN
    )


def test_new_outcomes_are_those_of_days_after_the_last_training() -> None:
    days = [{"day": f"2026-03-0{day}", "version": 1, "rows": 10 * day} for day in (1, 2, 3)]
    report = {"performance": {"by_day": [*days, {"day": "2026-03-03", "version": 2, "rows": 7}]}}
    assert new_outcomes(report, 500, None) == 500
    assert new_outcomes(report, 500, AT) == 57
    assert new_outcomes(report, 500, AT + 12 * HOUR) == 37
    for nothing in (None, {}, {"performance": None}, {"performance": {"by_day": None}}):
        assert new_outcomes(nothing, 500, AT) == 0
