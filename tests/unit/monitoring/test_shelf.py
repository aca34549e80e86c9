"""A day is read once, sealed once, and what comes after changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from perennial.monitoring.calendar import Span
from perennial.monitoring.days import INPUT, runs, sealed, typed
from perennial.monitoring.shelf import counted as counts
from perennial.outcomes import Outcome
from perennial.storage.objects import Objects
from tests.aws import fresh_account
from tests.unit.monitoring.logs import MODEL, at, counted, day, deliver, ids, record, said, shelf, tell


@pytest.fixture
def objects() -> Iterator[Objects]:
    with fresh_account() as account:
        yield Objects(account.bucket("data"))


def rows(objects: Objects, number: int, as_of: float, **more: Any) -> list[dict[str, Any]]:
    """The rows of a day."""
    table = shelf(objects, as_of, **more).days(Span(day(number), day(number)))[day(number)]
    names = [name for name in table.column_names if name != "at"]
    found: list[dict[str, Any]] = table.select(names).to_pylist()
    return found


def cohort(objects: Objects, number: int, as_of: float, **more: Any) -> tuple[list[Any], dict[str, Any]]:
    """Outcome and amount of each row of a day whose cohort is complete, and the counts."""
    found = shelf(objects, as_of, **more).cohorts(Span(day(number), day(number)))[day(number)]
    return list(zip(found["outcome"].to_pylist(), found["amount"].to_pylist(), strict=True)), dict(counts(found))


def there(objects: Objects) -> set[str]:
    return {key.removeprefix(f"monitoring/{MODEL}/") for key in objects.list("monitoring/")}


def test_a_day_is_found_wherever_its_records_were_delivered_each_once(objects: Objects) -> None:
    deliver(objects, "a", record(0.999, [1.0]), record(1.0, [2.0, None]), on=day(0))
    deliver(objects, "b", record(1.9, [3.0]), record(1.0, [2.0, None]), on=day(2))
    found = rows(objects, 1, as_of=10)
    assert [row[INPUT + "price"] for row in found] == [2.0, None, 3.0]
    assert [row["id"] for row in found] == [f"{ids(1.0)}-0", f"{ids(1.0)}-1", f"{ids(1.9)}-0"]
    assert found[0]["probability"] == [0.75, 0.25]
    assert (found[0]["prediction"], found[0]["version"], found[0]["shortened"]) == (False, 1, False)


def test_a_settled_day_is_sealed_and_read_no_more(objects: Objects) -> None:
    deliver(objects, "a", record(0.5, [1.0]), on=day(0))
    before = rows(objects, 0, as_of=2.2)
    assert there(objects) == {"day=2024-05-01/predictions.parquet"}
    deliver(objects, "late", record(0.6, [2.0]), on=day(1))
    assert rows(objects, 0, as_of=9) == before
    with counted() as calls:
        rows(objects, 0, as_of=9)
    assert calls == ["s3.ListObjectsV2", "s3.GetObject"]


def test_a_day_that_has_not_settled_is_made_afresh_and_not_kept(objects: Objects) -> None:
    deliver(objects, "a", record(0.5, [1.0]), on=day(0))
    assert len(rows(objects, 0, as_of=2.1)) == 1
    deliver(objects, "b", record(0.6, [2.0]), on=day(1))
    assert len(rows(objects, 0, as_of=2.1)) == 2
    assert not there(objects)


def test_the_same_log_gives_the_same_bytes_in_whatever_order_it_was_delivered(objects: Objects) -> None:
    records = [record(number / 10, [float(number)], sizes=["é"]) for number in range(9)]
    etags = set()
    for seed in range(3):
        Random(seed).shuffle(records)
        for key in list(objects.list("")):
            objects.delete(key)
        for number, one in enumerate(records):
            deliver(objects, str(number), one, on=day(0))
        rows(objects, 0, as_of=9)
        etags |= {one.etag for one in objects.entries("monitoring/")}
    assert len(etags) == 1


def test_rows_without_inputs_and_of_versions_with_other_inputs_stand_side_by_side(objects: Objects) -> None:
    deliver(
        objects, "a", record(0.1, [1.5]), record(0.2, ["x", True], version=2, inputs={"weight": [1, None]}),
        record(0.3, [1.0], inputs=None), on=day(0),
    )  # fmt: skip
    found = rows(objects, 0, as_of=9)
    assert [row[INPUT + "price"] for row in found] == [1.5, None, None, None]
    assert [row[INPUT + "weight"] for row in found] == [None, 1, None, None]
    assert [row["shortened"] for row in found] == [False, False, False, True]


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ([True, None], "bool", [True, None]),
        ([1, None, 2**62], "int64", [1, None, 2**62]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([2**70, 1], "double", [float(2**70), 1.0]),
        (["a", None], "string", ["a", None]),
        ([True, 1], "string", ["true", "1"]),
        (["a", 1], "string", ['"a"', "1"]),
        ([None], "string", [None]),
        ([], "string", []),
    ],
)
def test_json_values_become_columns(values: list[Any], kind: str, kept: list[Any]) -> None:
    found = typed(values)
    assert (str(found.type), found.to_pylist()) == (kind, kept)


def test_days_that_are_gone_from_the_log_are_not_taken_for_empty_ones(objects: Objects) -> None:
    found = shelf(objects, 9, oldest=3).days(Span(day(1), day(4)))
    assert list(found) == [day(3), day(4)]


def test_new_days_are_read_in_parts(objects: Objects) -> None:
    days = [day(number) for number in (0, 1, 2, 5, *range(10, 18))]
    spans = [(span.first, len(span)) for span in runs(days)]
    assert spans == [(day(0), 3), (day(5), 1), (day(10), 7), (day(17), 1)]
    assert list(runs([])) == []


def test_outcomes_within_the_horizon_make_a_cohort_and_later_ones_change_nothing(objects: Objects) -> None:
    deliver(objects, "a", record(0.5, [1.0, 2.0, 3.0]), on=day(0))
    tell(objects, said(0.5, 0, True, amount=9.5), said(0.5, 1, False, after=1.9))
    assert not shelf(objects, 4.1).cohorts(Span(day(0), day(0)))
    wanted, found = cohort(objects, 0, as_of=4.2)
    assert wanted == [(True, 9.5), (False, None), (None, None)]
    assert (found["predictions"], found["with_outcome"], found["coverage"]) == (3, 2, 2 / 3)
    tell(objects, said(0.5, 2, True, after=1.0), said(0.5, 0, False, after=1.5))  # as if they had been there in time
    assert cohort(objects, 0, as_of=400)[0] == wanted


def test_what_is_wrong_with_outcomes_is_told_apart_and_nothing_counts_twice(objects: Objects) -> None:
    deliver(objects, "a", record(0.5, [1.0] * 4), on=day(0))
    tell(
        objects,
        said(0.5, 0, True), said(0.5, 0, True, after=1.5),  # twice
        said(0.5, 1, True), said(0.5, 1, False, after=1.5),  # contradicting
        said(0.5, 2, True, after=2.4),  # too late, by hours
        said(0.5, 3, True, at=at(0.4)),  # before the prediction
        said(0.5, 9, True),  # no such row
    )  # fmt: skip
    wanted, found = cohort(objects, 0, as_of=9)
    assert [outcome for outcome, _ in wanted] == [True, False, None, None]
    assert {name: found[name] for name in ("late", "before", "unknown", "contradicting", "with_outcome")} == {
        "late": 1, "before": 1, "unknown": 1, "contradicting": 1, "with_outcome": 2,
    }  # fmt: skip


def test_by_entity_an_outcome_finds_the_last_prediction_whichever_day_it_was_on(objects: Objects) -> None:
    for number in (0, 1):
        deliver(objects, str(number), record(number + 0.5, [1.0], sizes=["Ada"]), on=day(number))
    happened = Outcome(True, at(1.9), at(1.9), entity={"size": "Ada"}, event_time=at(1.6))
    tell(objects, happened)
    assert cohort(objects, 0, as_of=9, entity=["size"])[0] == [(None, None)]
    assert cohort(objects, 1, as_of=9, entity=["size"])[0] == [(True, None)]


def test_a_day_without_traffic_is_sealed_as_such(objects: Objects) -> None:
    assert rows(objects, 0, as_of=9) == []
    assert cohort(objects, 0, as_of=9)[1]["coverage"] is None
    span = Span(day(0), day(0))
    names = {name for _, name in sealed(objects, MODEL, span)}
    assert names == {"predictions.parquet", "outcomes.jsonl.gz", "cohort.parquet"}


def test_two_who_seal_a_day_read_what_the_first_one_wrote(objects: Objects) -> None:
    deliver(objects, "a", record(0.5, [1.0]), on=day(0))
    slow = shelf(objects, 9)
    slow.list(Span(day(0), day(0)))
    rows(objects, 0, as_of=9)
    deliver(objects, "b", record(0.6, [2.0]), on=day(0))
    assert slow.days(Span(day(0), day(0)))[day(0)].num_rows == 1


def test_horizons_are_whole_days_from_the_end_of_the_day(objects: Objects) -> None:
    assert shelf(objects, 0).horizon == timedelta(days=2)
