"""Which predictions are an experiment's: those of its own time, by its own assignment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from perennial.experiments.window import between
from perennial.serving.assignment import MAX_SALT
from scripts.cli.challenge import salt_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "minutes"),
    [(None, None, [0, 1, 2, 3]), (1, None, [1, 2, 3]), (None, 2, [0, 1]), (1, 3, [1, 2]), (2, 2, [])],
)
def test_the_start_is_in_the_window_and_the_end_is_not(
    since: int | None, until: int | None, minutes: list[int]
) -> None:
    def at(minute: int | None) -> datetime | None:
        return None if minute is None else AT + timedelta(minutes=minute)

    records = [{"at": (AT + timedelta(minutes=minute)).isoformat(), "minute": minute} for minute in range(4)]
    assert [one["minute"] for one in between(records, at(since), at(until))] == minutes


def test_another_experiment_of_the_same_two_versions_assigns_anew() -> None:
    first, second = (salt_of("late", 1, 2, AT + timedelta(seconds=later)) for later in (0, 1))
    assert (first, second) == ("late/1-2/20260301T120000Z", "late/1-2/20260301T120001Z")
    # of the longest name the end is what differs
    assert salt_of("m" * 80, 1, 2, AT) != salt_of("m" * 80, 1, 2, AT + timedelta(seconds=1))
    assert len(salt_of("m" * 80, 1, 2, AT)) == MAX_SALT
