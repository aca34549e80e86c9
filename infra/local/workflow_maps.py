"""Maps of the state machine interpreter: by which name they fail; of distributed ones also the rights, the list of
items, and the size of what comes back.

moto runs the executions of a map as iterations within that of their parent; what AWS makes of them is added here.
Sources: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html,
https://docs.aws.amazon.com/step-functions/latest/dg/maprun-fail-threshold.html and
https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.item_reader_decl import ItemReader
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
)

from infra.local.patches import Patches
from infra.local.workflow_errors import failure
from infra.local.workflow_tasks import within_quota

# (role, machine): may this role start executions of that machine?
MayStart = Callable[[str, str], bool]


def apply(patches: Patches, may_start: MayStart) -> None:
    """Replace what moto does differently from AWS."""
    patches.replace(iteration_worker, "CustomErrorName", _error_name)
    patches.replace(ItemReader, "_eval_body", _read(ItemReader._eval_body))
    patches.replace(
        DistributedIterationComponent, "_map_run", _map_run(DistributedIterationComponent._map_run, may_start)
    )


def _error_name(error_name: str | None) -> CustomErrorName | StatesErrorName:
    """An iteration may fail by one of the reserved names too, as when its task fails: the map then fails by it."""
    reserved = next((kind for kind in StatesErrorNameType if kind.to_name() == error_name), None)
    return CustomErrorName(error_name) if reserved is None else StatesErrorName(typ=reserved)


def _read(original: Callable[..., None]) -> Any:
    """A list that cannot be read fails the map by a name of its own."""

    def read(self: ItemReader, env: Any) -> None:
        try:
            original(self, env)
        except (ClientError, BotoCoreError, ValueError) as error:
            raise failure(env, StatesErrorNameType.StatesItemReaderFailed, str(error)) from error

    return read


def _map_run(original: Callable[..., None], may_start: MayStart) -> Any:
    def run(self: DistributedIterationComponent, env: Any, eval_input: Any) -> None:
        machine = env.states.context_object.context_object_data["StateMachine"]["Id"]
        role = env.aws_execution_details.role_arn
        if not may_start(role, machine):
            cause = f"{role} is not authorized to perform: states:StartExecution on resource: {machine}"
            raise failure(env, StatesErrorNameType.StatesTaskFailed, cause)
        original(self, env=env, eval_input=eval_input)
        items = eval_input.map_run_record.item_counter
        failed = items.failed.get() + items.timed_out.get()
        share = 100 * failed / max(1, items.total.get())
        if failed > eval_input.tolerated_failure_count and share > eval_input.tolerated_failure_percentage:
            cause = "The specified tolerated failure threshold was exceeded"
            raise failure(env, StatesErrorNameType.StatesExceedToleratedFailureThreshold, cause)
        if not within_quota(env.stack[-1]):
            cause = "The state returned a result with a size exceeding the maximum number of bytes service limit."
            raise failure(env, StatesErrorNameType.StatesStatesDataLimitExceeded, cause)

    return run
