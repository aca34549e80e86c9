"""Which prediction an outcome belongs to."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perennial.outcomes import Outcome, join_outcomes
from perennial.serving.log import Prediction
from tests.unit.outcomes.made import by_entity, by_id, prediction

ENTITY = ["customer", "shop"]
ADA = {"customer": "Ada", "shop": 7, "price": 3.0}


def joined(predictions: list[Prediction], outcomes: list[Outcome], entity: list[str] | None = None) -> dict[int, Any]:
    """The outcome's value of each prediction, by its row."""
    pairs = list(join_outcomes(predictions, outcomes, ENTITY if entity is None else entity))
    assert sorted(one.id for one, _ in pairs) == sorted(one.id for one in predictions)
    return {int(one.id.rpartition("-")[2]): found and found.outcome for one, found in pairs}


def test_by_id() -> None:
    made = [prediction(row, inputs=ADA) for row in range(3)]
    assert joined(made, [by_id(2, "kept"), by_id(0, "lost"), by_id(9, "of none")], []) == {
        0: "lost", 1: None, 2: "kept",
    }  # fmt: skip


def test_by_entity_the_last_prediction_before_the_event_gets_it() -> None:
    made = [prediction(0, 0, ADA), prediction(1, 10, ADA), prediction(2, 20, ADA | {"customer": "Böb"})]
    assert joined(made, [by_entity("Ada", 15, "back")]) == {0: None, 1: "back", 2: None}
    assert joined(made, [by_entity("Ada", 9, "back"), by_entity("Böb", 19, "too early")]) == {
        0: "back", 1: None, 2: None,
    }  # fmt: skip
    assert joined(made[::-1], [by_entity("Ada", 10, "at once")]) == {0: None, 1: "at once", 2: None}


def test_of_several_events_the_first_after_the_prediction_counts() -> None:
    made = [prediction(0, 0, ADA), prediction(1, 10, ADA)]
    events = [by_entity("Ada", 25, "third"), by_entity("Ada", 12, "second"), by_entity("Ada", 3, "first")]
    assert joined(made, events) == {0: "first", 1: "second"}


def test_a_number_is_the_same_entity_however_it_was_sent() -> None:
    assert joined([prediction(0, 0, ADA | {"shop": 7.0})], [by_entity("Ada", 1, "back")]) == {0: "back"}


def test_a_prediction_whose_entity_is_not_known_has_no_outcome() -> None:
    made = [prediction(0, 0, None), prediction(1, 0, ADA | {"customer": None}), prediction(2, 0, {"price": 1.0})]
    assert joined(made, [by_entity("Ada", 1)]) == {0: None, 1: None, 2: None}


def test_of_an_outcome_by_id_and_one_by_entity_the_newer_stands() -> None:
    made = [prediction(0, 0, ADA), prediction(1, 10, ADA)]
    assert joined(made, [by_entity("Ada", 1, "entity", at=60), by_id(0, "id", at=61)]) == {0: "id", 1: None}
    assert joined(made, [by_entity("Ada", 1, "entity", at=60), by_id(0, "id", at=59)]) == {0: "entity", 1: None}
    assert joined(made, [by_entity("Ada", 11, "entity"), by_id(0, "id")]) == {0: "id", 1: "entity"}


@given(
    st.permutations([prediction(row, row // 2, ADA | {"customer": "Ada" if row % 3 else "Böb"}) for row in range(8)]),
    st.lists(st.integers(0, 8), unique=True),
)
def test_each_event_belongs_to_one_prediction_in_whatever_order_they_come(
    made: list[Prediction], happened: list[int]
) -> None:
    events = [by_entity("Ada", minute, minute) for minute in happened]
    found = joined(made, events)
    assert found == joined(sorted(made, key=lambda one: one.id), events[::-1])
    given = [value for value in found.values() if value is not None]
    assert len(given) == len(set(given))
    for row, minute in found.items():
        assert minute is None or (row % 3 and row // 2 <= minute)
