"""Stage deploy: a registered version becomes code of its predict function, and the alias moves to it."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.acknowledge import acknowledge, acknowledge_wildcard
from infra.constructs.grants import MODELS, allow, find_items, put_items, read_objects, write_objects
from infra.constructs.records import DELIVERED
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from perennial.rollout.code import STAGING
from perennial.settings import DeploySettings

MEMORY_MIB = 1024
TIMEOUT = Duration.minutes(2)

_ON_FUNCTION = [
    "lambda:GetFunctionConfiguration",
    "lambda:UpdateFunctionCode",
    "lambda:PublishVersion",
    "lambda:ListVersionsByFunction",
    "lambda:GetAlias",
    "lambda:UpdateAlias",
]
_ON_VERSION = ["lambda:InvokeFunction", "lambda:DeleteFunction"]


class Deploy(StageFunction):
    """Called by the workflow `rollout`; may change code and alias of predict functions, never their configuration."""

    def __init__(self, scope: Construct, shared: Shared) -> None:
        super().__init__(
            scope,
            stage="deploy",
            environment=shared.environment,
            variables=variables(DeploySettings, shared.values()),
            layers=shared.layers.get(["core", "base"]),
            memory_mib=MEMORY_MIB,
            timeout=TIMEOUT,
        )
        # what versions are made of, and what the judge looks at: the prediction log, and what came of predictions
        read_objects(self.role, shared.memory.data, "models/", STAGING, DELIVERED, "outcomes/")
        # a bundle over 50 MB reaches Lambda through S3
        write_objects(self.role, shared.memory.data, STAGING)
        put_items(self.role, shared.memory.registry, MODELS)
        find_items(self.role, shared.memory.registry, MODELS)
        shared.share_ledger(self.role)
        shared.memory.bus.grant_put_events_to(self.role)
        self._publish(shared)
        # whether the rollout that ran last is over
        executions = shared.executions_arn("rollout")
        allow(self.role, ["states:DescribeExecution"], [executions])
        acknowledge_wildcard(self.role, "Executions of one machine; their names are made as they start.", executions)

        allow(self.role, ["cloudwatch:GetMetricData"], ["*"])
        acknowledge(self.role, "Reading metrics knows no resources.", "AwsSolutions-IAM5[Resource::*]")

    def _publish(self, shared: Shared) -> None:
        functions, versions = shared.predict_arn(), shared.predict_arn(":*")
        # with or without a qualifier: the asterisk takes colons too
        allow(self.role, _ON_FUNCTION, [functions])
        # with a qualifier only: what serves can be neither called around its alias nor deleted whole
        allow(self.role, _ON_VERSION, [versions])
        for arn in (functions, versions):
            acknowledge_wildcard(self.role, "One predict function per model, versions as they are published.", arn)
