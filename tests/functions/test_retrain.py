from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from functions.retrain.handler import lambda_handler
from perennial.catalog.load import read_catalog
from perennial.errors import FlightUnknown, ModelUnknown
from perennial.stage import InputInvalid
from tests.functions.conftest import CATALOG, World
from tests.runs import commit_version

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
    [("arrive", "detail"), ("schedule", "model"), ("freeze", "flight"), ("hand-over", "flight"), ("finish", "flight")],
)
def test_a_missing_field_is_named(world: World, action: str, field: str) -> None:
    with pytest.raises(InputInvalid, match=f"needs {field}"):
        lambda_handler(event(action, **{field: None}), None)
