"""A log group with an end."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_wildcard
from infra.environment import Environment


class StageLogGroup(logs.LogGroup):
    """Kept for the environment's retention; deleted with its stack (what must last is in the ledger)."""

    def __init__(self, scope: Construct, name: str, *, environment: Environment, log_group_name: str) -> None:
        super().__init__(scope, name, log_group_name=log_group_name, removal_policy=RemovalPolicy.DESTROY)
        resource: logs.CfnLogGroup = self.node.default_child
        resource.retention_in_days = environment.log_retention_days

    def written_by(self, role: iam.IRole) -> None:
        """Let `role` write streams of this group, and not make groups of its own."""
        # a log group's ARN ends in `:*`: its streams
        self.grant_write(role)
        acknowledge_wildcard(role, "Log streams are named by the service that writes them.", self.log_group_arn)
