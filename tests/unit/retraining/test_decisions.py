from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perennial.catalog.train import When
from perennial.retraining.decisions import Arrival, Decline, Start, on_arrival, on_schedule, pending, settled

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
