"""Step Functions: starting an execution under a name of our own, asking what became of it, answering one that waits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from perennial.storage.translate import client, code_of, translated

RUNNING = "RUNNING"

# What Step Functions says of a token whose task succeeded, timed out, or ended with its execution.
_OVER = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")


@dataclass(frozen=True)
class Workflow:
    """The state machine with this ARN."""

    arn: str

    def start(self, name: str, request: Mapping[str, Any]) -> bool:
        """Start the execution `name`; False when one of that name exists.

        Starting a running execution again with the same input is a success on AWS; one that has ended, or that runs
        with another input, exists. https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
        """
        with _unless("ExecutionAlreadyExists") as existing, translated(f"start execution {name} of {self.arn}"):
            client("stepfunctions").start_execution(
                stateMachineArn=self.arn, name=name, input=json.dumps(request, sort_keys=True)
            )
        return not existing

    def status(self, name: str) -> str | None:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED or PENDING_REDRIVE; None when there is no execution `name`."""
        return execution_status(self.execution_arn(name))

    def execution_arn(self, name: str) -> str:
        """ARN of the execution `name`."""
        return f"{self.arn.replace(':stateMachine:', ':execution:')}:{name}"


def execution_status(arn: str) -> str | None:
    """The status of the execution with this ARN, as `Workflow.status`; None when there is none."""
    status: str | None = None
    with _unless("ExecutionDoesNotExist"), translated(f"describe execution {arn}"):
        status = client("stepfunctions").describe_execution(executionArn=arn)["status"]
    return status


def resume(token: str, output: Mapping[str, Any]) -> bool:
    """Let the task that waits with `token` succeed with `output`; False when it waits no longer.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
    """
    with _unless(*_OVER) as over, translated("send task success"):
        client("stepfunctions").send_task_success(taskToken=token, output=json.dumps(output, sort_keys=True))
    return not over


@contextmanager
def _unless(*codes: str) -> Iterator[list[ClientError]]:
    """Collect an error of these codes instead of raising it."""
    met: list[ClientError] = []
    try:
        yield met
    except ClientError as error:
        if code_of(error) not in codes:
            raise
        met.append(error)
