"""Outcomes come in any order, more than once and corrected: what stands is the same."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perennial.outcomes import Outcome, read_outcomes, store, write_outcomes
from perennial.outcomes.record import parse_outcome
from perennial.outcomes.store import Written, settle
from perennial.storage.objects import Objects
from tests.aws import fresh_account
from tests.unit.outcomes.made import after, by_entity, by_id

MODEL = "returns"
DAY = date(2024, 5, 1)
_names = count()

# what is said once arrives once: the same again is the same message
some = st.builds(
    lambda row, outcome, at, amount: by_id(row, outcome, at=at, received=5 + row + outcome, amount=amount),
    st.integers(0, 3),
    st.booleans(),
    st.integers(-5, 5),
    st.none() | st.integers(-2, 2).map(float),
) | st.builds(by_entity, st.sampled_from(["Ada", "Böb"]), st.integers(0, 2), st.booleans(), at=st.integers(0, 3))


@pytest.fixture(scope="module")
def objects() -> Iterator[Objects]:
    with fresh_account() as account:
        yield Objects(account.bucket("data"))


@given(st.lists(st.lists(some, max_size=5), max_size=4), st.randoms(use_true_random=False), st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_recorded_in_any_order_and_with_repeats_the_same_outcomes_stand(
    objects: Objects, batches: list[list[Outcome]], random: Any, data: st.DataObject
) -> None:
    given, again = f"m{next(_names)}", f"m{next(_names)}"
    for batch in batches:
        write_outcomes(objects, given, batch)
    repeated = [*batches, *data.draw(st.lists(st.sampled_from(batches), max_size=3) if batches else st.just([]))]
    random.shuffle(repeated)
    for batch in repeated:
        write_outcomes(objects, again, random.sample(batch, len(batch)))
    assert read_outcomes(objects, again, DAY, DAY) == read_outcomes(objects, given, DAY, DAY)
    kept = [sorted(key.rpartition("/")[2] for key in objects.list(f"outcomes/{model}/")) for model in (given, again)]
    assert kept[0] == kept[1]


@given(st.lists(some, max_size=12))
def test_what_stands_is_what_was_observed_last(outcomes: list[Outcome]) -> None:
    settled = settle(outcomes)
    assert {one.subject for one in settled} == {one.subject for one in outcomes}
    assert len(settled) == len({one.subject for one in settled})
    for outcome in outcomes:
        (stands,) = [one for one in settled if one.subject == outcome.subject]
        assert (stands.at, stands.received_at) >= (outcome.at, outcome.received_at)
    distinct = {(one.subject, one.outcome, one.amount) for one in outcomes}
    assert settled.repeats == len(outcomes) - len(distinct)
    assert settled.conflicts == sum(len([one for one in distinct if one[0] == each.subject]) > 1 for each in settled)


@given(some)
def test_a_line_leads_back_to_its_outcome(outcome: Outcome) -> None:
    assert parse_outcome(json.loads(json.dumps(outcome.line()))) == outcome


def test_a_line_is_plain_json_that_other_tools_read(objects: Objects) -> None:
    assert write_outcomes(objects, "plain", [by_id(3, 17.5, amount=-2.5), by_entity("Ada", 5, "late")]) == (2, 0)
    (key,) = objects.list("outcomes/plain/")
    assert key.startswith("outcomes/plain/date=2024-05-01/")
    assert key.endswith(".jsonl.gz")
    lines = {repr(json.loads(line)) for line in gzip.decompress(objects.get(key)).splitlines()}
    assert lines == {
        repr({
            "amount": -2.5, "at": "2024-05-01T12:00:00.000000Z", "outcome": 17.5,
            "prediction_id": "2024-05-01-0123456789abcdef0123456789abcdef-3",
            "received_at": "2024-05-01T13:00:00.000000Z",
        }),
        repr({
            "at": "2024-05-01T13:00:00.000000Z", "entity": {"customer": "Ada", "shop": 7},
            "event_time": "2024-05-01T12:05:00.000000Z", "outcome": "late",
            "received_at": "2024-05-01T14:00:00.000000Z",
        }),
    }  # fmt: skip


def test_the_same_again_adds_nothing_though_it_comes_later(objects: Objects) -> None:
    said = [by_id(row, at=60, received=60) for row in range(3)]  # nobody said when: as it came
    again = [by_id(row, at=90, received=90) for row in range(3)]
    assert write_outcomes(objects, "again", said) == Written(3, 0)
    assert write_outcomes(objects, "again", [*reversed(again), again[0]]) == Written(0, 4)
    assert list(read_outcomes(objects, "again", DAY, DAY)) == said


def test_the_same_on_another_day_says_nothing_new(objects: Objects) -> None:
    first = by_id(at=0)
    write_outcomes(objects, "days", [first])
    later = replace(first, received_at=first.received_at + timedelta(days=1))
    assert write_outcomes(objects, "days", [later]) == Written(1, 0)
    both = read_outcomes(objects, "days", DAY, DAY + timedelta(days=1))
    assert (len(both), both.repeats, both.conflicts) == (1, 1, 0)
    assert list(read_outcomes(objects, "days", DAY, DAY)) == [first]


def test_a_correction_stands_and_is_counted(objects: Objects) -> None:
    wrong, right = by_id(0, False, at=1), by_id(0, True, at=2)
    assert write_outcomes(objects, "corrected", [right, wrong, by_id(1)]) == (3, 0)
    found = read_outcomes(objects, "corrected", DAY, DAY)
    assert (list(found), found.conflicts, found.repeats) == ([right, by_id(1)], 1, 0)


def test_the_same_moment_in_two_zones_is_the_same_outcome() -> None:
    here = by_id(at=1)
    there = replace(here, at=after(1).astimezone(None))
    assert there.digest == here.digest


def test_many_outcomes_are_several_objects(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_LINES", 4)
    assert write_outcomes(objects, "many", [by_id(row) for row in range(10)]) == Written(10, 0)
    assert len(list(objects.list("outcomes/many/"))) == 3
    assert write_outcomes(objects, "many", [by_id(row) for row in reversed(range(10))]) == Written(0, 10)
    assert len(read_outcomes(objects, "many", DAY, DAY)) == 10


def test_of_a_model_without_outcomes_none_are_read(objects: Objects) -> None:
    found = read_outcomes(objects, "nothing", DAY, DAY + timedelta(days=400))
    assert (list(found), found.repeats, found.conflicts) == ([], 0, 0)
    assert write_outcomes(objects, MODEL, []) == Written(0, 0)
