"""The state machines as AWS gets them: rendered, reviewed as JSON, and patient only by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import App, text

SNAPSHOTS = Path(__file__).parent / "snapshots"
WORKFLOWS = ("ingest", "lifecycle", "rollout")


def definition(app: App, workflow: str) -> dict[str, Any]:
    machine = app.one("AWS::StepFunctions::StateMachine", StateMachineName=f"perennial-dev-{workflow}")
    rendered: dict[str, Any] = json.loads(text(machine.props["DefinitionString"]))
    return rendered


def tasks(app: App) -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow in WORKFLOWS:
        for name, state in definition(app, workflow)["States"].items():
            if state["Type"] == "Task":
                yield f"{workflow}.{name}", state


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_is_what_was_reviewed(app: App, workflow: str, request: pytest.FixtureRequest) -> None:
    """After a wanted change: `scripts/test tests/infra --update-snapshots`, then review the difference in git."""
    rendered = json.dumps(definition(app, workflow), indent=2, ensure_ascii=False) + "\n"
    snapshot = SNAPSHOTS / f"{workflow}.asl.json"
    if request.config.getoption("--update-snapshots"):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(rendered, encoding="utf-8")
    assert rendered == snapshot.read_text(encoding="utf-8")


def test_every_task_ends_in_time(app: App) -> None:
    assert not [name for name, state in tasks(app) if not state.get("TimeoutSeconds")]


def test_a_task_outlasts_the_function_it_calls(app: App) -> None:
    """Else Step Functions would give up before Lambda says what happened."""
    functions = {resource.id: resource.props["Timeout"] for resource in app.of("AWS::Lambda::Function")}
    called = [
        (name, state["TimeoutSeconds"], functions[state["Parameters"]["FunctionName"].strip("${}").split(".")[0]])
        for name, state in tasks(app)
        if "FunctionName" in state["Parameters"]
    ]
    assert called
    assert not [name for name, task, function in called if task <= function]


def test_every_retry_names_its_errors(app: App) -> None:
    """A catch-all retry would repeat what cannot succeed, and run a training again."""
    for name, state in tasks(app):
        assert state["Retry"], name
        named = [error for retry in state["Retry"] for error in retry["ErrorEquals"]]
        assert not [error for error in named if error.startswith("States.")], name


def test_retries_wait_no_longer_than_argued(app: App) -> None:
    """Totals as infra/workflows/steps.py argues them, without jitter (which only shortens)."""
    argued = {"Lambda.ServiceException": 122, "StorageUnavailable": 155, "ECS.AmazonECSException": 310}
    argued |= {"StepFunctions.ServiceException": 35, "PublishPending": 195}
    for name, state in tasks(app):
        for retry in state["Retry"]:
            waits = [
                min(retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt, retry["MaxDelaySeconds"])
                for attempt in range(retry["MaxAttempts"])
            ]
            assert sum(waits) == argued[retry["ErrorEquals"][0]], name


def test_a_training_that_ran_is_never_run_again(app: App) -> None:
    train = definition(app, "lifecycle")["States"]["Train"]
    assert {error.split(".")[0] for retry in train["Retry"] for error in retry["ErrorEquals"]} == {"ECS"}


@pytest.mark.parametrize(("workflow", "explains"), [("lifecycle", "Explain"), ("rollout", "Restore")])
def test_every_failure_is_explained_before_the_execution_fails(app: App, workflow: str, explains: str) -> None:
    states = definition(app, workflow)["States"]
    for name, state in states.items():
        if state["Type"] == "Task" and name != explains:
            caught = [(catch["ErrorEquals"], catch["Next"], catch["ResultPath"]) for catch in state["Catch"]]
            assert caught == [(["States.ALL"], explains, "$.failure")], name
    assert states[states[explains]["Next"]]["Type"] == "Fail"


def test_the_training_task_gets_its_request(app: App) -> None:
    override = definition(app, "lifecycle")["States"]["Train"]["Parameters"]["Overrides"]["ContainerOverrides"]
    assert override == [{"Name": "train", "Environment": [{"Name": "RUN_REQUEST", "Value.$": "$.look.request_key"}]}]


def test_workflows_log_and_trace_everything(app: App) -> None:
    for machine in app.of("AWS::StepFunctions::StateMachine"):
        assert machine.props["LoggingConfiguration"]["Level"] == "ALL"
        assert machine.props["LoggingConfiguration"]["IncludeExecutionData"] is True
        assert machine.props["TracingConfiguration"] == {"Enabled": True}


def test_an_ingestion_starts_with_the_whole_event_of_an_object_under_raw(app: App) -> None:
    rule = app.one("AWS::Events::Rule", Name="perennial-dev-ingest").props
    assert "EventBusName" not in rule  # S3 knows only the default bus
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "raw/"}]}
    assert not {"Input", "InputPath", "InputTransformer"} & rule["Targets"][0].keys()
