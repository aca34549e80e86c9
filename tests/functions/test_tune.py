"""Parameters searched by stage train: alone, or beside others that each take a share of the candidates."""

from __future__ import annotations

from typing import Any

import pytest

from functions.evaluate.handler import lambda_handler as evaluate
from functions.train.handler import main
from tests.crash import crash_at
from tests.functions.conftest import World
from tests.functions.trips import deploy, drop, request, trips

SPACE = "{max_iter: [1, 20, 60], learning_rate: [0.1, 0.3], max_leaf_nodes: [4, 8]}"


def tuned(world: World, tasks: int = 1, candidates: int = 9) -> World:
    tune = f"tune: {{space: {SPACE}, candidates: {candidates}, tasks: {tasks}}}"
    deploy(world, algorithm="hist_gradient_boosting", train=tune)
    return world


@pytest.fixture
def ready(world: World) -> World:
    """Thirty days of trips, and a model whose parameters are searched."""
    tuned(world)
    drop(world, trips(range(30)), "first")
    request(world, "r1")
    return world


def training(world: World, run: str = "r1") -> dict[str, Any]:
    found: dict[str, Any] = world.data.get_json(f"staging/{run}/training.json")
    return found


def search(world: World, chunk: int) -> int:
    world.setenv(TUNE_CHUNK=str(chunk))
    status = main()
    world.patch.delenv("TUNE_CHUNK")
    return status


def test_the_best_candidate_is_trained_and_the_others_are_on_record(ready: World) -> None:
    assert main() == 0
    record = training(ready)
    search = record["tune"]
    (chunk,) = search["chunks"]
    assert (search["metric"], search["combinations"], len(chunk["candidates"])) == ("auc", 12, 9)
    assert [one["candidates"] for one in chunk["rounds"]] == [9, 3]
    assert sorted(len(one["scores"]) for one in chunk["candidates"]) == [1] * 6 + [2] * 3
    # the last days of the training side: the held-out rows begin later
    assert search["validation"]["last_day"] < record["split"]["holdout_from"]
    assert {name: record["params"][name] for name in search["chosen"]} == search["chosen"]
    message = {"model": "late-trips", "run": "r1", "as_of": "2024-06-01T00:00:00+00:00"}
    assert evaluate(message, None)["passed"]


def test_the_same_request_finds_the_same_parameters(ready: World) -> None:
    assert main() == 0
    before = training(ready)
    assert main() == 0
    after = training(ready)
    before.pop("seconds"), after.pop("seconds")
    assert before == after


def test_what_tasks_side_by_side_found_is_what_one_would_have_found(ready: World) -> None:
    tuned(ready, tasks=3)
    request(ready, "alone")
    assert main() == 0
    request(ready, "shared")
    for chunk in (2, 0, 1):
        assert search(ready, chunk) == 0
    files = [f"staging/shared/tune/{chunk:02d}.json" for chunk in range(3)]
    assert set(files) < set(ready.data.list("staging/shared/"))
    assert "staging/shared/training.json" not in ready.data.list("staging/shared/")
    assert main() == 0
    alone, shared = training(ready, "alone"), training(ready, "shared")
    assert alone["tune"] == shared["tune"]
    assert alone["sha256"] == shared["sha256"]
    assert ready.ledger_facts("model/late-trips") == ["trained", "trained"]


def test_training_takes_what_the_tasks_left_and_searches_no_more(ready: World) -> None:
    tuned(ready, tasks=2, candidates=2)
    request(ready, "r2")
    for chunk in range(2):
        assert search(ready, chunk) == 0
    # were it searched again, the score would be another
    key = "staging/r2/tune/01.json"
    left = ready.data.get_json(key)
    left["candidates"][0]["scores"] = [2.0]
    ready.data.put_json(key, left)
    assert main() == 0
    assert training(ready, "r2")["tune"]["chosen"] == left["candidates"][0]["params"]


def test_a_task_that_starts_twice_searches_once(ready: World) -> None:
    tuned(ready, tasks=2)
    request(ready, "r2")
    assert search(ready, 0) == 0
    ready.data.put("staging/r2/tune/00.json", b'{"candidates": [], "best": null, "chunk": 0}')
    assert search(ready, 0) == 0
    assert ready.data.get_json("staging/r2/tune/00.json")["candidates"] == []


def test_a_search_that_dies_is_made_up_for_by_the_training(ready: World) -> None:
    tuned(ready, tasks=2)
    request(ready, "r2")
    with crash_at(1, "before-send", "s3.PutObject"):
        search(ready, 0)
    assert "staging/r2/tune/00.json" not in ready.data.list("staging/r2/")
    assert search(ready, 1) == 0
    assert main() == 0
    chunks = training(ready, "r2")["tune"]["chunks"]
    assert [len(chunk["candidates"]) for chunk in chunks] == [5, 4]


def test_a_search_that_fails_says_why_and_the_next_one_does_not_take_it_back(ready: World) -> None:
    tuned(ready, tasks=2)
    given = request(ready, "r2")
    (key,) = given["versions"][0]["files"]
    body = ready.data.get(key)
    ready.data.delete(key)
    assert search(ready, 0) == 1
    ready.data.put(key, body)
    assert search(ready, 1) == 0
    assert ready.data.get_json("staging/r2/error.json")["error"] == "ObjectMissing"


def test_a_parameter_that_the_algorithm_lacks_is_named(ready: World) -> None:
    deploy(ready, train="tune: {space: {max_leaf: [1, 2]}}")
    request(ready, "r2")
    assert main() == 1
    found = ready.data.get_json("staging/r2/error.json")
    assert found["error"] == "CatalogInvalid"
    assert "max_leaf" in found["cause"]
