"""What Step Functions asks of a machine's role when the machine is made.

Sources: https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html,
https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html and
https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from moto.stepfunctions.exceptions import AWSError

from infra.local.context import Cloud
from infra.local.iam.need import Need

STATES = "states.amazonaws.com"
# a log group of the account is written by a delivery that the role sets up
_LOGGING = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
    "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip
# states that wait for a job hear of its end through a rule that the service manages
_RULES = {
    "arn:aws:states:::ecs:runTask.sync": "StepFunctionsGetEventsForECSTaskRule",
    "arn:aws:states:::states:startExecution.sync": "StepFunctionsGetEventsForStepFunctionsExecutionRule",
    "arn:aws:states:::states:startExecution.sync:2": "StepFunctionsGetEventsForStepFunctionsExecutionRule",
}


class AccessDenied(AWSError):
    """The role of a machine may not do what the machine needs."""

    TYPE = "AccessDeniedException"


class Roles:
    """Checks of machines' roles."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._authority = cloud.authority

    def check(self, role: str, definition: str, logging: Mapping[str, Any] | None) -> None:
        """Raise AccessDenied when a machine could not work with its role."""
        if not self._authority.trusts(role, STATES):
            raise AccessDenied(
                "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to "
                "assume the provided role."
            )
        logs = logging and logging.get("destinations") and logging.get("level", "OFF") != "OFF"
        if logs and not all(self._may(role, f"logs:{operation}", "*") for operation in _LOGGING):
            raise AccessDenied("The state machine IAM Role is not authorized to access the Log Destination")
        for rule in sorted({_RULES[found] for found in _resources(json.loads(definition)) if found in _RULES}):
            arn = f"arn:aws:events:{self._cloud.region}:{self._cloud.account}:rule/{rule}"
            if not all(
                self._may(role, f"events:{operation}", arn) for operation in ("PutTargets", "PutRule", "DescribeRule")
            ):
                raise AccessDenied(f"'{role}' is not authorized to create managed-rule.")

    def may_start(self, role: str, machine: str) -> bool:
        """Whether a map of a machine with this role may start the executions of its items, which are the machine's."""
        return self._may(role, "states:StartExecution", machine)

    def _may(self, role: str, action: str, resource: str) -> bool:
        return self._authority.may(self._authority.session(role, STATES), Need(action, resource)).allowed


def _resources(value: Any) -> Iterator[str]:
    """Every Resource in a definition, however deep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "Resource" and isinstance(inner, str):
                yield inner
            yield from _resources(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _resources(inner)
