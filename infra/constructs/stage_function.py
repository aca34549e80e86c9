"""The Lambda function of a stage: what all of them have in common, said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import assets
from infra.constructs.acknowledge import acknowledge
from infra.constructs.dead_letters import EVENT_AGE, LAMBDA_RETRIES
from infra.constructs.layer_set import architecture, runtime
from infra.constructs.log_group import StageLogGroup
from infra.environment import Environment
from infra.lock import ROOT
from perennial.settings import Settings


def variables(settings: type[Settings], values: Mapping[str, str], without: Sequence[str] = ()) -> dict[str, str]:
    """The environment variables of a stage: one per field of its settings class. KeyError when the app has no value."""
    return {name.upper(): values[name] for name in sorted(settings.model_fields) if name not in without}


def function_role(scope: Construct) -> iam.Role:
    """A role that Lambda assumes and that may do nothing yet (the managed policies would let it make log groups)."""
    return iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))


class StageFunction(Construct):
    """Function `perennial-<env>-<stage>` with its role and log group.

    `stage` is also the folder of the code. Permissions are granted to `role` by the stage's own file.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        stage: str,
        environment: Environment,
        variables: Mapping[str, str],
        layers: Sequence[lambda_.ILayerVersion] = (),
        memory_mib: int,
        timeout: Duration,
        temporary_mib: int = 512,
        failures_to: sqs.IQueue | None = None,
        image: lambda_.DockerImageCode | None = None,
    ) -> None:
        super().__init__(scope, stage.title())
        self.role = function_role(self)
        self.log_group = StageLogGroup(
            self, "Log", environment=environment, log_group_name=f"/aws/lambda/{environment.resource(stage)}"
        )
        self.log_group.written_by(self.role)
        common: dict[str, Any] = {
            "function_name": environment.resource(stage),
            "description": f"Perennial {environment.name}: stage {stage}",
            "architecture": architecture(environment),
            "environment": dict(variables),
            "memory_size": memory_mib,
            "timeout": timeout,
            "ephemeral_storage_size": Size.mebibytes(temporary_mib),
            "role": self.role,
            "log_group": self.log_group,
            "tracing": lambda_.Tracing.ACTIVE if environment.tracing else lambda_.Tracing.DISABLED,
            **_asynchronous(failures_to),
        }
        self.function: lambda_.Function
        if image is not None:
            self.function = lambda_.DockerImageFunction(self, "Function", code=image, **common)
        else:
            self.function = lambda_.Function(
                self,
                "Function",
                runtime=runtime(environment),
                handler="handler.lambda_handler",
                code=lambda_.Code.from_asset(str(ROOT / "functions" / stage), exclude=assets.EXCLUDED),
                layers=list(layers),
                **common,
            )
        self._explain(failures_to, environment)

    def _explain(self, failures_to: sqs.IQueue | None, environment: Environment) -> None:
        if failures_to is None:
            reason = "Only ever called synchronously, by a state machine or the API: the caller gets the error."
        else:
            reason = "Failures go to the on-failure destination, which tells more; a second queue would double each."
        acknowledge(self.function, reason, "Serverless-LambdaDLQ")
        newer = "The runtime is a setting of the environment: the newest that its layers have wheels for."
        acknowledge(self.function, newer, "AwsSolutions-L1", "Serverless-LambdaLatestVersion")
        if environment.tracing:
            acknowledge(self.role, "X-Ray's write actions know no resources.", "AwsSolutions-IAM5[Resource::*]")


def _asynchronous(failures_to: sqs.IQueue | None) -> dict[str, Any]:
    if failures_to is None:
        return {}
    return {
        "on_failure": destinations.SqsDestination(failures_to),
        "retry_attempts": LAMBDA_RETRIES,
        "max_event_age": EVENT_AGE,
    }
