"""What may stand in a feedback request, and how a wrong one is told: by entry, member and rule."""

from __future__ import annotations

import json
import re
from calendar import isleap
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perennial.catalog.contract import parse_contract
from perennial.catalog.model import parse_model
from perennial.outcomes import Outcome
from perennial.outcomes.entries import read_entries
from perennial.outcomes.limits import MAX_ENTRIES, PREDICTION_ID
from perennial.serving.errors import RequestRefused
from perennial.serving.strict_json import parse
from tests.unit.outcomes.catalog import CONTRACT, DAYS, KEPT

ORDERS = parse_contract(CONTRACT, "orders.yaml")
SPECS = {"days": parse_model(DAYS, "days.yaml"), "kept": parse_model(KEPT, "kept.yaml")}
IDS = "2013-04-01-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SENT = datetime(2013, 4, 1, 9, 3, 58, tzinfo=UTC)


def by_id(row: int = 0, outcome: Any = 3.5, **more: Any) -> dict[str, Any]:
    return {"prediction_id": f"{IDS}-{row}", "outcome": outcome, **more}


def by_entity(customer: Any = "Ada", shop: Any = 7, **more: Any) -> dict[str, Any]:
    about = {"customer": customer, "shop": shop}
    return {"entity": about, "event_time": "2013-03-31T10:00:00Z", "outcome": 3.5, **more}


def read(body: Any, model: str = "days") -> list[Outcome]:
    text = body if isinstance(body, str) else json.dumps(body)
    return read_entries(parse(text), SPECS[model], ORDERS, SENT)


def refusal(body: Any, model: str = "days") -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        read(body, model)
    return refused.value


REFUSED: list[tuple[Any, str]] = [
    ({}, "outcomes must be a list of at least one outcome"),
    ({"outcomes": []}, "at least one"),
    ({"outcomes": {}}, "outcomes must be a list"),
    ({"outcomes": [by_id()], "model": "days"}, "unexpected member 'model'"),
    ({"outcomes": [by_id(), 3]}, "outcomes[1]: an outcome is an object"),
    ({"outcomes": [by_id(), {"outcome": 3.5}]}, "outcomes[1].prediction_id: required"),
    ({"outcomes": [{"prediction_id": f"{IDS}-0"}]}, "outcomes[0].outcome: required"),
    ({"outcomes": [by_id(0, None)]}, "outcomes[0].outcome: required"),
    ({"outcomes": [by_id(), by_id(1, "much")]}, "outcomes[1].outcome: type (much)"),
    ({"outcomes": [by_id(0, -1)]}, "outcomes[0].outcome: minimum (-1)"),
    ({"outcomes": [by_id(0, True)]}, "outcomes[0].outcome: type (true)"),
    ({"outcomes": [by_id(0, [3])]}, "outcomes[0]: json (outcome: an object or array is no value"),
    ({"outcomes": [by_id() | {"prediction_id": "7"}]}, "outcomes[0].prediction_id: pattern (7)"),
    (
        {"outcomes": [by_id(), by_id() | {"prediction_id": f"2024-02-30{IDS[10:]}-0"}]},
        f"outcomes[1].prediction_id: pattern (2024-02-30{IDS[10:]}-0)",
    ),
    ({"outcomes": [by_id() | {"prediction_id": f"{IDS}-0\nx"}]}, "outcomes[0].prediction_id: pattern"),
    ({"outcomes": [by_id(amout=3)]}, "unexpected key 'amout'"),
    ({"outcomes": [by_id(amount="a lot")]}, "outcomes[0].amount: type (a lot)"),
    ({"outcomes": [by_id(amount=1e15), by_id(1, amount=1.1e15)]}, "outcomes[1].amount: maximum (1100000000000000.0)"),
    ({"outcomes": [by_id(amount=-1.7e308)]}, "outcomes[0].amount: minimum (-1.7e+308)"),
    ({"outcomes": [by_id(at="yesterday")]}, "outcomes[0].at: type (yesterday)"),
    ({"outcomes": [by_id(at="2013-04-02T09:04:00Z")]}, "outcomes[0].at: maximum"),
    ({"outcomes": [by_id() | by_entity()]}, "outcomes[0]: names both"),
    ({"outcomes": [by_entity() | {"entity": "Ada"}]}, "outcomes[0].entity: must be an object of customer, shop"),
    ({"outcomes": [by_entity() | {"entity": {"customer": "Ada"}}]}, "outcomes[0].entity: must be an object of"),
    ({"outcomes": [by_entity() | {"event_time": None}]}, "outcomes[0].event_time: required"),
    ({"outcomes": [by_entity("Ada", "seven")]}, "outcomes[0].shop: type (seven)"),
    ({"outcomes": [by_entity("Ada", None)]}, "outcomes[0].shop: required"),
    (
        {"outcomes": [by_entity(customer="Ada") | {"customer": "Bob"}]},
        "'customer' stands both in the entity and beside",
    ),
    ({"outcomes": [by_entity(customer={"name": "Ada"})]}, "outcomes[0]: json (customer: an object or array"),
    ({"outcomes": [by_id(0, "\ud800")]}, "half of a surrogate pair"),
    ('{"outcomes": [{"prediction_id": "x", "outcome": NaN}]}', "NaN is not JSON"),
    ('{"outcomes": [{"prediction_id": "x", "outcome": 1e999}]}', "outcomes[0]: holds a number that is not finite"),
    ('{"outcomes": [{"outcome": 1, "outcome": 2}]}', "'outcome' stands twice in one object"),
    ('{"outcomes": [', "the body is not JSON"),
    ("", "the body is not JSON"),
    ("[1]", "the body is not a JSON object"),
    ('{"outcomes": ' + "[" * 100_000, "nested too deeply"),
    ('{"outcomes": [{"prediction_id": "x", "outcome": ' + "1" * 5000 + "}]}", "the body is not JSON"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_told_by_entry_and_rule(body: Any, message: str) -> None:
    refused = refusal(body)
    assert refused.status == 400
    assert message in str(refused)


def test_the_first_problems_are_told_and_the_others_counted() -> None:
    entries = [by_entity(), *[by_id(row, "much" if row % 2 else 1) for row in range(40)], by_entity("Ada", "x")]
    told = [f"outcomes[{place}].outcome: type (much)" for place in (2, 4, 6, 8, 10)]
    assert str(refusal({"outcomes": entries})) == "; ".join([*told, "and 15 more"])


def test_what_the_spec_does_not_name_is_refused() -> None:
    told = "model 'kept' names no entity in its spec: outcomes need the prediction_id they are about"
    assert told in str(refusal({"outcomes": [by_id(0, True), by_entity(outcome=True)]}, "kept"))
    assert "outcomes[1]" in str(refusal({"outcomes": [by_id(0, True), by_entity(outcome=True)]}, "kept"))
    smuggled = {"entity": {"prediction_id": f"{IDS}-0"}, "outcome": True}
    assert told in str(refusal({"outcomes": [smuggled]}, "kept"))
    assert "model 'kept' names no amount_unit" in str(refusal({"outcomes": [by_id(0, True, amount=3)]}, "kept"))


def test_as_many_entries_as_may_come_are_taken_and_no_more() -> None:
    entries = [by_id(row, row / 8) for row in range(MAX_ENTRIES)]
    assert [one.outcome for one in read({"outcomes": entries})] == [row / 8 for row in range(MAX_ENTRIES)]
    assert refusal({"outcomes": [*entries, by_id()]}).status == 413


def test_ids_begin_with_a_day_of_the_calendar() -> None:
    def is_day(text: str) -> bool:
        try:
            return date.fromisoformat(text).year >= 1000
        except ValueError:
            return False

    for year in (0, 4, 999, 1000, 1900, 2000, 2023, 2024, 2100, 9999):
        for month, day in product(range(14), range(33)):
            text = f"{year:04}-{month:02}-{day:02}"
            assert bool(re.match(PREDICTION_ID, f"{text}{IDS[10:]}-0")) == is_day(text), text
    leap = {year for year in range(1000, 10_000) if re.match(PREDICTION_ID, f"{year}-02-29{IDS[10:]}-0")}
    assert leap == {year for year in range(1000, 10_000) if isleap(year)}


words = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
anything = st.recursive(
    words | st.sampled_from([f"{IDS}-1", "2013-03-31T10:00:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["customer", "shop"]) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
members = ["prediction_id", "entity", "event_time", "outcome", "amount", "at"]
entry = st.dictionaries(st.sampled_from(members) | st.text(max_size=5), anything, max_size=6)


said = st.lists(entry | st.builds(by_id, st.integers(0, 9), anything), min_size=1, max_size=4)
bodies = st.fixed_dictionaries({"outcomes": said})


@given(bodies)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_is_said_is_an_outcome_or_refused(body: dict[str, Any]) -> None:
    try:
        outcomes = read(body)
    except RequestRefused as refused:
        assert 400 <= refused.status < 500
    else:
        assert len(outcomes) == len(body["outcomes"])
        assert all(isinstance(one.outcome, float) and one.outcome >= 0 for one in outcomes)
