"""What is recorded of triggers: one record each, whatever repeats, dies or comes late; and the governor's rules."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from perennial.retraining.decisions import AGAIN, MONTH
from perennial.retraining.records import Record
from perennial.retraining.triggers import STARTS, Head
from tests.crash import When, crash_at
from tests.unit.retraining.conftest import AT, REPORT, Tower

HOUR = timedelta(hours=1)


def decided(tower: Tower) -> list[tuple[str, str]]:
    return [(one.reason, one.decided) for one in tower.records()]


def asks(tower: Tower, who: str) -> Record:
    match who:
        case "person":
            return tower.person(AT)
        case "alarm":
            return tower.alarm(AT)
    return tower.schedule(AT)


def facts(tower: Tower) -> list[dict[str, Any]]:
    """What the bus was told."""
    sqs, found = tower.account.client("sqs"), list[dict[str, Any]]()
    while messages := sqs.receive_message(QueueUrl=tower.queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=tower.queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_each_reason_leaves_a_record_with_its_evidence(tower: Tower) -> None:
    tower.govern(drift=True)
    tower.drop(20)
    tower.schedule(AT + HOUR)
    tower.alarm(AT + 2 * HOUR, "1/drift", "drift")
    tower.alarm(AT + 3 * HOUR, "1/harm", outcomes=12)
    tower.person(AT + 4 * HOUR)
    assert decided(tower) == [
        ("data", "declined"),
        ("schedule", "started"),
        ("drift", "declined"),
        ("performance", "declined"),
        ("person", "declined"),
    ]
    data, schedule, drift, harm, person = tower.records()
    assert data.evidence == {"dataset": "flights", "version": 1, "rows": 20}
    assert schedule.evidence == {"scheduled": "2026-03-01T13:00:00+00:00"}
    assert drift.evidence == {
        "alarm": "1/drift", "version": 1, "outcomes": 0, "summary": "worse since Monday", "report_key": REPORT,
        "as_of": "2026-03-01T14:00:00Z",
    }  # fmt: skip
    assert (harm.key, harm.evidence["outcomes"]) == ("performance/1/harm", 12)
    assert person.evidence == {
        "by": "arn:aws:iam::123456789012:user/ana", "principal": "AIDA1", "words": "new tariff",
    }  # fmt: skip
    assert {one.why for one in (drift, harm, person)} == {f"a training is under way: {schedule.flight}"}


def test_a_decline_is_told_with_who_asked_and_when_it_may_be_otherwise(tower: Tower) -> None:
    tower.govern(cool_down=7200)
    tower.train(tower.drop(60))
    declined = tower.alarm(AT + HOUR)
    [fact] = [one["detail"] for one in facts(tower) if one["detail-type"] == "Retrain Declined"]
    assert {name: fact[name] for name in ("model", "reason", "trigger", "key")} == {
        "model": "late", "reason": declined.why, "trigger": "performance", "key": "performance/1/a",
    }  # fmt: skip
    assert datetime.fromisoformat(fact["not_before"]) == AT + 2 * HOUR
    *_, record = tower.governor.ledger.read("model/late")
    assert record.fact == "declined"
    assert record.evidence["reason"] == declined.why
    assert record.evidence["trigger"]["evidence"]["summary"] == "worse since Monday"


@pytest.mark.parametrize("kind", ["alarm", "person"])
def test_the_request_of_a_training_names_the_trigger(tower: Tower, kind: str) -> None:
    tower.commit(1)
    record = tower.alarm(AT) if kind == "alarm" else tower.person(AT)
    assert record.flight is not None
    tower.fly(record.flight)
    request = tower.governor.data.get_json(f"staging/{record.flight}/request.json")
    told = {
        "alarm": "performance of version 1: worse since Monday",
        "person": "arn:aws:iam::123456789012:user/ana asked: new tariff",
    }
    assert request["reason"] == record.why == told[kind]
    assert request["trigger"] == {"reason": record.reason, "key": record.key, "evidence": record.evidence}
    [requested] = [one for one in tower.governor.ledger.read("model/late") if one.fact == "requested"]
    assert requested.evidence["trigger"] == request["trigger"]


# ---- the same again


def test_the_same_trigger_again_changes_nothing(tower: Tower) -> None:
    tower.commit(1)
    first = tower.alarm(AT)
    before = list(tower.governor.ledger.read("model/late"))
    assert [tower.alarm(AT + hours * HOUR) for hours in (0, 1, 50, -3)] == [first] * 4
    assert tower.records() == [first]
    assert list(tower.governor.ledger.read("model/late")) == before
    assert len(tower.executions()) == 1
    assert not facts(tower)


def test_an_alarm_that_was_declined_may_ask_again_once_the_reason_is_over(tower: Tower) -> None:
    tower.govern(cool_down=7200)
    tower.train(tower.drop(60))
    tower.commit(1)  # there is something to learn
    first = tower.alarm(AT + HOUR)
    assert tower.alarm(AT + HOUR) == tower.alarm(AT + 2 * HOUR - timedelta(seconds=1)) == first
    second = tower.alarm(AT + 2 * HOUR)
    assert (first.decided, second.decided, second.key) == ("declined", "started", first.key)
    # what comes late of the first asking finds it decided, and a started alarm never asks again
    assert tower.alarm(AT + HOUR) == tower.alarm(AT + 900 * HOUR) == second
    assert len(tower.records()) == 3


def test_an_alarm_starts_nothing_when_the_last_training_saw_all_there_is(tower: Tower) -> None:
    tower.train(tower.drop(60))
    declined = tower.alarm(AT + HOUR)
    assert declined.why == "no dataset version since the last training, which would be repeated"
    tower.commit(1)
    assert tower.alarm(AT + HOUR + AGAIN).decided == "started"


def test_rows_that_mature_with_time_are_something_to_learn(tower: Tower) -> None:
    tower.train(tower.drop(60))
    tower.spec = tower.spec.model_copy(update={"train": tower.spec.train.model_copy(update={"maturity": 3600})})
    assert tower.alarm(AT + HOUR).decided == "started"


def test_an_alarm_that_is_switched_off_is_told_once(tower: Tower) -> None:
    tower.commit(1)
    assert {tower.alarm(AT + day * AGAIN, reason="drift").why for day in range(4)} == {
        "alarms of drift start nothing here: train.when.drift is false"
    }
    assert len(tower.records()) == 1
    assert not tower.executions()


def test_a_person_who_asks_twice_is_heard_twice(tower: Tower) -> None:
    tower.commit(1)
    assert [tower.person(AT, request).decided for request in ("r1", "r1", "r2")] == ["started", "started", "declined"]
    assert len(tower.executions()) == 1


# ---- the rules


def test_a_person_may_ask_within_the_cool_down_but_not_beyond_the_budget(tower: Tower) -> None:
    tower.govern(cool_down=7200, monthly=2)
    tower.train(tower.drop(60))
    assert tower.alarm(AT + HOUR).decided == "declined"
    record = tower.person(AT + HOUR)
    tower.train(record.flight, AT + HOUR)
    refused = tower.person(AT + 9 * HOUR, "r2")
    assert (refused.decided, refused.not_before) == ("declined", (AT + MONTH).isoformat())
    assert tower.alarm(AT + 9 * HOUR, "1/b").decided == "declined"
    assert tower.drop(60, AT + 9 * HOUR) is None
    assert tower.person(AT + MONTH, "r3").decided == "started"


def test_arrivals_within_the_cool_down_stay_pending_and_start_with_whoever_comes_after_it(tower: Tower) -> None:
    for comes in ("arrival", "schedule", "alarm"):
        tower.govern(cool_down=7200, outcomes=10**6)
        tower.spec = tower.spec.model_copy(update={"name": comes})
        tower.versions, tower.spec = 0, tower.spec.model_copy(update={"dataset": comes})
        tower.train(tower.drop(60))
        assert [tower.drop(60, AT + HOUR), tower.drop(70, AT + HOUR)] == [None, None]
        _, *declined = tower.records()
        assert [(one.decided, one.not_before) for one in declined] == [("declined", (AT + 2 * HOUR).isoformat())] * 2
        assert "cool-down until 2026-03-01 14:00:00 UTC" in declined[0].why
        later = AT + 2 * HOUR
        if comes == "arrival":
            started = tower.drop(1, later)
        else:
            record = tower.schedule(later) if comes == "schedule" else tower.alarm(later)
            started = record.flight
            if comes == "alarm":  # too few outcomes of its own
                assert record.why == "130 unseen rows in 2 dataset versions that waited"
        assert started is not None
        tower.fly(started)
        assert not [one for one in tower.governor.triggers.arrivals(comes) if one.pending]


def test_arrivals_behind_a_flight_wait_and_say_from_when_on(tower: Tower) -> None:
    tower.govern(cool_down=7200)
    flight = tower.drop(60)
    assert tower.drop(60, AT + HOUR) is None
    *_, waiting = tower.records()
    assert (waiting.decided, waiting.not_before) == ("waiting", (AT + 2 * HOUR).isoformat())
    assert flight is not None
    tower.governor.freeze(tower.spec, flight, 1, 2, AT)
    assert tower.drop(60, AT + HOUR) is None
    # its end lies in the cool-down: nothing starts, and what came is not forgotten
    assert tower.governor.finish(tower.spec, flight, 1, None, AT + HOUR) == (None, None)
    assert tower.drop(1, AT + 2 * HOUR) is not None


def test_minimum_outcomes_are_those_that_are_new_since_the_last_training(tower: Tower) -> None:
    tower.govern(outcomes=100)
    tower.train(tower.drop(60))
    tower.commit(1)
    days = [{"day": "2026-03-01", "rows": 900}, {"day": "2026-03-02", "rows": 60}, {"day": "2026-03-03", "rows": 40}]
    assert tower.alarm(AT + 90 * HOUR, "1/a", outcomes=1000).why == "0 new outcomes are fewer than 100"
    tower.governor.data.put_json(REPORT, {"performance": {"by_day": days[:2]}})
    assert tower.alarm(AT + 90 * HOUR, "1/b", outcomes=1000).why == "60 new outcomes are fewer than 100"
    tower.governor.data.put_json(REPORT, {"performance": {"by_day": days}})
    assert tower.alarm(AT + 90 * HOUR, "1/c", outcomes=1000).decided == "started"


def test_an_alarm_that_comes_after_a_training_it_was_raised_before_is_declined(tower: Tower) -> None:
    tower.train(tower.drop(60, AT + HOUR))
    late = tower.alarm(AT)
    assert (late.decided, late.why) == ("declined", "a training has started since, at 2026-03-01 13:00:00 UTC")


@pytest.mark.parametrize("who", ["person", "alarm", "schedule"])
def test_nothing_starts_without_data(tower: Tower, who: str) -> None:
    record = asks(tower, who)
    assert (record.decided, record.why) == ("declined", "the dataset has no version")


def test_an_alarm_believes_a_flight_for_a_day_and_then_looks(tower: Tower) -> None:
    flight = tower.drop(60)
    assert flight is not None
    tower.end(flight, "aborted")
    assert tower.alarm(AT + HOUR).why == f"a training is under way: {flight}"
    assert tower.alarm(AT + AGAIN + HOUR).decided == "started"
    assert tower.facts() == ["requested", "declined", "failed", "requested"]


def test_starts_are_remembered_as_long_as_they_count() -> None:
    head = Head(7, (AT - 40 * AGAIN, AT - 29 * AGAIN))
    assert head.further(AT) == {"flights": 8, "starts": [(AT - 29 * AGAIN).isoformat(), AT.isoformat()]}
    many = Head(STARTS, tuple(AT - timedelta(seconds=number) for number in range(STARTS)))
    assert len(many.further(AT)["starts"]) == STARTS


# ---- at once, and dying


def test_of_many_alarms_at_once_one_starts_and_each_other_is_declined_once(tower: Tower) -> None:
    tower.commit(60)
    keys = [f"1/{number}" for number in range(12)] * 2
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: tower.alarm(AT, key), keys))
    assert sorted(decided(tower)) == [("performance", "declined")] * 11 + [("performance", "started")]
    assert len(tower.executions()) == 1
    assert sorted(tower.facts()) == ["declined"] * 11 + ["requested"]


@pytest.mark.parametrize("when", ["before-send", "after-call"])
@pytest.mark.parametrize("who", ["person", "alarm", "schedule"])
def test_whoever_dies_at_whatever_call_is_made_good_by_the_repetition(tower: Tower, who: str, when: When) -> None:
    tower.commit(60)
    for number in range(1, 60):
        tower.spec = tower.spec.model_copy(update={"name": f"{who}-{number}"})
        with crash_at(number, when) as death:
            asks(tower, who)
        record = asks(tower, who)
        assert (record.decided, record.told) == ("started", True)
        assert tower.records() == [record]
        assert tower.facts() == ["requested"]
        assert record.flight in tower.executions()
        if not death.happened:
            break
    else:
        pytest.fail("it should have outlived its last call")
    assert len(tower.executions()) == number
