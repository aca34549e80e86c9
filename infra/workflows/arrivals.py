"""An object that appears in the data bucket starts a workflow."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.dead_letters import EVENT_AGE, EVENT_RETRIES
from infra.constructs.shared import Shared


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
    pattern = events.EventPattern(
        source=["aws.s3"],
        detail_type=["Object Created"],
        detail={"bucket": {"name": [shared.memory.data.bucket_name]}, "object": {"key": [key]}},
    )
    starter = iam.Role(scope, "StartRole", assumed_by=iam.ServicePrincipal("events.amazonaws.com"))
    events.Rule(
        scope,
        "Objects",
        rule_name=shared.environment.resource(workflow),
        description=says,
        event_pattern=pattern,
        targets=[
            targets.SfnStateMachine(
                machine,
                role=starter,
                dead_letter_queue=dead_letters,
                retry_attempts=EVENT_RETRIES,
                max_event_age=EVENT_AGE,
            )
        ],
    )
