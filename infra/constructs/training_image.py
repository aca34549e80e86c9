"""The heavy image: one set of contents, run by Fargate and by Lambda with different commands."""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra import assets
from infra.environment import IMAGE, Environment
from infra.lock import Target

_ENTRYPOINT = ["python", "-m", "awslambdaric"]


class TrainingImage(Construct):
    """The environment's ready image, or one that `cdk deploy` builds with Docker from a folder with only its files."""

    def __init__(self, scope: Construct, *, environment: Environment) -> None:
        super().__init__(scope, "TrainingImage")
        self._ready = IMAGE.fullmatch(environment.train.image or "")
        if self._ready:
            self._repository = ecr.Repository.from_repository_attributes(
                self,
                "Repository",
                repository_name=self._ready["repository"],
                repository_arn=f"arn:{Aws.PARTITION}:ecr:{self._ready['region']}:{self._ready['account']}"
                f":repository/{self._ready['repository']}",
            )
            return
        arm = environment.architecture == "arm64"
        self._options: dict[str, Any] = {
            "directory": str(assets.image_context(Target(environment.python, environment.architecture))),
            "platform": ecr_assets.Platform.LINUX_ARM64 if arm else ecr_assets.Platform.LINUX_AMD64,
            "build_args": {"PYTHON": environment.python},
        }

    def for_task(self) -> ecs.ContainerImage:
        """The image for a Fargate container."""
        if self._ready:
            return ecs.ContainerImage.from_ecr_repository(self._repository, self._ready["digest"])
        return ecs.ContainerImage.from_docker_image_asset(
            ecr_assets.DockerImageAsset(self, "Image", asset_name="training", **self._options)
        )

    def for_function(self, handler: str) -> lambda_.DockerImageCode:
        """The image for a Lambda function with the handler `module.function`."""
        if self._ready:
            return lambda_.DockerImageCode.from_ecr(
                self._repository, tag_or_digest=self._ready["digest"], entrypoint=_ENTRYPOINT, cmd=[handler]
            )
        return lambda_.DockerImageCode.from_image_asset(
            asset_name="training", entrypoint=_ENTRYPOINT, cmd=[handler], **self._options
        )
