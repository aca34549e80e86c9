from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from perennial.errors import FlightUnknown
from perennial.governance.failures import Failure
from perennial.retraining.decisions import Arrival
from perennial.retraining.triggers import continued_as
from tests.crash import When, crash_at
from tests.unit.retraining.conftest import AT, Tower

LATER = AT + timedelta(hours=1)


def test_a_training_starts_once_enough_rows_have_come(tower: Tower) -> None:
    assert [tower.drop(20), tower.drop(20)] == [None, None]
    flight = tower.drop(20)
    assert flight is not None
    assert tower.executions() == {flight: "RUNNING"}
    assert tower.input(flight) == {"model": "late", "flight": flight, "leg": 1, "settle_seconds": 30, "seen": 3}
    assert tower.facts() == ["declined", "declined", "requested"]


def test_a_repeated_arrival_is_no_new_one(tower: Tower) -> None:
    arrival = tower.commit(30)
    for _ in range(3):
        assert tower.governor.arrive(tower.spec, arrival, AT) is None
    assert tower.facts() == ["declined"]


def test_arrivals_during_a_flight_start_nothing(tower: Tower) -> None:
    flight = tower.drop(60)
    assert [tower.drop(60), tower.drop(60)] == [None, None]
    assert list(tower.executions()) == [flight]


def test_a_look_waits_while_versions_keep_coming(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.drop(10)
    first = tower.governor.freeze(tower.spec, flight, 1, 1, AT)
    assert (first.seen, first.run) == (2, None)
    second = tower.governor.freeze(tower.spec, flight, 1, first.seen, AT)
    assert (second.seen, second.run, second.request_key) == (2, flight, f"staging/{flight}/request.json")


def test_a_frozen_request_names_every_committed_version(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.commit(10)  # committed, and its event is still on its way
    tower.fly(flight)
    request = tower.governor.data.get_json(f"staging/{flight}/request.json")
    assert [one["version"] for one in request["versions"]] == [1, 2]
    assert {name: request[name] for name in ("model", "run", "flight", "dataset", "seed", "catalog")} == {
        "model": "late",
        "run": flight,
        "flight": flight,
        "dataset": "flights",
        "seed": 7,
        "catalog": {"bucket": "assets", "key": "catalog.zip"},
    }
    assert request["versions"][0] == {
        "version": 1,
        "rows": 60,
        "content_sha256": f"{1:064x}",
        "files": ["curated/flights/version=00000001/part-00000.parquet"],
        "first_event_time": "2026-02-01T00:00:00Z",
        "last_event_time": "2026-02-28T23:00:00Z",
    }


def test_a_frozen_request_is_the_same_when_asked_again(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.fly(flight)
    before = tower.governor.data.get(f"staging/{flight}/request.json")
    tower.drop(60)
    assert tower.governor.freeze(tower.spec, flight, 1, 1, LATER).run == flight
    assert tower.governor.data.get(f"staging/{flight}/request.json") == before


def test_an_event_that_comes_after_its_version_was_trained_on_starts_nothing(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    late = tower.commit(500)
    tower.fly(flight)
    tower.governor.finish(tower.spec, flight, 1, None, AT)
    assert tower.governor.arrive(tower.spec, late, AT) is None
    assert list(tower.executions()) == [flight]


def test_arrivals_after_the_freeze_start_one_more(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.fly(flight)
    tower.drop(30)
    tower.drop(30)
    failure, more = tower.governor.finish(tower.spec, flight, 1, None, LATER)
    assert failure is None
    assert set(tower.executions()) == {flight, more}
    # and what is repeated finds it started
    assert tower.governor.finish(tower.spec, flight, 1, None, LATER) == (None, None)
    assert len(tower.executions()) == 2


def test_too_few_arrivals_after_the_freeze_wait_for_more(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.fly(flight)
    tower.drop(30)
    assert tower.governor.finish(tower.spec, flight, 1, None, LATER) == (None, None)
    assert tower.drop(20) is not None


STAGE = {"Error": "TrainingDataInvalid", "Cause": json.dumps({"errorType": "TrainingDataInvalid", "errorMessage": "m"})}


def test_a_failure_is_told_and_not_repeated_for_the_same_data(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.fly(flight)
    failure, more = tower.governor.finish(tower.spec, flight, 1, STAGE, LATER)
    assert failure == Failure("TrainingDataInvalid", "m")
    assert more is None
    assert tower.facts() == ["requested", "failed"]
    assert tower.drop(60) is not None


def test_a_flight_that_fails_before_it_froze_is_not_started_again_by_the_same_arrivals(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.drop(10)
    assert tower.governor.finish(tower.spec, flight, 1, STAGE, LATER)[1] is None
    # what came after it was asked for counts on
    assert tower.drop(40) is not None


def test_a_task_tells_its_failure_in_its_workspace(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.fly(flight)
    tower.governor.data.put_json(f"staging/{flight}/error.json", {"error": "ParityFailed", "cause": "row 3"})
    failed = {"Error": "States.TaskFailed", "Cause": json.dumps({"TaskArn": "arn", "Containers": []})}
    assert tower.governor.finish(tower.spec, flight, 1, failed, LATER)[0] == Failure("ParityFailed", "row 3")


def test_what_a_passing_fault_ended_goes_with_the_next_arrival_however_small(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.fly(flight)
    failed = {"Error": "Lambda.TooManyRequestsException", "Cause": "Rate exceeded"}
    # nothing starts by itself, so an outage that lasts does not loop
    assert tower.governor.finish(tower.spec, flight, 1, failed, LATER)[1] is None
    assert tower.governor.finish(tower.spec, flight, 1, failed, LATER)[1] is None
    assert tower.governor.arrive(tower.spec, Arrival("flights", 1, 60), LATER) is None
    more = tower.drop(1)
    assert more is not None
    look = tower.governor.freeze(tower.spec, more, 1, 2, LATER)
    assert look.seen == 2
    assert not [one for one in tower.governor.triggers.arrivals("late") if one.pending]


@pytest.mark.parametrize("frozen", [False, True])
def test_arrivals_during_a_flight_that_a_passing_fault_ends_start_exactly_one_more(tower: Tower, frozen: bool) -> None:
    flight = tower.drop(60)
    assert flight is not None
    if frozen:
        tower.fly(flight)
    tower.drop(1)
    stage = {"Error": "StorageUnavailable", "Cause": json.dumps({"errorType": "StorageUnavailable"})}
    more = tower.governor.finish(tower.spec, flight, 1, stage, LATER)[1]
    assert set(tower.executions()) == {flight, more}
    record = [one for one in tower.governor.ledger.read("model/late") if one.fact == "failed"]
    assert [one.evidence["fault"] for one in record] == ["surroundings"]


def test_an_ending_that_is_repeated_late_takes_nothing_from_a_later_flight(tower: Tower) -> None:
    first = tower.drop(60)
    assert first is not None
    tower.fly(first)
    passing = {"Error": "ECS.ServerException", "Cause": "no"}
    tower.governor.finish(tower.spec, first, 1, passing, LATER)
    second = tower.drop(1)
    assert second is not None
    tower.fly(second)
    tower.governor.finish(tower.spec, second, 1, passing, LATER)
    tower.governor.finish(tower.spec, first, 1, passing, LATER)
    assert [(one.flight, one.pending) for one in tower.governor.triggers.arrivals("late")] == [(second, True)] * 2


class TestLegs:
    """A flight that settles for long goes on in further executions."""

    def test_the_next_leg_knows_what_the_last_look_saw(self, tower: Tower) -> None:
        flight = tower.drop(60)
        assert flight is not None
        tower.drop(1)
        further = tower.governor.hand_over(tower.spec, flight, 1, 2)
        assert further == f"{flight}-2" == continued_as(flight)
        assert continued_as(further) == f"{flight}-3"
        assert tower.input(further) == {"model": "late", "flight": flight, "leg": 2, "settle_seconds": 30, "seen": 2}
        assert tower.governor.freeze(tower.spec, flight, 2, 2, AT).run == flight
        assert tower.facts() == ["requested"]

    def test_handing_over_twice_is_handing_over_once(self, tower: Tower) -> None:
        flight = tower.drop(60)
        assert flight is not None
        assert [tower.governor.hand_over(tower.spec, flight, 1, 1) for _ in range(2)] == [f"{flight}-2"] * 2
        assert set(tower.executions()) == {flight, f"{flight}-2"}

    def test_a_leg_that_has_handed_over_can_neither_freeze_nor_end_the_flight(self, tower: Tower) -> None:
        flight = tower.drop(60)
        assert flight is not None
        tower.governor.hand_over(tower.spec, flight, 1, 1)
        with pytest.raises(FlightUnknown, match="leg 1"):
            tower.governor.freeze(tower.spec, flight, 1, 1, AT)
        assert tower.governor.finish(tower.spec, flight, 1, STAGE, AT) == (Failure("TrainingDataInvalid", "m"), None)
        assert tower.facts() == ["requested"]
        tower.end(flight)
        assert tower.drop(60) is None
        assert tower.executions() == {flight: "ABORTED", f"{flight}-2": "RUNNING"}

    def test_a_leg_that_was_stopped_is_taken_over_by_the_next_arrival(self, tower: Tower) -> None:
        flight = tower.drop(60)
        assert flight is not None
        tower.end(tower.governor.hand_over(tower.spec, flight, 1, 1))
        assert tower.drop(60) not in (None, flight)
        assert tower.facts() == ["requested", "failed", "requested"]

    @pytest.mark.parametrize("when", ["before-send", "after-call"])
    @pytest.mark.parametrize("number", range(1, 5))
    def test_a_crash_at_any_call_is_finished_by_whoever_comes_next(self, tower: Tower, number: int, when: When) -> None:
        flight = tower.drop(60)
        assert flight is not None
        with crash_at(number, when):
            tower.governor.hand_over(tower.spec, flight, 1, 1)
        handed = tower.governor.triggers.flight("late")
        assert handed is not None
        # its repetition, or an arrival that finds the leg without an execution
        if number % 2 or handed.leg == 1:
            tower.governor.hand_over(tower.spec, flight, 1, 1)
        else:
            tower.drop(60)
        assert set(tower.executions()) == {flight, f"{flight}-2"}


def test_a_flight_that_is_not_under_way_cannot_freeze(tower: Tower) -> None:
    with pytest.raises(FlightUnknown):
        tower.governor.freeze(tower.spec, "late-000001-made-up", 1, 1, AT)


@pytest.mark.parametrize("status", ["aborted"])
def test_a_flight_whose_execution_was_stopped_is_taken_over_by_the_next_arrival(tower: Tower, status: str) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.end(flight, status)
    more = tower.drop(60)
    assert more not in (None, flight)
    assert tower.facts() == ["requested", "failed", "requested"]
    assert tower.executions() == {flight: "ABORTED", more: "RUNNING"}


def test_a_schedule_trains_on_what_is_new_whatever_its_size(tower: Tower) -> None:
    tower.drop(1)
    record = tower.schedule(LATER)
    assert (record.decided, record.flight is not None) == ("started", True)
    # and its repetition finds it started
    assert tower.schedule(LATER) == record
    assert list(tower.executions()) == [record.flight]


def test_a_schedule_is_declined_when_nothing_is_new(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.fly(flight)
    tower.governor.finish(tower.spec, flight, 1, None, AT)
    assert [tower.schedule(LATER).why for _ in range(2)] == ["no dataset version since the last training"] * 2
    assert tower.facts() == ["requested", "declined"]
    assert list(tower.executions()) == [flight]


def test_a_schedule_is_declined_while_a_training_is_under_way(tower: Tower) -> None:
    flight = tower.drop(60)
    record = tower.schedule(LATER)
    assert (record.decided, record.why) == ("declined", f"a training is under way: {flight}")


def test_a_schedule_tries_again_what_failed(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.fly(flight)
    tower.governor.finish(tower.spec, flight, 1, STAGE, AT)
    assert tower.schedule(LATER).decided == "started"


def test_of_many_arrivals_at_once_one_starts_the_flight(tower: Tower) -> None:
    arrivals = [tower.commit(60) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda arrival: tower.governor.arrive(tower.spec, arrival, AT), arrivals))
    under_way = tower.governor.triggers.flight("late")
    assert under_way is not None
    assert {flight for flight in started if flight} <= {under_way.id}
    assert tower.executions() == {under_way.id: "RUNNING"}
    assert tower.facts() == ["requested"]


def test_of_two_looks_at_the_same_time_the_first_freezes_for_both(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    s3, frozen = tower.account.client("s3"), []

    def between(**_: Any) -> None:
        """Another look settles after this one found no request and before it writes its own."""
        s3.meta.events.unregister("before-send.s3.PutObject", between)
        tower.governor.freeze(tower.spec, flight, 1, 1, LATER)
        frozen.append(tower.governor.data.get(f"staging/{flight}/request.json"))

    s3.meta.events.register_first("before-send.s3.PutObject", between)
    assert tower.governor.freeze(tower.spec, flight, 1, 1, AT).run == flight
    assert [tower.governor.data.get(f"staging/{flight}/request.json")] == frozen
