"""An experiment goes live through the steps of every rollout, and ends by the next one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from functions.deploy.handler import lambda_handler
from perennial.errors import BundleInvalid, ExperimentInvalid, SmokeFailed, VersionRefused, VersionUnknown
from perennial.registry import Registry
from perennial.registry.registration import register
from perennial.stage import InputInvalid
from perennial.storage.functions import Function
from tests.functions.conftest import World
from tests.functions.test_canary import take_back
from tests.functions.test_deploy import FUNCTION, api, event, function, registered, roll_out
from tests.lambda_api import FunctionState, LambdaApi
from tests.runs import ROWS, golden, leave
from tests.unit.governance.test_ledger import AT
from tests.unit.serving.bundles import INPUTS, MODEL, WEIGHTS, graph
from tests.unit.serving.requests import infer_event, request

__all__ = ["api", "function"]


def design(**changes: Any) -> dict[str, Any]:
    made = {"champion": 1, "challenger": 2, "share": 0.5, "entity": ["carrier"], "salt": "s", "metric": "auc"}
    return made | {"alpha": 0.05} | changes


def rival(world: World, run: str, content: bytes, **changes: Any) -> int:
    """A version with another graph than the champion's, registered; `changes` of its signature."""
    leave(world.data, run)
    world.data.put(f"staging/{run}/model.onnx", content)
    world.data.put_json(f"staging/{run}/golden.json", golden(content))
    world.data.put_json(f"staging/{run}/signature.json", world.data.get_json(f"staging/{run}/signature.json") | changes)
    return register(MODEL, run, AT, world.data, Registry(world.registry)).version


@pytest.fixture
def served(world: World, api: LambdaApi) -> World:
    """Version 1 serves, version 2 could."""
    assert roll_out(registered(world))["error"] is None
    assert rival(world, "r2", graph(weights=-WEIGHTS).SerializeToString()) == 2
    return world


def start(**changes: Any) -> dict[str, Any]:
    return roll_out(design(**changes))  # type: ignore[arg-type]


def test_both_versions_serve_from_one_lambda_version(served: World, function: FunctionState, api: LambdaApi) -> None:
    ended = start()
    assert ended["error"] is None
    assert ended["version"] == design()
    champion = Registry(served.registry).champion_entry(MODEL)
    assert champion is not None
    assert champion.experiment is not None
    assert (champion.version, champion.former, champion.lambda_version) == (1, 1, function.alias)
    assert champion.experiment.model_dump(mode="json") == design()
    record = [one for one in served.ledger.read(f"model/{MODEL}") if one.fact == "deployed"][-1]
    assert record.evidence["experiment"] == design()
    assert record.evidence["code_sha256"] == champion.code_sha256
    rows = [{**ROWS[0], "carrier": f"c{number}"} for number in range(20)]
    answer = Function(FUNCTION).invoke("live", infer_event(request(*rows)))
    assert set(json.loads(answer.payload["body"])["parameters"]["versions"]) == {1, 2}


def test_the_same_experiment_is_the_same_code(served: World, function: FunctionState) -> None:
    start()
    carrying = function.alias
    start()
    assert function.alias == carrying


def test_a_rollout_of_the_winner_ends_the_experiment(served: World, function: FunctionState) -> None:
    start()
    assert roll_out(2)["error"] is None
    champion = Registry(served.registry).champion_entry(MODEL)
    assert champion is not None
    assert (champion.version, champion.experiment) == (2, None)
    history = Registry(served.registry).champion_history(MODEL)
    assert [entry.experiment is not None for entry in history] == [False, True, False]


def test_the_champion_that_won_serves_alone_again(served: World) -> None:
    start()
    assert roll_out(1)["error"] is None
    champion = Registry(served.registry).champion_entry(MODEL)
    assert champion is not None
    assert (champion.version, champion.former, champion.experiment) == (1, 1, None)


def test_a_changed_template_keeps_the_experiment(served: World, function: FunctionState) -> None:
    start()
    carrying = function.alias
    function.configuration = {**function.configuration, "MemorySize": 2048}
    assert roll_out("champion")["error"] is None
    champion = Registry(served.registry).champion_entry(MODEL)
    assert champion is not None
    assert champion.experiment is not None
    assert function.alias == champion.lambda_version != carrying
    assert function.versions[carrying] == function.versions[function.alias]


def test_a_tampered_challenger_leaves_the_champion_alone(served: World, function: FunctionState) -> None:
    before = function.alias
    served.data.put(f"{Registry(served.registry).get(MODEL, 2).prefix}golden.json", b"{}")
    assert start()["error"] == BundleInvalid.__name__
    assert function.alias == before


def test_an_answer_that_is_split_otherwise_is_no_experiment(
    served: World, api: LambdaApi, function: FunctionState
) -> None:
    before = function.alias

    def unsplit(version: str, payload: Any) -> Any:
        body = json.loads(payload["body"])
        if "parameters" in body:
            body["parameters"]["versions"] = [1] * len(body["parameters"]["versions"])
        return payload | {"body": json.dumps(body)}

    api.answers = unsplit
    assert start(share=0.9999)["error"] == SmokeFailed.__name__
    assert function.alias == before


def test_a_challenger_that_is_taken_back_leaves_the_champion_alone(served: World, function: FunctionState) -> None:
    alone = function.alias
    start()
    assert function.alias != alone
    status, told = take_back(2, "it looks wrong", change=2)
    assert (status, told["serving"], told["taken_back"]) == (200, 1, 2)
    champion = Registry(served.registry).champion_entry(MODEL)
    assert champion is not None
    assert (champion.version, champion.experiment, champion.lambda_version) == (1, None, alone)
    assert function.alias == alone
    assert take_back(2, "it looks wrong", change=2)[0] == 200  # asked twice, taken back once
    assert function.alias == alone
    assert served.ledger_facts(f"model/{MODEL}")[-1] == "rolled back"


def test_an_experiment_that_is_being_rolled_out_is_taken_back_under_its_challengers_number(
    served: World, function: FunctionState
) -> None:
    alone, execution = function.alias, event("publish")["execution"] + "-next"
    asked = event("publish") | {"model": MODEL, "version": design(), "execution": execution}
    published = lambda_handler(asked, None)
    assert take_back(1, rollout=execution)[0] == 409
    function.weights = {published["lambda_version"]: 0.1}  # it was cut off while it had a share
    status, told = take_back(2, rollout=execution)
    assert (status, told["taken_back"], told["serving"], told["stopped"]) == (200, 2, 1, execution)
    assert (function.alias, function.weights) == (alone, {})
    last = list(served.ledger.read(f"model/{MODEL}"))[-1]
    assert (last.fact, last.evidence["version"], last.evidence["former"]) == ("rolled back", 2, 1)
    # and the champion goes on
    assert take_back(2, rollout=execution)[1]["already"] is True
    assert (function.alias, Registry(served.registry).champion_entry(MODEL).seq) == (alone, 1)  # type: ignore[union-attr]


def test_the_way_back_from_a_winner_is_no_experiment(served: World, function: FunctionState) -> None:
    alone = function.alias
    start()
    roll_out(2)
    assert take_back(2, change=3)[0] == 200
    champion = Registry(served.registry).champion_entry(MODEL)
    assert champion is not None
    assert (champion.version, champion.experiment, function.alias) == (1, None, alone)


def test_an_experiment_whose_champion_served_alone_long_ago_is_ended_by_a_rollout(
    served: World, function: FunctionState
) -> None:
    alone = function.alias
    start()
    del function.versions[alone]
    before = function.alias
    status, told = take_back(2, change=2)
    assert (status, function.alias) == (409, before)
    assert "start workflow rollout" in told["error"]
    assert roll_out(1)["error"] is None


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"challenger": 9}, VersionUnknown, "no version 9"),
    ({"challenger": 3}, VersionRefused, "failed its gates"),
    ({"challenger": 4}, ExperimentInvalid, "differ in their inputs"),
    ({"champion": 2, "challenger": 1}, ExperimentInvalid, "version 2 does not serve"),
    ({"entity": ["tail number"]}, ExperimentInvalid, "'tail number' is no input"),
    ({"share": 0.0}, InputInvalid, "between 0 and 1"),
    ({"share": 1.0}, InputInvalid, "between 0 and 1"),
    ({"share": 0.123456}, InputInvalid, "between 0 and 1"),
    ({"challenger": 1}, InputInvalid, "its own challenger"),
    ({"entity": []}, InputInvalid, "entity"),
    ({"salt": ""}, InputInvalid, "salt"),
]


def test_what_cannot_be_compared_is_refused_by_name(served: World, function: FunctionState) -> None:
    registered(served, "r3", passed=False)
    other = graph(inputs=INPUTS[1:], weights=np.ones((len(INPUTS) - 1, 1), np.float32)).SerializeToString()
    leave(served.data, "r4")
    served.data.put("staging/r4/model.onnx", other)
    listed = served.data.get_json("staging/r4/signature.json") | {"inputs": INPUTS[1:]}
    served.data.put_json("staging/r4/signature.json", listed)
    assert register(MODEL, "r4", AT, served.data, Registry(served.registry)).version == 4
    before = function.alias, dict(function.versions)
    for changes, error, said in REFUSED:
        with pytest.raises(error, match=said):
            lambda_handler(event("publish") | {"model": MODEL, "version": design(**changes)}, None)
    assert (function.alias, function.versions) == before
