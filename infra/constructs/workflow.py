"""A state machine with its log, its trace and its alarm."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.acknowledge import acknowledge
from infra.constructs.alerts import PERIOD, alarm
from infra.constructs.log_group import StageLogGroup
from infra.constructs.shared import Shared


class Workflow(sfn.StateMachine):
    """State machine `perennial-<env>-<workflow>` (standard: exactly once, a year long if need be)."""

    def __init__(self, scope: Construct, *, workflow: str, shared: Shared, definition: sfn.IChainable) -> None:
        environment = shared.environment
        # the prefix keeps log delivery out of the account's resource policy, which holds only ten groups or so
        log = StageLogGroup(
            scope,
            "Log",
            environment=environment,
            log_group_name=f"/aws/vendedlogs/states/{environment.resource(workflow)}",
        )
        role = iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        super().__init__(
            scope,
            "Machine",
            state_machine_name=environment.resource(workflow),
            definition_body=sfn.DefinitionBody.from_chainable(definition),
            role=role,
            logs=sfn.LogOptions(destination=log, level=sfn.LogLevel.ALL, include_execution_data=True),
            tracing_enabled=environment.tracing,
        )
        acknowledge(
            role,
            "Log delivery, X-Ray and task tracking actions know no resources.",
            "AwsSolutions-IAM5[Resource::*]",
        )
        if not environment.tracing:
            acknowledge(
                self,
                "Tracing is a setting of the environment.",
                "AwsSolutions-SF2",
                "Serverless-StepFunctionStateMachineXray",
            )
        alarm(
            scope,
            "FailedAlarm",
            environment=environment,
            name=f"{workflow}-failed",
            says=f"An execution of {workflow} failed.",
            metric=self.metric_failed(period=PERIOD, statistic="Sum"),
            alerts=shared.memory.alerts,
        )
