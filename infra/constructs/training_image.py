"""The heavy image: one set of contents, run by Fargate and by Lambda with different commands."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra import assets
from infra.environment import Environment
from infra.layers import Target


class TrainingImage(Construct):
    """Built by `cdk deploy` (which needs Docker for it) from a staged folder with only what the image copies."""

    def __init__(self, scope: Construct, *, environment: Environment) -> None:
        super().__init__(scope, "TrainingImage")
        arm = environment.architecture == "arm64"
        self._options: dict[str, Any] = {
            "directory": str(assets.image_context(Target(environment.python, environment.architecture))),
            "platform": ecr_assets.Platform.LINUX_ARM64 if arm else ecr_assets.Platform.LINUX_AMD64,
            "build_args": {"PYTHON": environment.python},
        }

    def for_task(self) -> ecs.ContainerImage:
        """The image for a Fargate container."""
        return ecs.ContainerImage.from_docker_image_asset(
            ecr_assets.DockerImageAsset(self, "Image", asset_name="training", **self._options)
        )

    def for_function(self, handler: str) -> lambda_.DockerImageCode:
        """The image for a Lambda function with the handler `module.function`."""
        return lambda_.DockerImageCode.from_image_asset(
            asset_name="training", entrypoint=["python", "-m", "awslambdaric"], cmd=[handler], **self._options
        )
