from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from functions.deploy.handler import lambda_handler
from perennial.errors import (
    AliasMoved,
    BundleInvalid,
    ModelUnknown,
    PublishFailed,
    PublishPending,
    SmokeFailed,
    VersionRefused,
    VersionUnknown,
)
from perennial.registry import Registry
from perennial.registry.registration import register
from perennial.stage import InputInvalid
from perennial.storage.functions import Function
from tests.crash import When, crash_at
from tests.functions.conftest import World
from tests.lambda_api import CONFIGURATION, FunctionState, LambdaApi
from tests.rollout_workflow import KNOWN, Execution
from tests.runs import leave
from tests.unit.governance.test_ledger import AT
from tests.unit.serving.bundles import MODEL

EVENTS = Path(__file__).parents[2] / "events"
FUNCTION = f"perennial-dev-predict-{MODEL}"


def event(action: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"deploy-{action}.json").read_text())
    return found


@pytest.fixture
def api(world: World, tmp_path: Path) -> Iterator[LambdaApi]:
    api = LambdaApi(tmp_path)
    api.create(FUNCTION)
    with api.serving():
        yield api


@pytest.fixture
def function(api: LambdaApi) -> FunctionState:
    return api.functions[FUNCTION]


def registered(world: World, run: str = "r1", *, passed: bool = True, auc: float = 0.7) -> int:
    leave(world.data, run, passed=passed, auc=auc)
    return register(MODEL, run, AT, world.data, Registry(world.registry)).version


def roll_out(version: int | str, execution: str | None = None) -> dict[str, Any]:
    """The workflow `rollout`, to its end; the last answer."""
    return Execution(patient, MODEL, version, execution or event("publish")["execution"]).run()


def patient(message: dict[str, Any]) -> dict[str, Any]:
    """The stage with the workflow's retries."""
    for _ in range(4):
        with suppress(PublishPending):
            return lambda_handler(message, None)
    return lambda_handler(message, None)


def champion(world: World) -> int | None:
    found = Registry(world.registry).champion(MODEL)
    return found.version if found else None


def test_a_rollout_makes_the_version_serve(world: World, function: FunctionState) -> None:
    version = registered(world)
    assert roll_out(version)["error"] is None
    assert function.alias == "2"
    found = Registry(world.registry).champion(MODEL)
    assert found is not None
    assert (found.version, found.state, found.lambda_version) == (1, "deployed", "2")
    assert found.code_sha256
    assert (found.layers, found.runtime) == ([layer["Arn"] for layer in CONFIGURATION["Layers"]], "python3.13")
    (record,) = world.ledger.read(f"model/{MODEL}")
    carried = {name: record.evidence[name] for name in ("lambda_version", "code_sha256", "layers", "runtime")}
    assert carried == {name: getattr(found, name) for name in carried}
    assert world.ledger_facts(f"model/{MODEL}") == ["deployed"]
    (fact,) = world.facts("Rollout Promoted")
    assert (fact["detail"]["version"], fact["detail"]["former"]) == (1, None)


def test_a_rollout_waits_while_lambda_prepares_the_version(world: World, api: LambdaApi) -> None:
    api.published_pending = 3
    assert roll_out(registered(world))["error"] is None
    assert api.calls.count("GET configuration") > 3


def test_a_version_that_is_asleep_is_woken(world: World, api: LambdaApi, function: FunctionState) -> None:
    # given a version that failed only because its alias was changed meanwhile, weeks ago: its code is the function's
    version = registered(world)
    lambda_handler(event("publish") | {"version": version}, None)
    api.asleep = {"2"}
    assert roll_out(version)["error"] is None
    assert (api.asleep, function.alias) == (set(), "2")


def test_what_is_not_ready_is_asked_again_and_then_told(world: World, api: LambdaApi) -> None:
    version = registered(world)
    api.published_pending = 100
    lambda_handler(event("publish") | {"version": version}, None)
    with pytest.raises(PublishPending, match="2 is Pending"):
        lambda_handler(event("check") | {"version": version}, None)


def test_a_second_version_takes_over_and_the_first_is_remembered(world: World, function: FunctionState) -> None:
    for run in ("r1", "r2"):
        assert roll_out(registered(world, run))["error"] is None
    assert function.alias == "3"
    assert champion(world) == 2
    history = Registry(world.registry).champion_history(MODEL)
    assert [(entry.former, entry.version) for entry in history] == [(None, 1), (1, 2)]
    assert [v.state for v in Registry(world.registry).list_versions(MODEL)] == ["registered", "deployed"]


def test_deploying_what_serves_again_changes_nothing(world: World, function: FunctionState) -> None:
    version = registered(world)
    roll_out(version)
    assert roll_out(version)["error"] is None
    assert (function.alias, sorted(function.versions)) == ("2", ["1", "2"])
    assert world.ledger_facts(f"model/{MODEL}") == ["deployed"]


def test_a_former_version_can_be_deployed_again(world: World, function: FunctionState) -> None:
    versions = [registered(world, run) for run in ("r1", "r2")]
    for version in [*versions, versions[0]]:
        assert roll_out(version)["error"] is None
    assert champion(world) == 1
    assert function.alias == "4"
    assert world.ledger_facts(f"model/{MODEL}") == ["deployed"] * 3


def test_a_refused_version_is_never_published(world: World, function: FunctionState) -> None:
    version = registered(world, passed=False)
    with pytest.raises(VersionRefused, match="failed its gates"):
        lambda_handler(event("publish") | {"version": version}, None)
    assert sorted(function.versions) == ["1"]


def test_an_unknown_version_is_named(world: World, api: LambdaApi) -> None:
    with pytest.raises(VersionUnknown, match="no version 7"):
        lambda_handler(event("publish") | {"version": 7}, None)


def test_a_model_without_a_function_is_named(world: World, api: LambdaApi) -> None:
    version = registered(world)
    del api.functions[FUNCTION]
    with pytest.raises(ModelUnknown, match=FUNCTION):
        lambda_handler(event("publish") | {"version": version}, None)


@pytest.mark.parametrize("name", ["model.onnx", "signature.json", "manifest.json", "conda.yaml"])
def test_a_changed_file_is_never_published(world: World, function: FunctionState, name: str) -> None:
    version = registered(world)
    key = f"models/{MODEL}/00000001/{name}"
    world.data.put(key, world.data.get(key) + b" ")
    with pytest.raises(BundleInvalid):
        lambda_handler(event("publish") | {"version": version}, None)
    assert sorted(function.versions) == ["1"]


def test_a_stray_file_is_never_published(world: World, function: FunctionState) -> None:
    version = registered(world)
    world.data.put(f"models/{MODEL}/00000001/../../../escaped", b"x")
    with pytest.raises(BundleInvalid):
        lambda_handler(event("publish") | {"version": version}, None)
    assert sorted(function.versions) == ["1"]


def test_a_step_before_publish_is_refused(world: World, api: LambdaApi) -> None:
    version = registered(world)
    with pytest.raises(InputInvalid, match="needs lambda_version"):
        lambda_handler(event("smoke") | {"version": version, "lambda_version": None}, None)


def test_while_lambda_is_busy_publish_asks_to_be_called_again(world: World, function: FunctionState) -> None:
    version = registered(world)
    function.pending = 3
    with pytest.raises(PublishPending):
        lambda_handler(event("publish") | {"version": version}, None)
    function.pending = 0
    assert lambda_handler(event("publish") | {"version": version}, None)["lambda_version"] == "2"


def test_a_version_that_lambda_cannot_prepare_fails_with_its_reason(world: World, function: FunctionState) -> None:
    version = registered(world)
    function.broken = "the layer is gone"
    failed = roll_out(version)
    assert (failed["error"], "the layer is gone" in failed["cause"]) == ("PublishFailed", True)
    assert function.alias == "1"
    with pytest.raises(PublishFailed):
        lambda_handler(event("check") | {"version": version}, None)


def spoiled(version: str, payload: Any, change: Any) -> Any:
    body = json.loads(payload["body"])
    change(body)
    return {**payload, "body": json.dumps(body)}


def off_by_a_little(body: dict[str, Any]) -> None:
    next(one for one in body["outputs"] if one["name"] == "probability")["data"][3] += 1e-5


ANSWERS: dict[str, Any] = {
    "another number": lambda payload: spoiled("", payload, off_by_a_little),
    "another version": lambda payload: spoiled("", payload, lambda body: body.update(model_version="9")),
    "no outputs": lambda payload: spoiled("", payload, lambda body: body.update(outputs=[])),
    "null": lambda payload: spoiled("", payload, lambda body: body["outputs"][1].update(data=[None] * 6)),
    "an error": lambda payload: {"statusCode": 500, "body": '{"error":"boom"}'},
    "a crash": lambda payload: {"errorMessage": "out of memory", "errorType": "Runtime.ExitError"},
    "no JSON": lambda payload: {"statusCode": 200, "body": "<html>"},
    "nothing": lambda payload: None,
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_wrong_answer_to_the_golden_rows_never_reaches_the_alias(
    world: World, api: LambdaApi, function: FunctionState, answer: str
) -> None:
    roll_out(registered(world, "r1"))
    api.answers = lambda version, payload: ANSWERS[answer](payload) if version == "3" else payload
    failed = roll_out(registered(world, "r2"))
    assert failed["error"] == "SmokeFailed"
    assert function.alias == "2"
    assert set(function.served) == {"2"}
    assert champion(world) == 1
    assert world.ledger_facts(f"model/{MODEL}") == ["deployed", "rolled back"]
    (fact,) = world.facts("Rollout Rolled Back")
    assert (fact["detail"]["version"], fact["detail"]["former"]) == (2, 1)


def test_an_alias_that_answers_wrongly_goes_back(world: World, api: LambdaApi, function: FunctionState) -> None:
    roll_out(registered(world, "r1"))
    spoil = ANSWERS["another number"]
    api.answers = lambda version, payload: (
        spoil(payload) if version == "3" and "PUT aliases/live" in api.calls[-3:] else payload
    )
    failed = roll_out(registered(world, "r2"))
    assert failed["error"] == "SmokeFailed"
    assert (function.alias, champion(world)) == ("2", 1)


def test_an_alias_that_lags_behind_is_asked_again(world: World, api: LambdaApi, function: FunctionState) -> None:
    roll_out(registered(world, "r1"))
    # the answer of the former version is of the former model version, which the golden rows tell as well
    api.lag = ["2"]
    api.answers = lambda version, payload: (
        spoiled("", payload, lambda body: body.update(model_version="2")) if version == "2" else payload
    )
    assert roll_out(registered(world, "r2"))["error"] is None
    assert champion(world) == 2


def test_weights_on_the_alias_are_removed(world: World, function: FunctionState) -> None:
    function.weights = {"1": 0.5}
    assert roll_out(registered(world))["error"] is None
    assert function.weights == {}


def test_an_alias_that_someone_else_moved_is_left_alone(world: World, function: FunctionState) -> None:
    version = registered(world)
    published = lambda_handler(event("publish") | {"version": version}, None)
    function.versions["9"] = function.code
    function.point("9")
    known = {name: published[name] for name in KNOWN}
    with pytest.raises(AliasMoved):
        lambda_handler(event("shift") | known, None)
    failed = lambda_handler(event("restore") | known, None)
    assert "not restored" in failed["cause"]
    assert function.alias == "9"


def test_what_was_committed_is_not_taken_back(world: World, function: FunctionState) -> None:
    version = registered(world)
    roll_out(version)
    failed = lambda_handler(event("restore") | {"version": version}, None)
    assert failed["error"] == "SmokeFailed"
    assert "version 1 serves" in failed["cause"]
    assert (function.alias, champion(world)) == ("2", 1)
    assert world.ledger_facts(f"model/{MODEL}") == ["deployed"]


def test_a_failure_before_anything_was_published_is_recorded(world: World, function: FunctionState) -> None:
    version = registered(world)
    failed = lambda_handler(event("restore") | {"version": version, "lambda_version": None, "former": None}, None)
    assert (failed["error"], failed["cause"][:12]) == ("SmokeFailed", "golden row 3")
    assert function.alias == "1"
    assert world.ledger_facts(f"model/{MODEL}") == ["rolled back"]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_every_task_can_be_rolled_out(world: World, function: FunctionState, task: str) -> None:
    leave(world.data, "r1", task=task)
    version = register(MODEL, "r1", AT, world.data, Registry(world.registry)).version
    assert roll_out(version)["error"] is None


def test_smoke_names_the_row_that_differs(world: World, api: LambdaApi) -> None:
    version = registered(world)
    lambda_handler(event("publish") | {"version": version}, None)
    api.answers = lambda _, payload: ANSWERS["another number"](payload)
    with pytest.raises(SmokeFailed, match=r"golden row 1: probability is 0\.\d+, training saw"):
        lambda_handler(event("smoke") | {"version": version}, None)


@pytest.mark.parametrize("when", ["before-send", "after-call"])
@pytest.mark.parametrize("operation", ["dynamodb.TransactWriteItems", "s3.PutObject", "eventbridge.PutEvents"])
def test_what_serves_is_recorded_and_announced_whatever_fails_after_it_does(
    world: World, function: FunctionState, operation: str, when: When
) -> None:
    # given a version whose verification died, for good
    roll_out(registered(world, "r1"))
    second = registered(world, "r2")
    published = lambda_handler(event("publish") | {"version": second}, None)
    known = {name: published[name] for name in KNOWN}
    lambda_handler(event("shift") | known, None)
    with crash_at(1, when, operation) as death:
        lambda_handler(event("verify") | known, None)
    assert death.happened
    # when the workflow puts everything back, then registry, alias, ledger and bus agree
    serves = champion(world)
    failed = lambda_handler(event("restore") | known, None)
    assert failed["error"] == "SmokeFailed"
    assert serves == (1 if (operation, when) == ("dynamodb.TransactWriteItems", "before-send") else second)
    assert function.alias == str(1 + serves)
    assert world.ledger_facts(f"model/{MODEL}") == ["deployed", "deployed" if serves == second else "rolled back"]
    told = world.facts("Rollout Promoted" if serves == second else "Rollout Rolled Back")
    assert told[-1]["detail"]["version"] == second


def test_a_failure_goes_back_to_the_champion_wherever_a_dead_rollout_left_the_alias(
    world: World, api: LambdaApi, function: FunctionState
) -> None:
    # given a rollout of version 2 that was stopped between Shift and Verify
    roll_out(registered(world, "r1"))
    second = registered(world, "r2")
    published = lambda_handler(event("publish") | {"version": second}, None)
    lambda_handler(event("shift") | {name: published[name] for name in KNOWN}, None)
    assert (function.alias, champion(world)) == ("3", 1)
    # when version 3 fails its smoke test
    api.answers = lambda version, payload: ANSWERS["a crash"](payload) if version == "4" else payload
    assert roll_out(registered(world, "r3"))["error"] == "SmokeFailed"
    # then the champion serves, and not what nobody verified
    assert (function.alias, champion(world)) == ("2", 1)


def test_and_a_success_takes_over_from_there(world: World, function: FunctionState) -> None:
    roll_out(registered(world, "r1"))
    second = registered(world, "r2")
    published = lambda_handler(event("publish") | {"version": second}, None)
    lambda_handler(event("shift") | {name: published[name] for name in KNOWN}, None)
    assert roll_out(registered(world, "r3"))["error"] is None
    assert (function.alias, champion(world)) == ("4", 3)


def test_without_the_champions_lambda_version_the_way_back_is_what_the_alias_named(
    world: World, function: FunctionState
) -> None:
    roll_out(registered(world, "r1"))
    function.versions["9"] = function.code
    function.point("9")
    del function.versions["2"]
    published = lambda_handler(event("publish") | {"version": registered(world, "r2")}, None)
    assert published["former"] == "9"


@pytest.mark.parametrize("behind", ["before it reads the alias", "before it moves the alias"])
def test_a_shift_that_was_given_up_comes_too_late(
    world: World, function: FunctionState, monkeypatch: pytest.MonkeyPatch, behind: str
) -> None:
    # given a shift that hangs while its rollout is given up and everything put back
    roll_out(registered(world, "r1"))
    published = lambda_handler(event("publish") | {"version": registered(world, "r2")}, None)
    known = {name: published[name] for name in KNOWN}
    move = Function.move_alias

    def late(self: Function, name: str, version: str, revision: str, weights: dict[str, float] | None) -> str:
        monkeypatch.undo()
        lambda_handler(event("restore") | known, None)
        return move(self, name, version, revision, weights)

    # when it goes on
    if "reads" in behind:
        lambda_handler(event("restore") | known, None)
    else:
        monkeypatch.setattr(Function, "move_alias", late)
    with pytest.raises((AliasMoved, PublishPending)):
        lambda_handler(event("shift") | known, None)
    # then callers never meet what was given up
    assert set(function.served) == {"2"}
    assert world.ledger_facts(f"model/{MODEL}") == ["deployed", "rolled back"]
