"""An object appears in the data bucket: who hears of it."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.dead_letters import delivery
from infra.constructs.shared import Shared


def appeared(shared: Shared, key: dict[str, str]) -> events.EventPattern:
    """S3's events about new objects of the data bucket whose key matches the pattern `key`."""
    return events.EventPattern(
        source=["aws.s3"],
        detail_type=["Object Created"],
        detail={"bucket": {"name": [shared.memory.data.bucket_name]}, "object": {"key": [key]}},
    )


def start_on_objects(
    scope: Construct,
    shared: Shared,
    *,
    workflow: str,
    machine: sfn.IStateMachine,
    key: dict[str, str],
    says: str,
    dead_letters: sqs.IQueue,
) -> None:
    """Rule `perennial-<env>-<workflow>`: each object whose key matches the pattern `key` starts an execution, whose
    input is the whole event.
    """
    starter = iam.Role(scope, "StartRole", assumed_by=iam.ServicePrincipal("events.amazonaws.com"))
    events.Rule(
        scope,
        "Objects",
        rule_name=shared.environment.resource(workflow),
        description=says,
        event_pattern=appeared(shared, key),
        targets=[
            targets.SfnStateMachine(
                machine,
                role=starter,
                **delivery(dead_letters),
            )
        ],
    )
