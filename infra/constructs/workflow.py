"""A state machine with its log, its trace and its alarm."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.acknowledge import acknowledge, acknowledge_wildcard, seen_from
from infra.constructs.alerts import PERIOD, alarm
from infra.constructs.log_group import StageLogGroup
from infra.constructs.shared import Shared

# What CDK lets a machine that runs a task do to every task of the account.
_ON_TASKS = frozenset({"ecs:DescribeTasks", "ecs:StopTask"})


# What it lets a machine with an ItemReader do to every object of the bucket.
_ON_LISTS = frozenset({"s3:GetObject"})


class _Role(iam.Role):
    """A machine's role, which may look at and stop tasks of one cluster only, and read objects of `bucket` at the
    pattern `lists` only.
    """

    def __init__(self, scope: Construct, *, cluster: str, bucket: s3.IBucket, lists: str | None) -> None:
        self._bucket = bucket
        self._lists = lists
        self._tasks = Stack.of(scope).format_arn(service="ecs", resource="task", resource_name=f"{cluster}/*")
        super().__init__(scope, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))

    def add_to_principal_policy(self, statement: iam.PolicyStatement) -> iam.AddToPrincipalPolicyResult:
        """As CDK's, but for statements on tasks, whose ARNs are made as they start, within their cluster's, and on
        objects.
        """
        if _ON_TASKS.issuperset(statement.actions):
            statement = iam.PolicyStatement(actions=statement.actions, resources=[self._tasks])
            acknowledge_wildcard(self, "Tasks of this one cluster.", self._tasks)
        if self._lists and _ON_LISTS.issuperset(statement.actions):
            there = self._bucket.arn_for_objects(self._lists)
            statement = iam.PolicyStatement(actions=statement.actions, resources=[there])
            arn = seen_from(self, self._bucket, self._bucket.bucket_arn)
            acknowledge_wildcard(self, "Lists that executions make as they go.", arn, f"/{self._lists}")
        return super().add_to_principal_policy(statement)


class Workflow(sfn.StateMachine):
    """State machine `perennial-<env>-<workflow>` (standard: exactly once, a year long if need be).

    `lists` is the pattern of the keys in the data bucket at which its maps read their items. Where an execution that a
    person aborts leaves something undone (`aborts`), its alarm rings for that too.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        workflow: str,
        shared: Shared,
        definition: sfn.IChainable,
        lists: str | None = None,
        aborts: bool = False,
    ) -> None:
        environment = shared.environment
        # the prefix keeps log delivery out of the account's resource policy, which holds only ten groups or so
        log = StageLogGroup(
            scope,
            "Log",
            environment=environment,
            log_group_name=f"/aws/vendedlogs/states/{environment.resource(workflow)}",
        )
        role = _Role(scope, cluster=environment.resource("train"), bucket=shared.memory.data, lists=lists)
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
            "Log delivery and X-Ray actions know no resources.",
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
            says=f"An execution of {workflow} failed{' or was aborted' if aborts else ''}.",
            metric=self._failed_or_aborted() if aborts else self.metric_failed(period=PERIOD, statistic="Sum"),
            alerts=shared.memory.alerts,
        )

    def _failed_or_aborted(self) -> cloudwatch.IMetric:
        """Missing where there was neither; an alarm is billed for each of the two."""
        failed, aborted = (one(period=PERIOD, statistic="Sum") for one in (self.metric_failed, self.metric_aborted))
        return cloudwatch.MathExpression(
            expression="FILL(failed, 0) + FILL(aborted, 0)",
            using_metrics={"failed": failed, "aborted": aborted},
            label="executions failed or aborted",
            period=PERIOD,
        )
