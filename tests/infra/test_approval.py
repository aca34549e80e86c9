"""Approval in the templates: production waits for a person, dev does not, and only stage approve has the tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.environment import Environment
from infra.synth import synthesize
from tests.infra.conftest import CATALOG, App, listed, text
from tests.infra.test_workflows import SNAPSHOTS

DAY = 86400


@pytest.fixture(scope="module")
def prod() -> App:
    """Environment prod, where a person has to approve."""
    return App.read(synthesize(env="prod", catalog=CATALOG, nag=True))


def definition(app: App, name: str) -> dict[str, Any]:
    machine = app.one("AWS::StepFunctions::StateMachine", StateMachineName=f"perennial-{name}")
    rendered: dict[str, Any] = json.loads(text(machine.props["DefinitionString"]))
    return rendered


def test_production_asks_a_person_and_the_others_do_not() -> None:
    asks = {name: Environment.load(name).approval.required for name in ("dev", "staging", "prod")}
    assert asks == {"dev": False, "staging": False, "prod": True}


def test_where_nobody_has_to_approve_the_states_are_not_there(app: App) -> None:
    for workflow in ("lifecycle", "promotion"):
        assert not {"Approve", "Expire", "Approved"} & definition(app, f"dev-{workflow}")["States"].keys()


def test_a_promotion_to_production_is_what_was_reviewed(prod: App, request: pytest.FixtureRequest) -> None:
    rendered = json.dumps(definition(prod, "prod-promotion"), indent=2, ensure_ascii=False) + "\n"
    snapshot = SNAPSHOTS / "promotion-with-approval.asl.json"
    if request.config.getoption("--update-snapshots"):
        snapshot.write_text(rendered, encoding="utf-8")
    assert rendered == snapshot.read_text(encoding="utf-8")


def test_both_workflows_wait_in_the_same_states(prod: App) -> None:
    lifecycle, promotion = (definition(prod, f"prod-{name}")["States"] for name in ("lifecycle", "promotion"))
    asked = {name: lifecycle["Approve"][name] for name in ("Resource", "Parameters", "TimeoutSeconds", "Retry")}
    assert asked == {name: promotion["Approve"][name] for name in asked}
    assert asked["Resource"].endswith(":states:::lambda:invoke.waitForTaskToken")
    assert asked["Parameters"]["Payload"]["token.$"] == "$$.Task.Token"
    assert asked["TimeoutSeconds"] == 7 * DAY
    assert lifecycle["Expire"]["Parameters"] == promotion["Expire"]["Parameters"]


def test_only_an_approved_version_reaches_deploy(prod: App) -> None:
    for name, instead in (("lifecycle", "Release"), ("promotion", "NotApproved")):
        states = definition(prod, f"prod-{name}")["States"]
        assert states["Approved"]["Default"] == instead
        assert [(each["Variable"], each["BooleanEquals"], each["Next"]) for each in states["Approved"]["Choices"]] == [
            ("$.approval.approved", True, "Deploy")
        ]
        ways = json.dumps({state: says for state, says in states.items() if state != "Approved"})
        assert '"Next": "Deploy"' not in ways
        assert {states["Approve"]["Next"], states["Expire"]["Next"]} == {"Approved"}


def test_a_wait_that_is_over_asks_how_it_stands_and_other_failures_are_explained(prod: App) -> None:
    lifecycle = definition(prod, "prod-lifecycle")["States"]
    ways = [(catch["ErrorEquals"], catch["Next"]) for catch in lifecycle["Approve"]["Catch"]]
    explained = [(["States.DataLimitExceeded"], "Explain"), (["States.ALL"], "Explain")]
    assert ways == [(["States.Timeout"], "Expire"), *explained]
    assert [(catch["ErrorEquals"], catch["Next"]) for catch in lifecycle["Expire"]["Catch"]] == explained
    promotion = definition(prod, "prod-promotion")["States"]
    assert [catch["Next"] for catch in promotion["Approve"]["Catch"]] == ["Expire"]
    assert "Catch" not in promotion["Expire"]


def test_a_version_is_registered_as_what_its_environment_wants(app: App, prod: App) -> None:
    for stage, wanted in ((app, "false"), (prod, "true")):
        (register,) = [
            one for one in stage.of("AWS::Lambda::Function") if one.props["FunctionName"].endswith("-register")
        ]
        assert register.props["Environment"]["Variables"]["APPROVAL_REQUIRED"] == wanted


def test_only_approve_may_read_tokens_answer_them_and_start_promotions(prod: App) -> None:
    table = prod.one("AWS::DynamoDB::Table", TableName="perennial-prod-approvals").id
    readers, answerers, starters = set(), set(), set()
    for policy in prod.of("AWS::IAM::Policy"):
        for statement in policy.props["PolicyDocument"]["Statement"]:
            where = " ".join(text(one) for one in listed(statement["Resource"]))
            actions = set(listed(statement["Action"]))
            if table in where:
                readers.add(policy.id)
                assert actions <= {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}
            if any(action.startswith("states:SendTask") for action in actions):
                answerers.add(policy.id)
                assert "*" not in where
            if "states:StartExecution" in actions and "promotion" in where:
                starters.add(policy.id)
    assert len(readers) == 1
    assert all(name.startswith("ApproveRole") for name in readers)
    assert readers == answerers == starters


def test_production_is_clean_too(prod: App) -> None:
    report = json.loads((prod.folder / "validation-report.json").read_text(encoding="utf-8"))
    assert not [violation["ruleName"] for plugin in report["pluginReports"] for violation in plugin["violations"]]
