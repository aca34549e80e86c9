"""Every deployment of the predict functions asks the workflow `rollout` for each champion again."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.dead_letters import delivery
from infra.constructs.ids import child_id
from infra.constructs.shared import Shared

# The stack has its template's functions: made, changed, or put back after a change that failed.
SETTLED = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"]


class Deployments(Construct):
    """One rule per model on what CloudFormation tells of the serving stack: a rule has five targets at most.

    The stack is meant by its name, since it may be younger than this one; what follows in its ARN is made by AWS.
    """

    def __init__(
        self, scope: Construct, shared: Shared, *, machine: sfn.IStateMachine, dead_letters: sqs.IQueue
    ) -> None:
        super().__init__(scope, "Deployments")
        serving = shared.stack.format_arn(
            service="cloudformation", resource="stack", resource_name=f"{shared.environment.resource('serving')}/"
        )
        pattern = events.EventPattern(
            source=["aws.cloudformation"],
            detail_type=["CloudFormation Stack Status Change"],
            detail={"stack-id": [{"prefix": serving}], "status-details": {"status": SETTLED}},
        )
        starter = iam.Role(self, "StartRole", assumed_by=iam.ServicePrincipal("events.amazonaws.com"))
        for model in sorted(shared.catalog.models):
            events.Rule(
                self,
                child_id(self, model),
                rule_name=shared.environment.resource(f"rollout-{model}"),
                description=f"A deployment asks for the champion of {model} again",
                event_pattern=pattern,
                targets=[
                    targets.SfnStateMachine(
                        machine,
                        role=starter,
                        input=events.RuleTargetInput.from_object({"model": model, "version": "champion"}),
                        **delivery(dead_letters),
                    )
                ],
            )
