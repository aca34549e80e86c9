"""Which outcomes count: late, early, unknown, repeated and contradicting ones, and none of them twice."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perennial.monitoring.maturity import Cohort, settle_cohort
from perennial.outcomes import Outcome
from perennial.outcomes.store import settle
from tests.unit.outcomes.made import IDS, NOON, by_entity, by_id, prediction

DAY = date(2024, 5, 1)
WEEK = timedelta(days=7)
MINUTES = 24 * 60
ENTITY = ["customer", "shop"]
ADA = {"customer": "Ada", "shop": 7}
NAMES = ("late", "before", "unknown", "further", "contradicting", "repeated")


def settled(outcomes: list[Outcome], rows: int = 3, **more: Any) -> Cohort:
    given_rows = more.pop("predictions", [prediction(row) for row in range(rows)])
    return settle_cohort(given_rows, outcomes, first=DAY, last=DAY, horizon=WEEK, **more)


def named(cohort: Cohort) -> dict[str, int]:
    """The counts that are not zero, of what does not count."""
    found = cohort.counted.to_json()
    return {name: found[name] for name in NAMES if found[name]}


def said(cohort: Cohort) -> list[Any]:
    return [one and one.outcome for _, one in cohort.pairs]


def test_outcomes_within_the_horizon_count() -> None:
    cohort = settled([by_id(0, "a", received=7 * MINUTES), by_id(2, "b")])
    assert said(cohort) == ["a", None, "b"]
    assert cohort.counted.to_json() == dict.fromkeys(NAMES, 0) | {
        "predictions": 3, "with_outcome": 2, "coverage": 2 / 3,
    }  # fmt: skip


def test_a_late_outcome_does_not_change_what_is_settled() -> None:
    cohort = settled([by_id(0, "a"), by_id(0, "b", received=365 * MINUTES), by_id(1, "c", received=7 * MINUTES + 1)])
    assert (said(cohort), named(cohort)) == (["a", None, None], {"late": 2})


def test_of_contradicting_outcomes_the_newest_stands() -> None:
    cohort = settled([by_id(0, "a", at=1), by_id(0, "b", at=2), by_id(0, "a", at=3, received=8 * MINUTES)])
    assert (said(cohort)[0], named(cohort)) == ("b", {"contradicting": 1, "late": 1})


def test_the_same_again_is_repeated_and_first_received_first_counted() -> None:
    again = [by_id(0, "a"), by_id(0, "a", received=9 * MINUTES), by_id(0, "a", at=30)]
    cohort = settled(again)
    assert (said(cohort)[0], named(cohort)) == ("a", {"repeated": 2})


def test_what_was_taken_back_stands_again_when_it_is_said_again_within_the_horizon() -> None:
    def unsaid(value: str, received: float) -> Outcome:
        """Nobody said when it was observed."""
        return by_id(0, value, at=received, received=received)

    told = [unsaid("a", 10), unsaid("b", 20), unsaid("a", 30)]
    cohort = settled(told)
    assert (said(cohort)[0], named(cohort)) == ("a", {"contradicting": 1, "repeated": 1})
    assert [one.outcome for one in settle(told)] == ["a"]
    late = settled([*told[:2], unsaid("a", 8 * MINUTES)])
    assert (said(late)[0], named(late)) == ("b", {"contradicting": 1, "repeated": 1})


def test_what_was_true_before_the_prediction_does_not_count() -> None:
    cohort = settled([by_id(0, "a", at=-1), by_id(1, "b", at=0)])
    assert (said(cohort), named(cohort)) == ([None, "b", None], {"before": 1})


def test_unknown_predictions_of_the_cohorts_days_are_counted_and_other_days_are_none_of_its_business() -> None:
    other = by_id(0, "x")
    elsewhere = Outcome("x", other.at, other.received_at, prediction_id=IDS.replace("05-01", "05-02") + "-0")
    assert named(settled([by_id(7, "a"), by_id(7, "a"), elsewhere])) == {"unknown": 1, "repeated": 1}


def test_predictions_outside_the_cohort_take_their_outcomes_with_them() -> None:
    later = prediction(1, at=MINUTES)
    cohort = settled([by_id(0, "a"), by_id(1, "b", at=2 * MINUTES)], predictions=[prediction(0), later])
    assert [one.id for one, _ in cohort.pairs] == [f"{IDS}-0"]
    assert (cohort.counted.predictions, cohort.counted.with_outcome, named(cohort)) == (1, 1, {})


def test_by_entity() -> None:
    made = [prediction(0, 0, ADA), prediction(1, 10, ADA), prediction(2, 0, ADA | {"customer": "Böb"})]
    events = [
        by_entity("Ada", -1, "before"), by_entity("Ada", 5, "first"), by_entity("Ada", 6, "further"),
        by_entity("Ada", 11, "second"), by_entity("Cleo", 5, "unknown"), by_entity("Ada", 5, "first"),
    ]  # fmt: skip
    cohort = settled(events, predictions=made, entity=ENTITY)
    assert said(cohort) == ["first", "second", None]
    assert named(cohort) == {"before": 1, "further": 1, "unknown": 1, "repeated": 1}
    cohort = settled([by_entity("Ada", 5, "entity", at=60), by_id(0, "id", at=61)], predictions=made, entity=ENTITY)
    assert (said(cohort)[0], named(cohort)) == ("id", {"contradicting": 1})


POOL = [
    *[by_id(row, value, at=at, received=received) for row in (0, 1, 9) for value in ("a", "b") for at in (-5, 5)
      for received in (60, 9 * MINUTES)],
    *[by_entity("Ada", minute, value) for minute in (-3, 4, 6, 14) for value in ("a", "b")],
]  # fmt: skip


@given(chosen=st.lists(st.sampled_from(POOL), max_size=25), seed=st.integers(0, 99))
def test_order_changes_nothing_and_every_outcome_is_in_one_place(chosen: list[Outcome], seed: int) -> None:
    made = [prediction(0, 0, ADA), prediction(1, 10, ADA)]
    cohort = settled(chosen, predictions=made, entity=ENTITY)
    shuffled = random.Random(seed).sample(chosen, len(chosen))
    assert settled(shuffled, predictions=made, entity=ENTITY) == cohort
    found = cohort.counted
    counted = found.late + found.before + found.unknown + found.further + found.repeated + found.with_outcome
    # what is left are the older of the different things that were said of one prediction
    assert counted <= len(chosen)
    assert found.contradicting or counted == len(chosen)


def test_no_predictions_no_coverage() -> None:
    cohort = settled([], rows=0)
    assert (cohort.pairs, cohort.counted.to_json()["coverage"]) == ([], None)


def test_days_are_those_of_utc() -> None:
    cohort = settle_cohort([prediction(0)], [], first=NOON.date() + timedelta(1), last=DAY + WEEK, horizon=WEEK)
    assert cohort.pairs == []
