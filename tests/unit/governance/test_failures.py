from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import fault_of
from perennial.governance.failures import MAX_CAUSE, Failure, explain, is_task

TASK = {
    "TaskArn": "arn:aws:ecs:eu-west-1:123456789012:task/train/1",
    "StoppedReason": "Essential container in task exited",
    "Containers": [{"Name": "train", "ExitCode": 1}],
}
NEVER_RAN = {
    "TaskArn": "arn:aws:ecs:eu-west-1:123456789012:task/train/1",
    "StopCode": "TaskFailedToStart",
    "StoppedReason": "Capacity is unavailable at this time",
    "Containers": [{"Name": "train"}],
}
STAGE = {"errorMessage": "run r has one class", "errorType": "TrainingDataInvalid", "stackTrace": ["…"]}


def execution(error: str | None, cause: Any) -> dict[str, Any]:
    arn = "arn:aws:states:eu-west-1:123456789012:execution:rollout:1"
    described = {"ExecutionArn": arn, "Name": "1", "Status": "FAILED"}
    return described | ({"Error": error, "Cause": cause} if error else {})


@pytest.mark.parametrize(
    ("error", "cause", "expected"),
    [
        ("TrainingDataInvalid", STAGE, Failure("TrainingDataInvalid", "run r has one class")),
        ("States.TaskFailed", TASK, Failure("TaskFailed", "Essential container in task exited (exit code 1)")),
        ("States.TaskFailed", NEVER_RAN, Failure("TaskFailedToStart", "Capacity is unavailable at this time")),
        ("States.TaskFailed", execution("SmokeFailed", "row 3 differs"), Failure("SmokeFailed", "row 3 differs")),
        (
            "States.TaskFailed",
            execution("X", json.dumps(execution("SmokeFailed", json.dumps(STAGE)))),
            Failure("TrainingDataInvalid", "run r has one class"),
        ),
        ("States.TaskFailed", execution(None, None), Failure("TaskFailed", "execution 1 ended as FAILED")),
        ("States.Timeout", "plain words", Failure("Timeout", "plain words")),
        ("States.Timeout", "[1, 2]", Failure("Timeout", "[1, 2]")),
    ],
)
def test_a_failure_is_told_in_the_words_of_what_failed(error: str, cause: Any, expected: Failure) -> None:
    text = cause if isinstance(cause, str) else json.dumps(cause)
    assert explain({"Error": error, "Cause": text}) == expected


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("TaskFailedToStart", "surroundings"),
        ("SpotInterruption", "surroundings"),
        ("EssentialContainerExited", "defect"),
        ("UserInitiated", "defect"),
        (None, "defect"),
    ],
)
def test_a_task_that_was_never_started_or_taken_away_is_the_fault_of_the_surroundings(
    code: str | None, fault: str
) -> None:
    explained = explain({"Error": "States.TaskFailed", "Cause": json.dumps(TASK | {"StopCode": code})})
    assert fault_of(explained.error) == fault


def test_only_a_task_is_a_task() -> None:
    assert is_task({"Error": "States.TaskFailed", "Cause": json.dumps(TASK)})
    assert not is_task({"Error": "States.TaskFailed", "Cause": json.dumps(STAGE)})
    assert not is_task({})


@given(st.dictionaries(st.sampled_from(["Error", "Cause"]), st.none() | st.text() | st.just("x" * 10_000)))
def test_whatever_a_catch_says_becomes_words_that_fit_a_fail_state(failure: dict[str, Any]) -> None:
    found = explain(failure)
    assert 0 < len(found.error) <= 256
    assert len(found.cause) <= MAX_CAUSE
