"""The champion again, when its function changed; and what becomes of old Lambda versions."""

from __future__ import annotations

from typing import Any

import pytest

from functions.deploy.handler import lambda_handler
from perennial.errors import AliasMoved, RolloutRunning, VersionsKept
from perennial.registry import Registry
from perennial.stage import InputInvalid
from tests.crash import When, crash_at
from tests.functions.conftest import World
from tests.functions.test_canary import take_back
from tests.functions.test_deploy import ANSWERS, FUNCTION, api, champion, event, function, registered, roll_out
from tests.functions.test_experiment import design, rival
from tests.lambda_api import FunctionState, LambdaApi
from tests.rollout_workflow import KNOWN
from tests.unit.serving.bundles import MODEL, WEIGHTS, graph

__all__ = ["api", "function"]


@pytest.fixture
def served(world: World, function: FunctionState) -> FunctionState:
    """Version 1 serves as Lambda version 2."""
    assert roll_out(registered(world, "r1"))["error"] is None
    return function


def lambda_version(world: World, version: int) -> str | None:
    return Registry(world.registry).get(MODEL, version).lambda_version


def facts(world: World) -> list[str]:
    return world.ledger_facts(f"model/{MODEL}")


# ---- the champion again


@pytest.mark.parametrize(
    "change",
    [
        {"MemorySize": 2048},
        {"Layers": [{"Arn": "arn:aws:lambda:eu-west-1:123456789012:layer:perennial-dev-predict:2", "CodeSize": 900}]},
        {"Environment": {"Variables": {"A": "b"}}},
        {"Handler": "predict.handler.other"},
    ],
)
def test_a_changed_function_gets_the_champion_again(
    world: World, served: FunctionState, change: dict[str, Any]
) -> None:
    served.configuration |= change
    output = roll_out("champion")
    assert (output["version"], output["lambda_version"], output["former"], output["error"]) == (1, "3", "2", None)
    assert (served.alias, champion(world), lambda_version(world, 1)) == ("3", 1, "3")
    assert served.configurations["3"] == served.configuration
    first, second = world.ledger.read(f"model/{MODEL}")
    assert (first.fact, second.fact) == ("deployed", "deployed")
    assert (first.evidence["former"], second.evidence["former"]) == (None, 1)
    assert second.evidence["layers"] == [layer["Arn"] for layer in served.configuration["Layers"]]
    # the history says from when on the same version ran as something else
    entries = Registry(world.registry).champion_history(MODEL)
    assert [(one.former, one.version, one.lambda_version) for one in entries] == [(None, 1, "2"), (1, 1, "3")]
    assert world.facts("Rollout Promoted")[-1]["detail"]["former"] == 1


def test_an_unchanged_function_is_left_alone(world: World, api: LambdaApi, served: FunctionState) -> None:
    api.calls.clear()
    output = roll_out("champion")
    assert (output["version"], output["lambda_version"]) == (1, None)
    assert {call.split()[0] for call in api.calls} == {"GET"}
    assert facts(world) == ["deployed"]


def test_what_lambda_says_by_itself_is_no_change(world: World, served: FunctionState) -> None:
    served.configuration |= {
        "Description": "another",
        "LastModified": "2026-03-02T00:00:00.000+0000",
        "SnapStart": {"OptimizationStatus": "Off"},
    }
    assert roll_out("champion")["lambda_version"] is None


def test_before_anything_serves_there_is_nothing_to_do(world: World, function: FunctionState) -> None:
    function.configuration["MemorySize"] = 2048
    output = roll_out("champion")
    assert (output["version"], output["lambda_version"]) == (None, None)
    assert (function.alias, sorted(function.versions)) == ("1", ["1"])


def test_the_code_of_a_refused_challenger_in_latest_is_no_change(
    world: World, api: LambdaApi, served: FunctionState
) -> None:
    # given a challenger that failed its smoke test: the function's code is its still
    api.answers = lambda version, payload: ANSWERS["a crash"](payload) if version == "3" else payload
    assert roll_out(registered(world, "r2"))["error"] == "SmokeFailed"
    assert roll_out("champion")["lambda_version"] is None
    # when its configuration changes, then it is the champion that is rolled out
    served.configuration["MemorySize"] = 2048
    assert roll_out("champion")["error"] is None
    assert (served.alias, served.versions["4"], champion(world)) == ("4", served.versions["2"], 1)


def test_a_champion_that_fails_on_the_new_configuration_goes_on_on_the_old_one(
    world: World, api: LambdaApi, served: FunctionState
) -> None:
    served.configuration["Handler"] = "predict.handler.missing"
    api.answers = lambda version, payload: ANSWERS["a crash"](payload) if version == "3" else payload
    assert roll_out("champion")["error"] == "SmokeFailed"
    assert (served.alias, champion(world), lambda_version(world, 1)) == ("2", 1, "2")
    assert facts(world) == ["deployed", "rolled back"]
    # put back, there is nothing to roll out
    del served.configuration["Handler"]
    assert roll_out("champion")["lambda_version"] is None


def test_an_alias_that_answers_wrongly_goes_back_to_the_old_configuration(
    world: World, api: LambdaApi, served: FunctionState
) -> None:
    served.configuration["MemorySize"] = 2048
    api.answers = lambda version, payload: (
        ANSWERS["a crash"](payload) if version == "3" and "PUT aliases/live" in api.calls[-3:] else payload
    )
    assert roll_out("champion")["error"] == "SmokeFailed"
    assert (served.alias, lambda_version(world, 1)) == ("2", "2")


def test_an_alias_that_someone_moved_is_left_alone_by_a_deployment(world: World, served: FunctionState) -> None:
    roll_out(registered(world, "r2"))
    served.alias = "2"
    assert roll_out("champion")["lambda_version"] is None
    served.configuration["MemorySize"] = 2048
    assert roll_out("champion")["error"] == AliasMoved.__name__
    assert served.alias == "2"
    assert facts(world) == ["deployed", "deployed", "rolled back"]


def test_a_function_that_was_made_anew_gets_the_champion_again(
    world: World, api: LambdaApi, served: FunctionState
) -> None:
    anew = api.create(FUNCTION)
    assert roll_out("champion")["error"] is None
    assert (anew.alias, anew.versions["2"], champion(world)) == ("2", served.versions["2"], 1)
    assert roll_out("champion")["lambda_version"] is None


def test_numbers_that_a_new_function_uses_again_are_not_mistaken(
    world: World, api: LambdaApi, served: FunctionState
) -> None:
    anew = api.create(FUNCTION)
    anew.versions["2"] = b"something else"
    assert roll_out("champion")["error"] is None
    assert anew.versions[anew.alias] == served.versions["2"]


@pytest.mark.parametrize("when", ["before-send", "after-call"])
@pytest.mark.parametrize("action", ["publish", "verify", "restore"])
@pytest.mark.parametrize("number", [2, 5, 9])
def test_a_crash_at_any_call_is_finished_by_a_retry(
    world: World, served: FunctionState, action: str, number: int, when: When
) -> None:
    served.configuration["MemorySize"] = 2048
    known: dict[str, Any] = {"version": "champion", "lambda_version": None, "former": None}
    if action != "publish":
        published = lambda_handler(event("publish") | known, None)
        known = {name: published[name] for name in KNOWN}
        lambda_handler(event("shift") | known, None)
    with crash_at(number, when):
        lambda_handler(event(action) | known, None)
    output = lambda_handler(event(action) | known, None)
    assert (output["version"], output["lambda_version"], output["former"]) == (1, "3", "2")
    assert sorted(served.versions) == ["1", "2", "3"]
    assert (served.alias, lambda_version(world, 1)) == (("3", "3") if action == "verify" else ("2", "2"))
    records = list(world.ledger.read(f"model/{MODEL}"))
    expected = {"publish": [], "verify": ["deployed"], "restore": ["rolled back"]}[action]
    assert [record.fact for record in records] == ["deployed", *expected]
    assert records[-1].evidence["former"] == (None if action == "publish" else 1)


def test_a_failure_before_any_version_is_known_is_told(world: World, function: FunctionState) -> None:
    asked = {"version": "champion", "lambda_version": None, "former": None}
    failed = lambda_handler(event("restore") | asked, None)
    assert (failed["error"], failed["cause"][:12]) == ("SmokeFailed", "golden row 3")
    assert facts(world) == []


# ---- turns


@pytest.fixture
def other(world: World) -> str:
    """A rollout that is running, by its ARN."""
    arn = world.account.machine("perennial-dev-rollout")
    started = world.client("stepfunctions").start_execution(stateMachineArn=arn, name="other", input="{}")
    return str(started["executionArn"])


def test_rollouts_of_one_model_take_turns(world: World, served: FunctionState, other: str) -> None:
    # given a rollout of version 2 that has published
    second = registered(world, "r2")
    published = lambda_handler(event("publish") | {"version": second, "execution": other}, None)
    known = {name: published[name] for name in KNOWN} | {"execution": other}
    # when a deployment changes the function meanwhile, its rollout waits
    served.configuration["MemorySize"] = 2048
    for _ in range(2):
        with pytest.raises(RolloutRunning, match="other"):
            lambda_handler(event("publish") | {"version": "champion"}, None)
    for action in ("shift", "verify"):
        lambda_handler(event(action) | known, None)
    # then it goes on with the champion of that time
    world.client("stepfunctions").stop_execution(executionArn=other)
    output = roll_out("champion")
    assert (output["version"], output["former"], output["error"]) == (second, "3", None)
    assert served.configurations[served.alias] == served.configuration
    assert champion(world) == second


def test_a_rollout_that_died_is_taken_over(world: World, served: FunctionState, other: str) -> None:
    second = registered(world, "r2")
    published = lambda_handler(event("publish") | {"version": second, "execution": other}, None)
    lambda_handler(event("shift") | {name: published[name] for name in KNOWN} | {"execution": other}, None)
    world.client("stepfunctions").stop_execution(executionArn=other)
    # the alias was left at what was never verified: the same rollout, begun again, would go back to the champion
    again = lambda_handler(event("publish") | {"version": second}, None)
    assert (again["lambda_version"], again["former"]) == ("3", "2")


def test_publish_takes_a_turn_or_nothing(world: World, served: FunctionState) -> None:
    with pytest.raises(InputInvalid, match="needs execution"):
        lambda_handler(event("publish") | {"execution": None}, None)


# ---- retention


@pytest.fixture
def keeping(world: World) -> None:
    world.setenv(KEPT_VERSIONS="2")


def test_old_lambda_versions_are_deleted(world: World, function: FunctionState, keeping: None) -> None:
    versions = [registered(world, f"r{number}") for number in range(5)]
    outputs = [roll_out(version) for version in versions]
    assert [output["deleted"] for output in outputs] == [[], [], ["2"], ["3"], ["4"]]
    # the template's, the former champion's and the champion's
    assert (sorted(function.versions), function.alias) == (["1", "5", "6"], "6")
    assert [lambda_version(world, version) for version in versions] == [None, None, None, "5", "6"]
    assert all(one.code_sha256 for one in Registry(world.registry).list_versions(MODEL))


def test_a_former_champion_stays_warm_however_old(world: World, function: FunctionState, keeping: None) -> None:
    for run in ("r1", "r2"):
        roll_out(registered(world, run))
    for memory in (2048, 3072, 4096, 5120):
        function.configuration["MemorySize"] = memory
        assert roll_out("champion")["error"] is None
    # Lambda version 2 is the former champion's, 6 and 7 the newest
    assert sorted(function.versions) == ["1", "2", "6", "7"]
    assert (lambda_version(world, 1), lambda_version(world, 2)) == ("2", "7")
    # and the way back works
    assert roll_out(1)["error"] is None
    assert champion(world) == 1


def test_the_way_back_stays_warm_even_where_the_former_champion_was_taken_back(
    world: World, function: FunctionState
) -> None:
    for run in ("r1", "r2", "r3"):
        assert roll_out(registered(world, run))["error"] is None
    assert take_back(3, change=3)[0] == 200
    # what serves is version 2, the former champion version 3, the way back version 1 on Lambda version 2
    world.setenv(KEPT_VERSIONS="2")
    for memory in (2048, 3072, 4096):
        function.configuration["MemorySize"] = memory
        assert roll_out("champion")["error"] is None
    assert sorted(function.versions) == ["1", "2", "4", "6", "7"]
    assert take_back(2, change=7)[1]["serving"] == 1
    assert function.alias == "2"


def test_a_champion_that_is_in_an_experiment_keeps_the_lambda_version_that_carried_it_alone(
    world: World, function: FunctionState
) -> None:
    assert roll_out(registered(world, "r1"))["error"] is None
    assert rival(world, "r2", graph(weights=-WEIGHTS).SerializeToString()) == 2
    world.setenv(KEPT_VERSIONS="2")
    for share in (0.1, 0.2, 0.3):
        assert roll_out(design(share=share))["error"] is None  # type: ignore[arg-type]
    assert sorted(function.versions) == ["1", "2", "4", "5"]
    assert take_back(2, change=4)[1]["serving"] == 1
    assert function.alias == "2"


def test_a_version_that_is_gone_can_be_deployed_again(world: World, function: FunctionState, keeping: None) -> None:
    versions = [registered(world, f"r{number}") for number in range(4)]
    for version in versions:
        roll_out(version)
    assert lambda_version(world, versions[0]) is None
    assert roll_out(versions[0])["error"] is None
    assert lambda_version(world, versions[0]) == function.alias == "6"


def test_what_the_alias_names_is_kept_even_as_a_weight(world: World, function: FunctionState, keeping: None) -> None:
    for number in range(2):
        roll_out(registered(world, f"r{number}"))
    function.versions |= dict.fromkeys(("4", "5", "6"), function.code)
    function.weights = {"4": 0.1}
    lambda_handler(event("prune"), None)
    assert sorted(function.versions) == ["1", "2", "3", "4", "5", "6"]
    function.weights = {}
    assert lambda_handler(event("prune"), None)["deleted"] == ["4"]


def test_what_cannot_be_deleted_is_told_and_made_up_for(
    world: World, function: FunctionState, keeping: None, caplog: pytest.LogCaptureFixture
) -> None:
    function.held = {"2"}
    for number in range(4):
        assert roll_out(registered(world, f"r{number}"))["error"] is None
    assert sorted(function.versions) == ["1", "2", "4", "5"]
    with pytest.raises(VersionsKept, match=r"2: .*aliases reference it"):
        lambda_handler(event("prune"), None)
    assert {getattr(told, "error", None) for told in caplog.records if told.levelname == "WARNING"} == {"VersionsKept"}
    function.held = set()
    assert lambda_handler(event("prune"), None)["deleted"] == ["2"]
    assert lambda_handler(event("prune"), None)["deleted"] == []


@pytest.mark.parametrize("when", ["before-send", "after-call"])
@pytest.mark.parametrize("number", [2, 8, 9, 10, 11])
def test_a_crash_while_deleting_is_made_up_for(world: World, function: FunctionState, number: int, when: When) -> None:
    versions = [registered(world, f"r{number}") for number in range(5)]
    for version in versions:
        roll_out(version)
    world.setenv(KEPT_VERSIONS="2")
    with crash_at(number, when):
        lambda_handler(event("prune"), None)
    # what the registry says can be asked, can be asked
    assert {found for v in versions if (found := lambda_version(world, v))} <= set(function.versions)
    lambda_handler(event("prune"), None)
    assert sorted(function.versions) == ["1", "5", "6"]
    assert [lambda_version(world, version) for version in versions] == [None, None, None, "5", "6"]
