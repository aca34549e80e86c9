"""A stage that is called for each model of the catalog, as often as the model's spec says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_versions
from infra.constructs.dead_letters import delivery
from infra.constructs.ids import child_id
from infra.environment import Environment


def call_on_schedule(
    scope: Construct,
    function: lambda_.IFunction,
    *,
    stage: str,
    environment: Environment,
    schedules: Mapping[str, str | None],
    message: Mapping[str, Any],
    dead_letters: sqs.IQueue,
) -> None:
    """Schedule `perennial-<env>-<stage>-<model>` calls `function` with `message`, the model, and as of when it was due.

    `schedules` by model; a model without one is not scheduled.
    """
    scheduled = {model: when for model, when in sorted(schedules.items()) if when is not None}
    if not scheduled:
        return
    caller = iam.Role(scope, "ScheduleRole", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
    acknowledge_versions(caller, function)
    for model, when in scheduled.items():
        told = {**message, "model": model, "as_of": scheduler.ContextAttribute.scheduled_time}
        scheduler.Schedule(
            scope,
            child_id(scope, "schedule", model),
            schedule_name=environment.resource(f"{stage}-{model}"),
            schedule=scheduler.ScheduleExpression.expression(when),
            target=targets.LambdaInvoke(
                function, role=caller, input=scheduler.ScheduleTargetInput.from_object(told), **delivery(dead_letters)
            ),
        )
