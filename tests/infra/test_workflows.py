"""The state machines as AWS gets them: rendered, reviewed as JSON, and patient only by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from perennial.catalog.rollout import LONGEST, LOOKS, RolloutSpec
from perennial.errors import FUNCTION_ASLEEP, PROCESS_DIED, Retriable, fault_of
from tests.infra.conftest import MODELS, App, text

SNAPSHOTS = Path(__file__).parent / "snapshots"
WORKFLOWS = ("ingest", "lifecycle", "promotion", "rollout", "score")


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
    argued |= {"StepFunctions.ServiceException": 35, "PublishPending": 555, "RolloutRunning": 613_515}
    argued |= {"Lambda.Unknown": 5, "Lambda.CodeArtifactUserPendingException": 150}
    for name, state in tasks(app):
        for retry in state["Retry"]:
            waits = [
                min(retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt, retry["MaxDelaySeconds"])
                for attempt in range(retry["MaxAttempts"])
            ]
            assert sum(waits) == argued[retry["ErrorEquals"][0]], name


def test_a_training_that_ran_is_never_run_again(app: App) -> None:
    train = definition(app, "lifecycle")["States"]["Train"]
    assert {error.split(".")[0] for retry in train["Retry"] for error in retry["ErrorEquals"]} == {
        "ECS",
        "AmazonECS",
    }


@pytest.mark.parametrize(("workflow", "explains"), [("lifecycle", "Explain"), ("rollout", "Restore")])
def test_every_failure_is_explained_before_the_execution_fails(app: App, workflow: str, explains: str) -> None:
    states = definition(app, workflow)["States"]
    for name, state in states.items():
        if state["Type"] == "Task" and name not in (explains, "Prune"):
            caught = [(catch["ErrorEquals"], catch["Next"], catch["ResultPath"]) for catch in state["Catch"]]
            assert caught[-1] == (["States.ALL"], explains, "$.failure"), name
    assert states[states[explains]["Next"]]["Type"] == "Fail"


def test_no_failure_that_can_be_caught_escapes(app: App) -> None:
    """States.ALL takes all but States.DataLimitExceeded (and States.Runtime, which nothing takes), alone and last."""
    for name, state in tasks(app):
        if name.startswith(("lifecycle.", "rollout.")):
            groups = [catch["ErrorEquals"] for catch in state["Catch"]]
            assert groups[-2:] == [["States.DataLimitExceeded"], ["States.ALL"]], name
            assert [group for group in groups if "States.ALL" in group] == [["States.ALL"]], name


def test_a_failure_that_cannot_be_explained_is_told_as_it_is(app: App) -> None:
    """Else the fault of the explanation would hide what was to be explained."""
    states = definition(app, "lifecycle")["States"]
    assert [catch["ResultPath"] for catch in states["Explain"]["Catch"]] == [None, None]
    assert states["Unexplained"] == {
        "Type": "Fail",
        "Error": "Unexplained",
        "CausePath": "States.Format('{}: {}', $.failure.Error, $.failure.Cause)",
    }


def test_a_flight_that_is_another_executions_is_left_alone(app: App) -> None:
    states = definition(app, "lifecycle")["States"]
    alone = {"ErrorEquals": ["FlightUnknown"], "ResultPath": "$.failure", "Next": "NotOursWhy"}
    assert [name for name, state in states.items() if alone in state.get("Catch", [])] == ["Retrain", "HandOver"]
    assert (states["NotOursWhy"]["Next"], states["NotOurs"]["Type"]) == ("NotOurs", "Fail")


def test_what_is_retried_is_the_fault_of_the_surroundings_and_every_such_reason_is_retried(app: App) -> None:
    retried = {error for _, state in tasks(app) for retry in state["Retry"] for error in retry["ErrorEquals"]}
    # a process that dies twice is no passing fault
    assert {fault_of(error) for error in retried.difference(PROCESS_DIED)} == {"surroundings"}
    assert {kind.__name__ for kind in Retriable.__subclasses__()} <= retried


def test_what_is_caught_by_name_is_a_reason_that_perennial_has(app: App) -> None:
    for workflow in ("ingest", "lifecycle", "rollout"):
        for name, state in definition(app, workflow)["States"].items():
            for error in [error for catch in state.get("Catch", []) for error in catch["ErrorEquals"]]:
                assert error.startswith("States.") or fault_of(error) != "defect", (name, error)


def events(state: dict[str, Any]) -> int:
    """What a visit of a state at worst adds to the history of its execution."""
    # entered, exited; of a task also scheduled, started, submitted and ended, and three of them on every retry
    retries = sum(retry["MaxAttempts"] for retry in state.get("Retry", []))
    return 2 + (4 + 3 * retries if state["Type"] == "Task" else 0)


def test_an_execution_of_lifecycle_ends_before_five_thousand_events(app: App) -> None:
    """Counted as Step Functions writes history: a visit of each state, and of those between two looks once per look."""
    states = definition(app, "lifecycle")["States"]
    looks = states["Settled"]["Choices"][1]["NumericGreaterThan"]
    assert states["Settled"]["Choices"][1]["Variable"] == "$.look.next_look"
    loop = {"Settle", "Retrain", "Settled"}
    assert states["Settled"]["Default"] in loop
    worst = sum(events(state) * (looks if name in loop else 1) for name, state in states.items())
    assert looks >= 75
    assert worst < 5000


def test_an_execution_of_rollout_ends_before_ten_thousand_events(app: App) -> None:
    """Of AWS's 25,000: a visit of each state, one more of Shift per step, as many looks as a spec may want."""
    states = definition(app, "rollout")["States"]
    loop = {"Dwell", "Look", "Onward"}
    assert states["Dwell"]["Next"] == "Look"
    steps = 5
    visits = dict.fromkeys(states, 1) | dict.fromkeys(loop, LOOKS + steps) | {"Shift": steps + 1}
    assert sum(events(state) * visits[name] for name, state in states.items()) < 10_000
    with pytest.raises(ValidationError, match="at most 5 items"):
        RolloutSpec(steps=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    with pytest.raises(ValidationError, match=f"more than {LOOKS}"):
        RolloutSpec(steps=(0.1, 0.2, 0.3, 0.4, 0.5), dwell=60, limit=LONGEST)


def test_whoever_waits_for_a_rollout_waits_as_long_as_one_may_take_and_wait_itself(app: App) -> None:
    for workflow in ("lifecycle", "promotion"):
        assert definition(app, workflow)["States"]["Deploy"]["TimeoutSeconds"] >= 2 * LONGEST
    waits = definition(app, "rollout")["States"]["Publish"]["Retry"][-1]
    assert (waits["ErrorEquals"], waits["JitterStrategy"]) == (["RolloutRunning"], "NONE")


def test_a_function_that_was_asleep_is_waited_for_wherever_it_is_called(app: App) -> None:
    called = {name: state for name, state in tasks(app) if "FunctionName" in state["Parameters"]}
    assert called
    for name, state in called.items():
        [waiting] = [one for one in state["Retry"] if set(FUNCTION_ASLEEP) & set(one["ErrorEquals"])]
        assert (set(waiting["ErrorEquals"]), waiting["JitterStrategy"]) == (set(FUNCTION_ASLEEP), "NONE"), name
    assert {fault_of(error) for error in FUNCTION_ASLEEP} == {"surroundings"}


def test_going_back_waits_for_lambda_and_says_why_it_could_not(app: App) -> None:
    states = definition(app, "rollout")["States"]
    assert "PublishPending" in [error for retry in states["Restore"]["Retry"] for error in retry["ErrorEquals"]]
    named = states["Restore"]["Catch"][0]
    assert named["Next"] == "NotRestoredWhy"
    assert {"PublishPending", "StorageUnavailable", "AccessRefused"} == set(named["ErrorEquals"])
    assert (states["NotRestoredWhy"]["Next"], states["NotRestored"]["Type"]) == ("NotRestored", "Fail")
    assert states["Unexplained"]["Type"] == "Fail"


def test_the_states_of_a_rollout_that_come_again_are_those_of_steps_and_looks(app: App) -> None:
    """What else waits, waits by a retry, and so not without end."""
    states = definition(app, "rollout")["States"]

    def following(name: str) -> set[str]:
        state = states[name]
        choices = state.get("Choices", []) + state.get("Catch", []) + [state]
        return {one[key] for one in choices for key in ("Next", "Default") if key in one}

    def reached(name: str, known: frozenset[str] = frozenset()) -> frozenset[str]:
        for after in following(name) - known:
            known = reached(after, known | {after})
        return known

    assert {"Publish", "Restore", "Done"} < reached("Open")
    assert {name for name in states if name in reached(name)} == {"Shift", "Moved", "Onward", "Dwell", "Look"}


def test_the_judge_s_word_is_what_the_way_back_is_told(app: App) -> None:
    states = definition(app, "rollout")["States"]
    assert states["Onward"]["Default"] == "Judged"
    assert states["Judged"] == {
        "Type": "Pass",
        "Parameters": {"Error.$": "$.published.error", "Cause.$": "$.published.cause"},
        "ResultPath": "$.failure",
        "Next": "Restore",
    }


def test_a_version_serves_whatever_becomes_of_old_ones(app: App) -> None:
    states = definition(app, "rollout")["States"]
    assert states["Verify"]["Next"] == "Prune"
    assert {caught["Next"] for caught in states["Prune"]["Catch"]} == {states["Prune"]["Next"]} == {"Done"}
    assert states["Done"]["Type"] == "Succeed"


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


def test_a_deployment_of_the_functions_asks_for_a_rollout_of_each_champion(app: App) -> None:
    machine = app.one("AWS::StepFunctions::StateMachine", StateMachineName="perennial-dev-rollout")
    for model in MODELS:
        rule = app.one("AWS::Events::Rule", Name=f"perennial-dev-rollout-{model}").props
        assert "EventBusName" not in rule  # CloudFormation tells the default bus
        pattern = rule["EventPattern"]
        assert (pattern["source"], pattern["detail-type"]) == (
            ["aws.cloudformation"],
            ["CloudFormation Stack Status Change"],
        )
        [stack] = pattern["detail"]["stack-id"]
        assert text(stack["prefix"]).endswith(":stack/perennial-dev-serving/")
        assert {"CREATE_COMPLETE", "UPDATE_COMPLETE"} < set(pattern["detail"]["status-details"]["status"])
        [target] = rule["Targets"]
        assert target["Arn"] == {"Ref": machine.id}
        assert json.loads(target["Input"]) == {"model": model, "version": "champion"}
        assert target["DeadLetterConfig"]
        assert set(target["RetryPolicy"]) == {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"}
