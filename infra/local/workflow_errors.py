"""Errors of tasks: the names that services report, and what the wildcards of Retry and Catch take.

Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
    StateTaskServiceEcs,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (
    StateTaskServiceLambda,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from infra.local.patches import Patches

# errors that a wildcard does not catch
UNCAUGHT = frozenset({"States.DataLimitExceeded", "States.Runtime"})


def apply(patches: Patches) -> None:
    """Replace what moto names or matches differently from AWS."""
    patches.replace(StateTaskServiceEcs, "_from_error", _ecs_error(StateTaskServiceEcs._from_error))
    patches.replace(StateTaskServiceLambda, "_from_error", _lambda_error(StateTaskServiceLambda._from_error))
    patches.replace(ErrorEqualsDecl, "_eval_body", _error_equals)


def failure(
    env: Any, kind: StatesErrorNameType, cause: str, resource: str = "", service: str = ""
) -> FailureEventException:
    """A failed task with one of the reserved error names."""
    details = TaskFailedEventDetails(error=kind.to_name(), cause=cause, resource=resource, resourceType=service)
    event = FailureEvent(
        env=env,
        error_name=StatesErrorName(typ=kind),
        event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),
    )
    return FailureEventException(failure_event=event)


def _ecs_error(original: Callable[..., Any]) -> Any:
    def from_error(self: StateTaskServiceEcs, env: Any, ex: Exception) -> Any:
        if not isinstance(ex, ClientError):
            return original(self, env=env, ex=ex)
        found, meta = ex.response["Error"], ex.response["ResponseMetadata"]
        # an error that the API does not name is reported under the service's own name
        error = f"ECS.{found['Code']}" if found["Code"].endswith("Exception") else "ECS.AmazonECSException"
        cause = (
            f"{found['Message']} (Service: AmazonECS; Status Code: {meta['HTTPStatusCode']}; "
            f"Error Code: {found['Code']}; Request ID: {meta.get('RequestId', '')}; Proxy: null)"
        )
        return custom(self, env, error, cause)

    return from_error


def _lambda_error(original: Callable[..., Any]) -> Any:
    """A function error without a type is Lambda.Unknown; an API that cannot be reached Lambda.SdkClientException."""

    def from_error(self: StateTaskServiceLambda, env: Any, ex: Exception) -> Any:
        if isinstance(ex, lambda_eval_utils.LambdaFunctionErrorException) and not _names_type(ex.payload):
            return custom(self, env, "Lambda.Unknown", ex.payload)
        if isinstance(ex, BotoCoreError):
            return custom(self, env, "Lambda.SdkClientException", str(ex))
        if isinstance(ex, ClientError) and ex.response["Error"]["Code"] == "AccessDeniedException":
            # an error that the integration does not name: https://github.com/awslabs/aws-deployment-framework/issues/460
            return custom(self, env, "Lambda.AWSLambdaException", self._error_cause_from_client_error(ex)[1])
        return original(self, env=env, ex=ex)

    return from_error


def _names_type(payload: str) -> bool:
    try:
        found = json.loads(payload)
    except ValueError:
        return False
    return isinstance(found, dict) and bool(found.get("errorType"))


def custom(task: StateTaskService, env: Any, error: str, cause: str) -> FailureEvent:
    """A failed task with the error of a service."""
    details = TaskFailedEventDetails(
        error=error, cause=cause, resource=task._get_sfn_resource(), resourceType=task._get_sfn_resource_type()
    )
    return FailureEvent(
        env=env,
        error_name=CustomErrorName(error),
        event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),
    )


def matches(wanted: list[str], error: str | None) -> bool:
    """Whether a Retry or Catch that names `wanted` takes an error, wildcards included."""
    if error in wanted:
        return True
    if error in UNCAUGHT:
        return False
    if "States.ALL" in wanted or ("States.Timeout" in wanted and error == "States.HeartbeatTimeout"):
        return True
    return "States.TaskFailed" in wanted and error not in ("States.Timeout", "States.HeartbeatTimeout")


def _error_equals(self: ErrorEqualsDecl, env: Any) -> None:
    error = env.stack.pop()
    env.stack.append(matches([name.error_name for name in self.error_names], error.error_name if error else None))
