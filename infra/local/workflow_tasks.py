"""Service tasks of the state machine interpreter: names and shapes of calls, failures by name, cancelled jobs.

Sources: https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html,
https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html and
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import ListShape, Shape, StructureShape
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_callback as waiting
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
    StateTaskServiceEcs,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackOutcomeTimedOut
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from infra.local.patches import Patches
from infra.local.workflow_errors import custom, failure

log = logging.getLogger(__name__)

POLL = 0.2  # seconds between two looks at a job
QUOTA = 256 * 1024  # bytes of a state's input or output, as UTF-8


def apply(patches: Patches) -> None:
    """Replace what moto does differently from AWS."""
    patches.replace(StateTaskService, "_normalise_parameters", _parameters)
    patches.replace(StateTaskService, "_normalise_response", _response)
    patches.replace(StateTask, "_eval_parameters", _checked_parameters(StateTask._eval_parameters))
    patches.replace(StateTaskServiceEcs, "_eval_service_task", _run_task)
    patches.replace(StateTaskServiceEcs, "_build_sync_resolver", _task_resolver)
    for name in ("_build_sync_resolver", "_build_sync2_resolver"):
        patches.replace(StateTaskServiceSfn, name, _execution_resolver(getattr(StateTaskServiceSfn, name)))
    patches.replace(waiting, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", POLL)
    patches.replace(
        waiting.StateTaskServiceCallback, "_eval_sync", _cancelled(waiting.StateTaskServiceCallback._eval_sync)
    )


def within_quota(value: Any) -> bool:
    """Whether a value fits into a state's input or output."""
    text = value if isinstance(value, str) else to_json_str(value, separators=(",", ":"))
    return len(text.encode("utf-8")) <= QUOTA


@cache
def _shape(service: str, action: str, output: bool) -> Shape | None:
    """The request or reply shape of an operation (`run_task` of `ecs`)."""
    model = botocore.session.get_session().get_service_model(service)
    wanted = action.replace("_", "").lower()
    name = next((each for each in model.operation_names if each.lower() == wanted), None)
    if name is None:
        return None
    operation = model.operation_model(name)
    return operation.output_shape if output else operation.input_shape


def _parameters(
    self: StateTaskService,
    parameters: dict[str, Any],
    boto_service_name: str | None = None,
    service_action_name: str | None = None,
) -> None:
    """States write `Cluster`, the API wants `cluster`: rename in place, as deep as the shapes go."""
    service, action = self._get_boto_service_name(boto_service_name), self._get_boto_service_action(service_action_name)
    _to_api(parameters, _shape(service, action, False))


def _to_api(value: Any, shape: Shape | None) -> None:
    if isinstance(shape, ListShape) and isinstance(value, list):
        for each in value:
            _to_api(each, shape.member)
    if not isinstance(shape, StructureShape) or not isinstance(value, dict):
        return
    members = {name.lower(): name for name in shape.members}
    for key in list(value):
        name = members.get(key.lower(), key)
        value[name] = value.pop(key)
        _to_api(value[name], shape.members.get(name))


def _response(
    self: StateTaskService, response: Any, boto_service_name: str | None = None, service_action_name: str | None = None
) -> None:
    """The API answers `taskArn`, states read `TaskArn`; times are epoch milliseconds."""
    service, action = self._get_boto_service_name(boto_service_name), self._get_boto_service_action(service_action_name)
    _to_states(response, _shape(service, action, True))


def _to_states(value: Any, shape: Shape | None) -> None:
    if isinstance(shape, ListShape) and isinstance(value, list):
        for each in value:
            _to_states(each, shape.member)
    if not isinstance(shape, StructureShape) or not isinstance(value, dict):
        return
    members = {name[:1].upper() + name[1:]: name for name in shape.members}
    for key in list(value):
        name = key[:1].upper() + key[1:]
        found = value.pop(key)
        value[name] = int(found.timestamp() * 1000) if isinstance(found, dt.datetime) else found
        if name in members:
            _to_states(value[name], shape.members[members[name]])


def _checked_parameters(original: Callable[..., Any]) -> Any:
    def checked(self: StateTask, env: Any) -> Any:
        parameters = original(self, env)
        if not within_quota(parameters):
            cause = (
                f"The state/task '{self.name}' was given an input with a size exceeding "
                "the maximum number of bytes service limit."
            )
            raise failure(env, StatesErrorNameType.StatesStatesDataLimitExceeded, cause)
        return parameters

    return checked


class Job:
    """What a `.sync` state waits for: called until it returns something; `cancel` ends the job itself."""

    def __init__(self, look: Callable[[], Any], cancel: Callable[[], Any]) -> None:
        self._look = look
        self._cancel = cancel

    def __call__(self) -> Any:
        """What has come of it, None while it runs; raises FailureEventException when it failed."""
        return self._look()

    def cancel(self) -> None:
        """Best effort, as on AWS."""
        try:
            self._cancel()
        except (BotoCoreError, ClientError):
            log.warning("a job of an execution that has ended could not be stopped", exc_info=True)


def _run_task(
    self: StateTaskServiceEcs,
    env: Any,
    resource_runtime_part: Any,
    normalised_parameters: dict[str, Any],
    state_credentials: Any,
) -> None:
    """Leave RunTask's answer on the stack; a task that was not placed fails the state."""
    client = boto_client.boto_client_for(
        service="ecs", region=resource_runtime_part.region, state_credentials=state_credentials
    )
    reply = client.run_task(**normalised_parameters)
    reply.pop("ResponseMetadata")
    _to_states(reply, _shape("ecs", "run_task", True))
    if reply["Failures"]:
        cause = json.dumps(reply["Failures"], separators=(",", ":"))
        raise FailureEventException(failure_event=custom(self, env, "AmazonECS.Unknown", cause))
    env.stack.append(reply)


def _task_resolver(
    self: StateTaskServiceEcs,
    env: Any,
    resource_runtime_part: Any,
    normalised_parameters: dict[str, Any],
    state_credentials: Any,
) -> Job:
    client = boto_client.boto_client_for(
        service="ecs", region=resource_runtime_part.region, state_credentials=state_credentials
    )
    submitted = env.stack.pop()["Tasks"][0]
    task = {"cluster": submitted["ClusterArn"], "tasks": [submitted["TaskArn"]]}

    def look() -> Any:
        described = client.describe_tasks(**task)
        if described["tasks"][0]["lastStatus"] != "STOPPED":
            return None
        _to_states(described, _shape("ecs", "describe_tasks", True))
        view = described["Tasks"][0]
        if all(container.get("ExitCode") == 0 for container in view["Containers"]):
            return view
        resource, service = self._get_sfn_resource(), self._get_sfn_resource_type()
        cause = json.dumps(view, separators=(",", ":"), default=str)
        raise failure(env, StatesErrorNameType.StatesTaskFailed, cause, resource, service)

    def cancel() -> None:
        client.stop_task(cluster=task["cluster"], task=task["tasks"][0], reason="Task stopped by AWS Step Functions")

    return Job(look, cancel)


def _execution_resolver(original: Callable[..., Any]) -> Any:
    def resolver(self: StateTaskServiceSfn, **arguments: Any) -> Job:
        env = arguments["env"]
        arn = env.stack[-1]["ExecutionArn"]
        client = boto_client.boto_client_for(
            service="stepfunctions",
            region=arguments["resource_runtime_part"].region,
            state_credentials=arguments["state_credentials"],
        )
        return Job(original(self, **arguments), lambda: client.stop_execution(executionArn=arn))

    return resolver


def _cancelled(original: Callable[..., Any]) -> Any:
    """End the job when its state has ended first: by StopExecution or by its timeout."""

    def eval_sync(self: Any, env: Any, sync_resolver: Any, **arguments: Any) -> Any:
        result = original(self, env=env, sync_resolver=sync_resolver, **arguments)
        # when the state ends first, moto's own wait for a task token beside the job "times out"
        unfinished = isinstance(result, CallbackOutcomeTimedOut) or (not result and not env.is_running())
        if unfinished and isinstance(sync_resolver, Job):
            sync_resolver.cancel()
        return result

    return eval_sync
