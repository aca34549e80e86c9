from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from functions.retrain.handler import lambda_handler
from perennial.catalog.load import read_catalog
from perennial.errors import FlightUnknown, ModelUnknown
from perennial.openapi import document
from perennial.retraining.triggers import Triggers
from perennial.stage import InputInvalid
from tests.crash.deliver import Once
from tests.functions.conftest import CATALOG, World
from tests.runs import commit_version
from tests.unit.openapi.test_document import validator

EVENTS = Path(__file__).parents[2] / "events"
MODEL = "flight-delays"
WHEN = read_catalog(CATALOG).models[MODEL].train.when


def event(action: str, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"retrain-{action}.json").read_text())
    return found | changes


def arrive(world: World, version: int, rows: int, dataset: str = "flights") -> dict[str, Any]:
    """A batch becomes a dataset version, and its event reaches the governor."""
    commit_version(world.registry, dataset, version, rows)
    detail = event("arrive")["detail"] | {"dataset": dataset, "version": version, "rows": rows}
    result: dict[str, Any] = lambda_handler(event("arrive", detail=detail), None)
    return result


def started(world: World) -> str:
    """Enough rows arrive; the flight that they start."""
    (flight,) = arrive(world, 1, WHEN.min_rows)["started"]
    return str(flight)


def test_arrivals_start_one_lifecycle_once_there_are_enough_rows(world: World) -> None:
    assert arrive(world, 1, WHEN.min_rows - 1)["started"] == []
    (flight,) = arrive(world, 2, 1)["started"]
    assert arrive(world, 3, 10 * WHEN.min_rows)["started"] == []
    (execution,) = world.executions()
    assert execution["name"] == flight
    assert execution["input"] == {
        "model": MODEL, "flight": flight, "leg": 1, "settle_seconds": WHEN.settle, "seen": 2,
    }  # fmt: skip
    assert world.ledger_facts(f"model/{MODEL}") == ["declined", "requested"]


def test_a_dataset_that_no_model_uses_starts_nothing(world: World) -> None:
    assert arrive(world, 1, 10**9, dataset="weather") == event_output()
    assert world.executions() == []


def event_output(**fields: Any) -> dict[str, Any]:
    empty = {"model": None, "flight": None, "ready": False, "next_look": 1, "seen": 0, "settle_seconds": 0, "run": None}
    return empty | {"request_key": None, "started": [], "declined": None, "error": None, "cause": None} | fields


def test_every_model_of_a_dataset_hears_of_its_arrivals(world: World) -> None:
    text = (CATALOG / "models" / f"{MODEL}.yaml").read_text()
    world.deploy_catalog(extra={"models/second.yaml": text.replace(f"name: {MODEL}", "name: second")})
    flights = arrive(world, 1, WHEN.min_rows)["started"]
    assert [flight.rsplit("-", 2)[0] for flight in flights] == [MODEL, "second"]
    assert len(world.executions()) == 2


def test_a_flight_freezes_once_nothing_new_came(world: World) -> None:
    flight = started(world)
    arrive(world, 2, 5)
    looked = lambda_handler(event("freeze", flight=flight, seen=1), None)
    assert looked == event_output(model=MODEL, flight=flight, next_look=2, seen=2, settle_seconds=WHEN.settle)
    frozen = lambda_handler(event("freeze", flight=flight, seen=looked["seen"]), None)
    key = f"staging/{flight}/request.json"
    assert frozen == looked | {"ready": True, "run": flight, "request_key": key}
    request = world.data.get_json(key)
    assert [(one["version"], one["rows"]) for one in request["versions"]] == [(1, WHEN.min_rows), (2, 5)]
    assert request["catalog"]["bucket"] == world.assets.bucket


def test_a_flight_that_succeeded_makes_way_for_what_came_meanwhile(world: World) -> None:
    flight = started(world)
    lambda_handler(event("freeze", flight=flight, seen=1), None)
    arrive(world, 2, WHEN.min_rows)
    finished = lambda_handler(event("finish", flight=flight, run=flight), None)
    assert (finished["error"], len(finished["started"])) == (None, 1)
    assert len(world.executions()) == 2


def test_a_failed_task_is_explained_by_its_own_words(world: World) -> None:
    flight = started(world)
    lambda_handler(event("freeze", flight=flight, seen=1), None)
    world.data.put_json(f"staging/{flight}/error.json", {"error": "TrainingDataInvalid", "cause": "one class"})
    finished = lambda_handler(event("finish-failed", flight=flight, run=flight), None)
    assert (finished["error"], finished["cause"], finished["started"]) == ("TrainingDataInvalid", "one class", [])
    assert world.ledger_facts(f"model/{MODEL}") == ["requested", "failed"]


@pytest.mark.parametrize("taken_back", [False, True])
def test_a_task_that_says_nothing_is_explained_by_how_it_stopped(world: World, taken_back: bool) -> None:
    flight = started(world)
    if taken_back:  # by an attempt that came after the one that had said something
        world.data.put_json(f"staging/{flight}/error.json", {})
    finished = lambda_handler(event("finish-failed", flight=flight, run=None), None)
    assert finished["error"] == "TaskFailed"
    assert finished["cause"] == "Essential container in task exited (exit code 1)"


def test_a_flight_goes_on_in_a_new_execution_and_counts_its_looks_anew(world: World) -> None:
    flight = started(world)
    arrive(world, 2, 5)
    looked = lambda_handler(event("freeze", flight=flight, look=100, seen=1), None)
    assert looked["next_look"] == 101
    handed = lambda_handler(event("hand-over", flight=flight, seen=looked["seen"]), None)
    assert handed == event_output(model=MODEL, flight=flight, started=[f"{flight}-2"])
    further = next(one for one in world.executions() if one["name"] == f"{flight}-2")
    assert further["input"] == {
        "model": MODEL, "flight": flight, "leg": 2, "settle_seconds": WHEN.settle, "seen": 2,
    }  # fmt: skip
    with pytest.raises(FlightUnknown, match="leg 1"):
        lambda_handler(event("freeze", flight=flight, seen=2), None)
    assert lambda_handler(event("freeze", flight=flight, leg=2, seen=2), None)["run"] == flight


def test_a_schedule_that_finds_nothing_new_is_declined_with_a_record(world: World) -> None:
    declined = lambda_handler(event("schedule"), None)
    assert declined["declined"] == "the dataset has no version"
    lambda_handler(event("schedule"), None)
    assert world.ledger_facts(f"model/{MODEL}") == ["declined"]
    fact = world.facts("Retrain Declined")[0]["detail"]
    assert (fact["model"], fact["reason"]) == (MODEL, "the dataset has no version")


def test_a_schedule_starts_with_what_is_new(world: World) -> None:
    arrive(world, 1, 1)
    (flight,) = lambda_handler(event("schedule"), None)["started"]
    assert [execution["name"] for execution in world.executions()] == [flight]


def test_an_unknown_model_is_named(world: World) -> None:
    with pytest.raises(ModelUnknown, match="nobody"):
        lambda_handler(event("schedule", model="nobody"), None)


def test_a_flight_that_was_not_started_here_is_refused(world: World) -> None:
    with pytest.raises(FlightUnknown):
        lambda_handler(event("freeze"), None)


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ("arrive", "detail"),
        ("schedule", "model"),
        ("drift", "alarm"),
        ("freeze", "flight"),
        ("hand-over", "flight"),
        ("finish", "flight"),
    ],
)
def test_a_missing_field_is_named(world: World, action: str, field: str) -> None:
    with pytest.raises(InputInvalid, match=f"needs {field}"):
        lambda_handler(event(action, **{field: None}), None)


# ---- alarms of the monitor


def governed(world: World, **when: Any) -> None:
    """Deploy the shipped model with these fields of train.when besides."""
    spec = yaml.safe_load((CATALOG / "models" / f"{MODEL}.yaml").read_text("utf-8"))
    spec["train"]["when"] |= when
    world.deploy_catalog(extra={f"models/{MODEL}.yaml": yaml.safe_dump(spec)})


def alarm(key: str, at: datetime | None = None, reason: str = "drift") -> dict[str, Any]:
    found = event(reason)
    about = {"as_of": at.isoformat()} if at else {}
    return found | about | {"alarm": found["alarm"] | {"key": key}}


def decided(world: World, model: str = MODEL) -> Counter[str]:
    """How often the governor decided what, as its records say."""
    return Counter(record.decided for record in Triggers(world.triggers).records(model))


@pytest.mark.parametrize("reason", ["drift", "performance"])
def test_an_alarm_starts_a_training_that_says_why(world: World, reason: str) -> None:
    governed(world, drift=True)
    commit_version(world.registry, "flights", 1, 10)
    (flight,) = lambda_handler(event(reason), None)["started"]
    assert [execution["name"] for execution in world.executions()] == [flight]
    lambda_handler(event("freeze", flight=flight, seen=1), None)
    request = world.data.get_json(f"staging/{flight}/request.json")
    summary = event(reason)["alarm"]["summary"]
    assert request["reason"] == f"{reason} of version 3: {summary}"
    assert request["trigger"]["evidence"]["report_key"] == event(reason)["alarm"]["report_key"]


def test_an_alarm_that_is_switched_off_is_declined_with_a_record(world: World) -> None:
    commit_version(world.registry, "flights", 1, 10)
    declined = lambda_handler(event("drift"), None)
    assert declined["declined"] == "alarms of drift start nothing here: train.when.drift is false"
    assert lambda_handler(event("drift"), None) == declined
    assert decided(world) == {"declined": 1}
    assert len(world.facts("Retrain Declined")) == len(world.ledger_facts(f"model/{MODEL}")) == 1


def test_new_outcomes_are_counted_in_the_report_of_the_alarm(world: World) -> None:
    governed(world, outcomes=100)
    flight = started(world)
    lambda_handler(event("freeze", flight=flight, seen=1), None)
    lambda_handler(event("finish", flight=flight, run=flight), None)
    commit_version(world.registry, "flights", 2, 10)
    key, at = event("performance")["alarm"]["report_key"], datetime(2026, 3, 20, tzinfo=UTC)
    report = {"performance": {"by_day": [{"day": "2026-02-27", "rows": 500}, {"day": "2026-03-09", "rows": 99}]}}
    world.data.put_json(key, report)
    told = lambda_handler(alarm("a", at, "performance"), None)
    assert told["declined"] == "99 new outcomes are fewer than 100"
    report["performance"]["by_day"].append({"day": "2026-03-10", "rows": 1})
    world.data.put_json(key, report)
    assert len(lambda_handler(alarm("b", at, "performance"), None)["started"]) == 1


@pytest.mark.parametrize(
    "storm", [80, pytest.param(1000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])], ids=["some", "thousand"]
)
def test_a_storm_of_alarms_is_one_execution_and_recorded_declines(world: World, storm: int) -> None:
    """Distinct alarms within a minute, each delivered two or three times, out of order, four at once."""
    governed(world, drift=True)
    commit_version(world.registry, "flights", 1, 10)
    random, start = Random(5), datetime(2026, 3, 1, tzinfo=UTC)
    alarms = [alarm(f"3/drift/{number}", start + timedelta(seconds=number * 60 / storm)) for number in range(storm)]
    delivered = [one for one in alarms for _ in range(random.choice([2, 3]))]
    random.shuffle(delivered)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: (one["alarm"]["key"], str(lambda_handler(one, None))), delivered))

    assert len(world.executions()) == 1
    assert decided(world) == {"started": 1, "declined": storm - 1}
    # whoever was asked the same answered the same
    assert len(set(answers)) == storm
    assert Counter(world.ledger_facts(f"model/{MODEL}")) == {"requested": 1, "declined": storm - 1}
    assert world.ledger.verify().ok
    told = {fact["detail"]["key"] for fact in world.facts("Retrain Declined")}
    assert len(told) == storm - 1
    # nothing else: the flight, how many there were, the records
    items = world.client("dynamodb").scan(TableName=world.triggers.table, Select="COUNT")["Count"]
    assert items == storm + 2


def test_after_a_storm_the_same_alarms_cost_one_read_each(world: World) -> None:
    governed(world, drift=True)
    commit_version(world.registry, "flights", 1, 10)
    lambda_handler(alarm("3/a"), None)
    lambda_handler(alarm("3/b"), None)
    for again in ("3/a", "3/b"):
        once = Once()
        once(lambda message: lambda_handler(message, None), alarm(again))
        assert once.calls == ["dynamodb.Query"]


# ---- a person


def ask(model: str = MODEL, request: str = "r1", body: Any = None, **changes: Any) -> tuple[int, dict[str, Any]]:
    asked = event("person", **{"rawPath": f"/retrains/{model}", **changes})
    asked["requestContext"]["requestId"] = request
    if body is not None:
        asked["body"] = body if isinstance(body, str) else json.dumps(body)
    reply = lambda_handler(asked, None)
    return reply["statusCode"], json.loads(reply["body"])


ANALYST = "arn:aws:iam::123456789012:user/analyst"


def test_a_person_is_told_what_was_started_and_the_record_says_who_asked(world: World) -> None:
    commit_version(world.registry, "flights", 1, 10)
    status, told = ask()
    (execution,) = world.executions()
    why = f"{ANALYST} asked: the timetable changed in April"
    assert (status, told) == (200, {
        "model": MODEL, "decided": "started", "why": why, "flight": execution["name"], "not_before": None,
        "at": "2013-04-01T09:03:58.123000+00:00", "by": ANALYST,
    })  # fmt: skip
    assert ask() == (status, told)
    (record,) = Triggers(world.triggers).records(MODEL)
    assert record.evidence == {
        "by": ANALYST, "principal": "AIDACKCEVSQ6C2EXAMPLE", "words": "the timetable changed in April",
    }  # fmt: skip
    validator(document(), "Retrained").validate(told)


def test_a_person_is_told_why_not(world: World) -> None:
    status, told = ask()
    assert (status, told["decided"], told["why"]) == (200, "declined", "the dataset has no version")
    commit_version(world.registry, "flights", 1, 10)
    first, second = (ask(request=number)[1] for number in ("r2", "r3"))
    assert second["why"] == f"a training is under way: {first['flight']}"
    assert decided(world) == {"declined": 2, "started": 1}
    assert world.ledger_facts(f"model/{MODEL}") == ["declined", "requested", "declined"]


def test_only_one_model_of_the_catalog_in_whole_words_is_asked_for(world: World) -> None:
    assert ask("nobody")[0] == 404
    assert ask(rawPath="/retrains")[0] == 404
    for body in ("", "{}", "[]", {"reason": ""}, {"reason": "  "}, {"reason": 3}, {"reason": "x" * 1001},
                 {"reason": "x", "by": "somebody else"}):  # fmt: skip
        assert ask(body=body)[0] == 400, body
    assert not decided(world)


def test_whoever_cannot_be_told_apart_may_not_ask(world: World) -> None:
    commit_version(world.registry, "flights", 1, 10)
    asked = event("person")
    asked["requestContext"]["authorizer"]["iam"] |= {"userArn": "arn:aws:sts::123456789012:federated-user/x"}
    assert lambda_handler(asked, None)["statusCode"] == 403
    assert not world.executions()
