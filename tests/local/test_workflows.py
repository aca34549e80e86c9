"""State machines: moto's interpreter with AWS's semantics, on the cloud's clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from infra.local.context import Cloud, ImageSource
from infra.local.workflow_definitions import problems
from infra.local.workflow_errors import matches
from perennial.errors import ECS_UNAVAILABLE, fault_of
from tests.local.small_functions import create, settled, unique, until

ROLE = "arn:aws:iam::123456789012:role/states"
RUN_TASK = "arn:aws:states:::ecs:runTask.sync"
INVOKE = "arn:aws:states:::lambda:invoke"
START = "arn:aws:states:::states:startExecution"


def machine(cloud: Cloud, *states: tuple[str, dict[str, Any]], **members: Any) -> str:
    """A state machine that starts at the first state; returns its ARN."""
    definition = {"StartAt": states[0][0], "States": dict(states), **members}
    client = cloud.client("stepfunctions")
    arn: str = client.create_state_machine(name=unique("machine"), definition=json.dumps(definition), roleArn=ROLE)[
        "stateMachineArn"
    ]
    return arn


def start(cloud: Cloud, arn: str, given: Any = None, **members: Any) -> str:
    text = json.dumps({} if given is None else given)
    execution: str = cloud.client("stepfunctions").start_execution(stateMachineArn=arn, input=text, **members)[
        "executionArn"
    ]
    return execution


def ended(cloud: Cloud, execution: str, seconds: float = 20.0) -> dict[str, Any]:
    client = cloud.client("stepfunctions")

    def ask() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    found = until(ask, seconds)
    assert found is not None
    return found


def run(cloud: Cloud, arn: str, given: Any = None) -> dict[str, Any]:
    return ended(cloud, start(cloud, arn, given))


def entered(cloud: Cloud, execution: str, state: str) -> None:
    """Wait until an execution is in a state."""
    client = cloud.client("stepfunctions")

    def ask() -> bool:
        history = client.get_execution_history(executionArn=execution)["events"]
        return any(event.get("stateEnteredEventDetails", {}).get("name") == state for event in history)

    until(ask)


def refused(call: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def invoke_state(name: str, **members: Any) -> dict[str, Any]:
    parameters = {"FunctionName": name, "Payload.$": "$"}
    return {"Type": "Task", "Resource": INVOKE, "Parameters": parameters, **members}


class TestDefinitions:
    @pytest.mark.parametrize(
        ("definition", "code"),
        [
            ({"States": {"A": {"Type": "Succeed"}}}, "SCHEMA_VALIDATION_FAILED"),
            ({"StartAt": "B", "States": {"A": {"Type": "Succeed"}}}, "MISSING_TRANSITION_TARGET"),
            ({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}, "MISSING_TRANSITION_TARGET"),
            (
                {"StartAt": "A", "States": {"A": {"Type": "Succeed"}, "B": {"Type": "Succeed"}}},
                "MISSING_TRANSITION_TARGET",
            ),
            ({"StartAt": "A", "States": {"A": {"Type": "Pass"}}}, "SCHEMA_VALIDATION_FAILED"),
            ({"StartAt": "A", "States": {"A": {"Type": "Dance", "End": True}}}, "SCHEMA_VALIDATION_FAILED"),
        ],
    )
    def test_an_invalid_definition_is_refused_when_it_is_made(
        self, cloud: Cloud, definition: dict[str, Any], code: str
    ) -> None:
        client = cloud.client("stepfunctions")
        found, message = refused(
            client.create_state_machine, name=unique(), definition=json.dumps(definition), roleArn=ROLE
        )
        assert found == "InvalidDefinition"
        assert code in message

    def test_and_when_it_is_changed(self, cloud: Cloud) -> None:
        arn = machine(cloud, ("A", {"Type": "Succeed"}))
        update = cloud.client("stepfunctions").update_state_machine
        assert refused(update, stateMachineArn=arn, definition='{"StartAt": "A"}')[0] == "InvalidDefinition"

    def test_states_inside_maps_and_parallels_are_checked_too(self) -> None:
        inner = {"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": "Y"}}}
        outer = {"Type": "Map", "ItemProcessor": inner, "End": True}
        definition = json.dumps({"StartAt": "M", "States": {"M": outer}})
        assert problems(definition) == [
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: Y at /States/M/ItemProcessor/States/X/Next"
        ]

    def test_states_reached_by_catch_and_choice_are_reachable(self) -> None:
        choice = {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": True, "Next": "B"}], "Default": "C"}
        task = {
            "Type": "Task",
            "Resource": INVOKE,
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}],
            "End": True,
        }
        states = {"A": choice, "B": task, "C": {"Type": "Fail"}}
        assert problems(json.dumps({"StartAt": "A", "States": states})) == []

    @given(st.text() | st.dictionaries(st.text(), st.integers()).map(json.dumps))
    def test_no_text_breaks_the_check(self, text: str) -> None:
        assert problems(text)

    def test_the_same_name_with_another_definition_is_taken(self, cloud: Cloud) -> None:
        client, name = cloud.client("stepfunctions"), unique()
        first, second = (
            json.dumps({"StartAt": name, "States": {name: {"Type": "Succeed"}}}) for name in ("First", "Second")
        )
        made = [
            client.create_state_machine(name=name, definition=first, roleArn=ROLE)["stateMachineArn"] for _ in range(2)
        ]
        assert made[0] == made[1]
        taken = refused(client.create_state_machine, name=name, definition=second, roleArn=ROLE)
        assert taken[0] == "StateMachineAlreadyExists"


class TestExecutions:
    WAITING = ("Wait", {"Type": "Wait", "Seconds": 600, "Next": "Done"}), ("Done", {"Type": "Succeed"})

    def test_a_name_is_idempotent_for_the_same_input_while_it_runs(self, cloud: Cloud) -> None:
        arn = machine(cloud, *self.WAITING)
        first = start(cloud, arn, {"a": 1}, name="once")
        assert start(cloud, arn, {"a": 1}, name="once") == first
        begin = cloud.client("stepfunctions").start_execution
        assert refused(begin, stateMachineArn=arn, name="once", input='{"a": 2}')[0] == "ExecutionAlreadyExists"
        cloud.client("stepfunctions").stop_execution(executionArn=first)
        assert refused(begin, stateMachineArn=arn, name="once", input='{"a": 1}')[0] == "ExecutionAlreadyExists"

    def test_executions_without_a_name_get_one_each(self, cloud: Cloud) -> None:
        arn = machine(cloud, ("Done", {"Type": "Succeed"}))
        assert len({start(cloud, arn, {"n": number}) for number in range(3)}) == 3

    def test_input_over_the_quota_is_refused(self, cloud: Cloud) -> None:
        arn = machine(cloud, ("Done", {"Type": "Succeed"}))
        begin = cloud.client("stepfunctions").start_execution
        assert refused(begin, stateMachineArn=arn, input=json.dumps("x" * 262_143))[0] == "ValidationException"
        assert run(cloud, arn, "x" * 262_142)["status"] == "SUCCEEDED"

    def test_a_stopped_execution_is_aborted_at_once(self, cloud: Cloud) -> None:
        execution = start(cloud, machine(cloud, *self.WAITING))
        cloud.client("stepfunctions").stop_execution(executionArn=execution)
        assert cloud.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"

    def test_the_reason_of_a_stop_is_kept(self, cloud: Cloud) -> None:
        execution = start(cloud, machine(cloud, *self.WAITING))
        client = cloud.client("stepfunctions")
        client.stop_execution(executionArn=execution, error="NotNeeded", cause="by hand")
        found = client.describe_execution(executionArn=execution)
        assert (found["error"], found["cause"]) == ("NotNeeded", "by hand")
        assert found["stopDate"] >= found["startDate"]

    def test_a_stopped_execution_stays_aborted_whatever_its_catchers_say(self, cloud: Cloud) -> None:
        name = create(cloud, "import time\ndef handle(event, context):\n    time.sleep(1.5)\n    raise ValueError\n")
        catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
        caught = ("Caught", {"Type": "Succeed"})
        execution = start(cloud, machine(cloud, ("Call", invoke_state(name, Catch=catch, End=True)), caught))
        entered(cloud, execution, "Call")
        cloud.client("stepfunctions").stop_execution(executionArn=execution)
        time.sleep(2.5)
        assert cloud.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"

    def test_an_execution_that_waits_for_a_token_can_be_stopped(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    return 1\n")
        state = {
            "Type": "Task",
            "Resource": f"{INVOKE}.waitForTaskToken",
            "Parameters": {"FunctionName": name, "Payload": {"token.$": "$$.Task.Token"}},
            "End": True,
        }
        execution = start(cloud, machine(cloud, ("Ask", state)))
        entered(cloud, execution, "Ask")
        time.sleep(0.5)
        cloud.client("stepfunctions").stop_execution(executionArn=execution)
        history = cloud.client("stepfunctions").get_execution_history

        def aborted() -> bool:
            return any(event["type"] == "ExecutionAborted" for event in history(executionArn=execution)["events"])

        until(aborted)

    def test_fail_takes_error_and_cause_from_the_input(self, cloud: Cloud) -> None:
        fail = {"Type": "Fail", "ErrorPath": "$.why.error", "CausePath": "$.why.cause"}
        failed = run(cloud, machine(cloud, ("Failed", fail)), {"why": {"error": "TooFewRows", "cause": "12 rows"}})
        assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "TooFewRows", "12 rows")


class TestTime:
    @pytest.mark.parametrize("field", ["Seconds", "SecondsPath", "Timestamp", "TimestampPath"])
    def test_a_wait_ends_when_the_clock_is_driven_past_it(self, cloud: Cloud, field: str) -> None:
        later = (cloud.clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        value = {"Seconds": 172_800, "SecondsPath": "$.seconds", "Timestamp": later, "TimestampPath": "$.at"}[field]
        wait = {"Type": "Wait", field: value, "End": True}
        execution = start(cloud, machine(cloud, ("Wait", wait)), {"seconds": 172_800, "at": later})
        entered(cloud, execution, "Wait")
        time.sleep(0.5)
        assert cloud.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "RUNNING"
        cloud.clock.advance(172_801)
        assert ended(cloud, execution)["status"] == "SUCCEEDED"

    def test_a_retry_waits_on_the_clock(self, cloud: Cloud, tmp_path: Path) -> None:
        count = tmp_path / "count"
        name = create(
            cloud,
            f"import pathlib\ncount = pathlib.Path({str(count)!r})\nclass StorageUnavailable(Exception): pass\n"
            "def handle(event, context):\n    tried = count.read_text() if count.exists() else ''\n"
            "    count.write_text(tried + 'x')\n    if len(tried) < 2: raise StorageUnavailable('S3')\n"
            "    return len(tried)\n",
        )
        retry = [{"ErrorEquals": ["StorageUnavailable"], "IntervalSeconds": 300, "BackoffRate": 2, "MaxAttempts": 3}]
        execution = start(
            cloud, machine(cloud, ("Call", invoke_state(name, Retry=retry, OutputPath="$.Payload", End=True)))
        )

        def tried(times: int) -> bool:
            return count.exists() and len(count.read_text()) == times

        for attempts, seconds in ((1, 301), (2, 601)):
            until(partial(tried, attempts))
            time.sleep(0.3)
            cloud.clock.advance(seconds)
        assert json.loads(ended(cloud, execution)["output"]) == 2

    def test_the_context_tells_the_clocks_time(self, cloud: Cloud) -> None:
        cloud.clock.advance(86_400)
        look = {
            "Type": "Pass",
            "Parameters": {"entered.$": "$$.State.EnteredTime", "started.$": "$$.Execution.StartTime"},
        }
        found = run(cloud, machine(cloud, ("Look", {**look, "End": True})))
        times = json.loads(found["output"])
        for text in times.values():
            assert text.endswith("Z")
            assert len(text) == len("2026-01-01T00:00:00.000Z")
            assert abs(datetime.fromisoformat(text) - cloud.clock.now()) < timedelta(seconds=120)
        assert abs(found["startDate"] - cloud.clock.now()) < timedelta(seconds=120)

    def test_the_time_limit_of_an_execution_counts_the_waits_that_were_driven(self, cloud: Cloud) -> None:
        wait = {"Type": "Wait", "Seconds": 500, "Next": "Again"}
        again = {"Type": "Wait", "Seconds": 500, "Next": "Done"}
        arn = machine(cloud, ("Wait", wait), ("Again", again), ("Done", {"Type": "Succeed"}), TimeoutSeconds=800)
        execution = start(cloud, arn)
        entered(cloud, execution, "Wait")
        cloud.clock.advance(501)
        entered(cloud, execution, "Again")
        cloud.clock.advance(501)
        assert ended(cloud, execution)["status"] == "TIMED_OUT"

    def test_a_jump_of_the_clock_does_not_age_work_that_really_runs(self, cloud: Cloud) -> None:
        name = create(cloud, "import time\ndef handle(event, context):\n    time.sleep(1)\n    return 'done'\n")
        execution = start(cloud, machine(cloud, ("Call", invoke_state(name, TimeoutSeconds=60, End=True))))
        entered(cloud, execution, "Call")
        cloud.clock.advance(7200)
        assert ended(cloud, execution)["status"] == "SUCCEEDED"

    def test_a_state_that_takes_too_long_times_out(self, cloud: Cloud) -> None:
        name = create(cloud, "import time\ndef handle(event, context):\n    time.sleep(5)\n")
        catch = [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.why", "Next": "Late"}]
        arn = machine(
            cloud, ("Call", invoke_state(name, TimeoutSeconds=1, Catch=catch, End=True)), ("Late", {"Type": "Succeed"})
        )
        found = run(cloud, arn)
        assert json.loads(found["output"])["why"]["Error"] == "States.Timeout"

    def test_waiting_for_a_token_times_out_on_the_clock(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    return 1\n")
        state = {
            "Type": "Task",
            "Resource": f"{INVOKE}.waitForTaskToken",
            "Parameters": {"FunctionName": name, "Payload": {"token.$": "$$.Task.Token"}},
            "TimeoutSeconds": 3600,
            "End": True,
        }
        execution = start(cloud, machine(cloud, ("Ask", state)))
        entered(cloud, execution, "Ask")
        time.sleep(0.7)
        cloud.clock.advance(3700)
        assert ended(cloud, execution)["error"] == "States.Timeout"


class TestLambdaTasks:
    def test_a_function_error_is_caught_by_its_type(self, cloud: Cloud) -> None:
        name = create(
            cloud, "class TooFewRows(Exception): pass\ndef handle(event, context):\n    raise TooFewRows('12')\n"
        )
        catch = [{"ErrorEquals": ["TooFewRows"], "ResultPath": "$.why", "Next": "Known"}]
        call = invoke_state(name, Catch=catch, End=True)
        found = json.loads(run(cloud, machine(cloud, ("Call", call), ("Known", {"Type": "Succeed"})))["output"])
        assert found["why"]["Error"] == "TooFewRows"
        assert json.loads(found["why"]["Cause"])["errorMessage"] == "12"

    def test_what_a_function_says_of_its_error_can_be_read_from_the_cause(self, cloud: Cloud) -> None:
        name = create(
            cloud, "class TooFewRows(Exception): pass\ndef handle(event, context):\n    raise TooFewRows('12 rows')\n"
        )
        catch = [{"ErrorEquals": ["TooFewRows"], "ResultPath": "$.failure", "Next": "Why"}]
        parameters = {"error.$": "$.failure.Error", "said.$": "States.StringToJson($.failure.Cause)"}
        arn = machine(
            cloud,
            ("Call", invoke_state(name, Catch=catch, End=True)),
            ("Why", {"Type": "Pass", "Parameters": parameters, "Next": "Refused"}),
            ("Refused", {"Type": "Fail", "ErrorPath": "$.error", "CausePath": "$.said.errorMessage"}),
        )
        failed = run(cloud, arn)
        assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "TooFewRows", "12 rows")

    def test_a_function_that_is_throttled_is_retried_by_the_services_error(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    return 'ran'\n")
        client = cloud.client("lambda")
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        retry = [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 900, "MaxAttempts": 1}]
        execution = start(
            cloud, machine(cloud, ("Call", invoke_state(name, Retry=retry, OutputPath="$.Payload", End=True)))
        )
        entered(cloud, execution, "Call")
        time.sleep(0.7)
        client.delete_function_concurrency(FunctionName=name)
        cloud.clock.advance(901)
        assert json.loads(ended(cloud, execution)["output"]) == "ran"

    def test_a_function_that_is_not_there_fails_with_the_services_error(self, cloud: Cloud) -> None:
        failed = run(cloud, machine(cloud, ("Call", invoke_state("missing", End=True))))
        assert failed["error"] == "Lambda.ResourceNotFoundException"

    def test_a_timeout_of_the_function_has_lambdas_name(self, cloud: Cloud) -> None:
        name = create(cloud, "import time\ndef handle(event, context):\n    time.sleep(9)\n", Timeout=1)
        assert run(cloud, machine(cloud, ("Call", invoke_state(name, End=True))))["error"] == "Sandbox.Timedout"

    def test_the_result_carries_payload_and_executed_version(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    return {'rows': event['rows']}\n", Publish=True)
        settled(cloud, name, "1")
        call = invoke_state(f"arn:aws:lambda:{cloud.region}:{cloud.account}:function:{name}:1", End=True)
        output = json.loads(run(cloud, machine(cloud, ("Call", call)), {"rows": 3})["output"])
        assert output["Payload"] == {"rows": 3}
        assert output["ExecutedVersion"] == "1"

    @pytest.mark.parametrize(
        ("wanted", "error", "taken"),
        [
            (["States.ALL"], "Anything", True),
            (["States.ALL"], "States.DataLimitExceeded", False),
            (["States.ALL"], "States.Runtime", False),
            (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
            (["States.TaskFailed"], "Lambda.TooManyRequestsException", True),
            (["States.TaskFailed"], "States.TaskFailed", True),
            (["States.TaskFailed"], "States.Timeout", False),
            (["States.Timeout"], "States.HeartbeatTimeout", True),
            (["Other"], "TooFewRows", False),
        ],
    )
    def test_wildcards_take_what_aws_says_they_take(self, wanted: list[str], error: str, taken: bool) -> None:
        assert matches(wanted, error) is taken


class TestQuota:
    def test_a_result_over_256_kilobytes_fails_and_no_wildcard_catches_it(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    return 'x' * event\n")
        catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
        arn = machine(cloud, ("Call", invoke_state(name, Catch=catch, End=True)), ("Caught", {"Type": "Succeed"}))
        failed = run(cloud, arn, 256 * 1024)
        assert (failed["status"], failed["error"]) == ("FAILED", "States.DataLimitExceeded")
        assert run(cloud, arn, 100_000)["status"] == "SUCCEEDED"

    def test_a_result_over_256_kilobytes_is_caught_by_its_name(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    return 'x' * event\n")
        catch = [
            {"ErrorEquals": ["States.DataLimitExceeded"], "ResultPath": "$.failure", "Next": "Explain"},
            {"ErrorEquals": ["States.ALL"], "Next": "Else"},
        ]
        parameters = {"FunctionName": name, "Payload.$": "$.size"}
        cause = "States.Format('{}: {}', $.failure.Error, $.failure.Cause)"
        fail = {"Type": "Fail", "Error": "Unexplained", "CausePath": cause}
        arn = machine(
            cloud,
            ("Call", {"Type": "Task", "Resource": INVOKE, "Parameters": parameters, "Catch": catch, "End": True}),
            ("Explain", fail),
            ("Else", {"Type": "Succeed"}),
        )
        failed = run(cloud, arn, {"size": 256 * 1024})
        assert (failed["status"], failed["error"]) == ("FAILED", "Unexplained")
        assert failed["cause"].startswith("States.DataLimitExceeded: ")

    def test_an_input_that_grows_over_256_kilobytes_fails(self, cloud: Cloud) -> None:
        doubled = {"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$"}, "End": True}
        failed = run(cloud, machine(cloud, ("Double", doubled)), "x" * 200_000)
        assert failed["error"] == "States.DataLimitExceeded"


class TestNestedExecutions:
    def parent(self, cloud: Cloud, child: str, pattern: str, **members: Any) -> str:
        parameters = {"StateMachineArn": child, "Input": {"model.$": "$.model"}}
        state = {"Type": "Task", "Resource": f"{START}{pattern}", "Parameters": parameters, "End": True, **members}
        return machine(cloud, ("Start", state))

    def test_sync2_returns_the_childs_output_as_json(self, cloud: Cloud) -> None:
        child = machine(cloud, ("Echo", {"Type": "Pass", "End": True}))
        output = json.loads(run(cloud, self.parent(cloud, child, ".sync:2"), {"model": "late"})["output"])
        assert output["Status"] == "SUCCEEDED"
        assert output["Output"] == {"model": "late"}
        assert isinstance(output["StartDate"], int)

    def test_sync_returns_it_as_text(self, cloud: Cloud) -> None:
        child = machine(cloud, ("Echo", {"Type": "Pass", "End": True}))
        output = json.loads(run(cloud, self.parent(cloud, child, ".sync"), {"model": "late"})["output"])
        assert json.loads(output["Output"]) == {"model": "late"}

    @pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
    def test_a_failing_child_fails_its_parent_with_its_description_as_cause(self, cloud: Cloud, pattern: str) -> None:
        child = machine(cloud, ("No", {"Type": "Fail", "Error": "SmokeFailed", "Cause": "row 3"}))
        failed = run(cloud, self.parent(cloud, child, pattern), {"model": "late"})
        assert failed["error"] == "States.TaskFailed"
        cause = json.loads(failed["cause"])
        assert (cause["Status"], cause["Error"], cause["Cause"]) == ("FAILED", "SmokeFailed", "row 3")

    def test_a_stopped_parent_stops_its_child(self, cloud: Cloud) -> None:
        child = machine(cloud, ("Wait", {"Type": "Wait", "Seconds": 900, "End": True}))
        execution = start(cloud, self.parent(cloud, child, ".sync:2"), {"model": "late"})
        client = cloud.client("stepfunctions")
        (inner,) = until(lambda: client.list_executions(stateMachineArn=child)["executions"])
        client.stop_execution(executionArn=execution)
        assert ended(cloud, inner["executionArn"])["status"] == "ABORTED"


@pytest.fixture(scope="module")
def task(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A task definition whose container exits with the status in CODE after SLEEP seconds."""
    context = tmp_path_factory.mktemp("image")
    (context / "work.py").write_text(
        "import os, sys, time\ntime.sleep(float(os.environ.get('SLEEP', '0')))\nsys.exit(int(os.environ['CODE']))\n"
    )
    (context / "Dockerfile").write_text('FROM python:3.13\nWORKDIR /app\nCOPY work.py .\nCMD ["python", "work.py"]\n')
    uri = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/assets:{unique()}"
    cloud.images[uri] = ImageSource(context)
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName="workflow-tests")
    registered = ecs.register_task_definition(
        family=unique("work"),
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="1024",
        memory="2048",
        executionRoleArn="arn:aws:iam::123456789012:role/train",
        containerDefinitions=[{"name": "work", "image": uri, "essential": True}],
    )
    arn: str = registered["taskDefinition"]["taskDefinitionArn"]
    return arn


class TestTasks:
    def state(self, task: str, **members: Any) -> dict[str, Any]:
        override = {
            "Name": "work",
            "Environment": [{"Name": "CODE", "Value.$": "$.code"}, {"Name": "SLEEP", "Value.$": "$.sleep"}],
        }
        parameters = {
            "Cluster": "workflow-tests",
            "TaskDefinition": task,
            "LaunchType": "FARGATE",
            "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["subnet-1"]}},
            "Overrides": {"ContainerOverrides": [override]},
        }
        return {"Type": "Task", "Resource": RUN_TASK, "Parameters": parameters, "End": True, **members}

    def test_a_task_that_exits_with_zero_succeeds(self, cloud: Cloud, task: str) -> None:
        done = run(cloud, machine(cloud, ("Train", self.state(task))), {"code": "0", "sleep": "0"})
        output = json.loads(done["output"])
        assert output["LastStatus"] == "STOPPED"
        assert output["Containers"][0]["ExitCode"] == 0
        assert output["StartedBy"] == "AWS Step Functions"
        assert isinstance(output["CreatedAt"], int)

    def test_a_task_that_exits_with_another_code_fails_with_its_description(self, cloud: Cloud, task: str) -> None:
        catch = [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.why", "Next": "Explain"}]
        arn = machine(cloud, ("Train", self.state(task, Catch=catch)), ("Explain", {"Type": "Succeed"}))
        why = json.loads(run(cloud, arn, {"code": "3", "sleep": "0"})["output"])["why"]
        assert why["Error"] == "States.TaskFailed"
        cause = json.loads(why["Cause"])
        assert cause["Containers"][0]["ExitCode"] == 3
        assert cause["StopCode"] == "EssentialContainerExited"
        assert cause["StoppedReason"] == "Essential container in task exited"

    def each(self, task: str, **members: Any) -> dict[str, Any]:
        """A task of its own for each item of `$.items`, side by side."""
        one = {"Mode": "INLINE"}
        processor = {"ProcessorConfig": one, "StartAt": "Search", "States": {"Search": self.state(task)}}
        return {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor, "MaxConcurrency": 3, "End": True} | (
            members
        )

    def test_tasks_of_a_map_run_side_by_side(self, cloud: Cloud, task: str) -> None:
        arn = machine(cloud, ("Tune", self.each(task, ResultPath=None)))
        began = time.monotonic()
        given = {"items": [{"code": "0", "sleep": "3"} for _ in range(3)], "kept": 1}
        done = run(cloud, arn, given)
        assert json.loads(done["output"]) == given
        assert time.monotonic() - began < 3 * 3

    def test_a_task_of_a_map_that_fails_fails_the_map_with_its_description(self, cloud: Cloud, task: str) -> None:
        catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.why", "Next": "Explain"}]
        arn = machine(cloud, ("Tune", self.each(task, Catch=catch)), ("Explain", {"Type": "Succeed"}))
        given = {"items": [{"code": code, "sleep": "0"} for code in ("0", "3", "0")]}
        why = json.loads(run(cloud, arn, given)["output"])["why"]
        assert why["Error"] == "States.TaskFailed"
        assert json.loads(why["Cause"])["Containers"][0]["ExitCode"] == 3

    def test_a_task_that_cannot_be_asked_for_fails_with_the_services_error(self, cloud: Cloud, task: str) -> None:
        state = self.state(task)
        state["Parameters"]["Cluster"] = "no-such-cluster"
        failed = run(cloud, machine(cloud, ("Train", state)), {"code": "0", "sleep": "0"})
        assert failed["error"] == "ECS.ClusterNotFoundException"

    def test_a_task_that_there_is_no_room_for_fails_by_the_name_of_the_lifecycles_retry(
        self, cloud: Cloud, task: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cloud, "fargate_room", 0)
        failed = run(cloud, machine(cloud, ("Train", self.state(task))), {"code": "0", "sleep": "0"})
        assert failed["error"] in ECS_UNAVAILABLE
        assert fault_of(failed["error"]) == "surroundings"
        assert "Capacity is unavailable" in json.loads(failed["cause"])[0]["Reason"]

    @pytest.mark.parametrize("how", ["stopped", "timed out"])
    def test_a_task_is_stopped_with_its_state(self, cloud: Cloud, task: str, how: str) -> None:
        state = self.state(task, **({"TimeoutSeconds": 2} if how == "timed out" else {}))
        execution = start(cloud, machine(cloud, ("Train", state)), {"code": "0", "sleep": "60"})
        ecs = cloud.client("ecs")
        mine = {"cluster": "workflow-tests", "startedBy": "AWS Step Functions"}
        (arn,) = until(lambda: ecs.list_tasks(**mine)["taskArns"])
        until(lambda: ecs.describe_tasks(cluster="workflow-tests", tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING")
        if how == "stopped":
            cloud.client("stepfunctions").stop_execution(executionArn=execution)
        ended(cloud, execution)
        stopped = until(
            lambda: [
                each
                for each in ecs.describe_tasks(cluster="workflow-tests", tasks=[arn])["tasks"]
                if each["lastStatus"] == "STOPPED"
            ]
        )
        assert stopped[0]["stopCode"] == "UserInitiated"


def test_no_thread_of_the_interpreter_is_left_behind_by_short_executions(cloud: Cloud) -> None:
    arn = machine(cloud, ("Done", {"Type": "Succeed"}))
    before = threading.active_count()
    for number in range(20):
        run(cloud, arn, {"n": number})
    until(lambda: threading.active_count() <= before + 3)


def test_a_busy_cloud_stops_quickly_and_leaves_neither_thread_nor_process(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    script = [sys.executable, "-m", "tests.local.stopping", str(tmp_path)]
    paths = {"PYTHONPATH": f"{root}:{root / 'layers/core/python'}"}
    done = subprocess.run(
        script, cwd=root, env=os.environ | paths, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    left = json.loads(done.stdout)
    assert left["processes"] == []
    assert left["threads"] == []
    assert left["seconds"] < 60
