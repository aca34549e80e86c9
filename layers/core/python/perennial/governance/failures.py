"""What a workflow's Catch says of a failure, in the words of the stage that failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perennial.errors import TASK_TAKEN_AWAY

# A Fail state takes 256 and 32,768 characters; a cause is for a person, and travels in state.
MAX_ERROR = 256
MAX_CAUSE = 2000

# Prefix of the names that only Step Functions itself may fail an execution with.
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
RESERVED = "States."


@dataclass(frozen=True)
class Failure:
    """A named error and its readable cause."""

    error: str
    cause: str


def explain(failure: Mapping[str, Any]) -> Failure:
    """The innermost error of a Catch's `{"Error", "Cause"}`.

    A Lambda stage's Cause is its error as JSON (errorType, errorMessage); that of a nested execution describes it, with
    its own Error and Cause; that of a task on ECS describes the task, whose named error lies in its workspace instead:
    a task that AWS did not start, or took away, is named by its stop code. Anything else is passed on as it is,
    reserved names without their prefix.
    """
    error, cause = str(failure.get("Error") or "Failed"), str(failure.get("Cause") or "")
    described = _parsed(cause)
    if "errorType" in described or "errorMessage" in described:
        error, cause = str(described.get("errorType") or error), str(described.get("errorMessage") or "")
    elif "ExecutionArn" in described:
        return explain({"Error": described.get("Error") or error, "Cause": described.get("Cause") or _ended(described)})
    elif "TaskArn" in described:
        taken = described.get("StopCode") in TASK_TAKEN_AWAY
        error, cause = str(described["StopCode"]) if taken else error, _stopped(described)
    return Failure(error.removeprefix(RESERVED)[:MAX_ERROR], cause[:MAX_CAUSE])


def is_task(failure: Mapping[str, Any]) -> bool:
    """Whether a task on ECS failed."""
    return "TaskArn" in _parsed(str(failure.get("Cause") or ""))


def _ended(execution: Mapping[str, Any]) -> str:
    return f"execution {execution.get('Name', execution['ExecutionArn'])} ended as {execution.get('Status', 'FAILED')}"


def _stopped(task: Mapping[str, Any]) -> str:
    reasons = [task.get("StoppedReason"), *(one.get("Reason") for one in task.get("Containers", []))]
    codes = [one["ExitCode"] for one in task.get("Containers", []) if one.get("ExitCode") is not None]
    said = "; ".join(str(reason) for reason in reasons if reason) or "the task stopped"
    return f"{said} (exit code {', '.join(map(str, codes))})" if codes else said


def _parsed(cause: str) -> dict[str, Any]:
    try:
        value = json.loads(cause)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
