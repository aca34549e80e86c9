"""What ECS does for a task in the name of its execution role: pull the image, open the log.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from infra.local.context import Cloud
from infra.local.iam.gate import denial
from infra.local.iam.need import Need
from infra.local.lambdas.logs import Writer

TASKS = "ecs-tasks.amazonaws.com"
_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<name>[^:@]+)")
_PULL = ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage")


class CannotStart(Exception):
    """The task stops before its containers run; the message is the stopped reason."""


@dataclass(frozen=True)
class ExecutionRole:
    """The execution role of one task (its ARN, or None)."""

    cloud: Cloud
    role: str | None
    task: str

    def pull(self, uri: str) -> None:
        """Raise CannotStart unless the role may pull the image; only ECR asks for a role."""
        if image := _ECR.match(uri):
            repository = f"arn:aws:ecr:{image['region']}:{image['account']}:repository/{image['name']}"
            self._need("ecr:GetAuthorizationToken", "*", "unable to pull secrets or registry auth")
            for action in _PULL:
                self._need(f"ecr:{action}", repository, f"image {uri} cannot be pulled")

    def log_writer(self, group: str, stream: str) -> Writer:
        """Who writes the stream. Raises CannotStart unless the role may make it."""
        arn = f"arn:aws:logs:{self.cloud.region}:{self.cloud.account}:log-group:{group}:log-stream:{stream}"
        self._need("logs:CreateLogStream", arn, "failed to validate logger args")
        return Writer(str(self.role), TASKS)

    def _need(self, action: str, resource: str, failing: str) -> None:
        authority, need = self.cloud.authority, Need(action, resource)
        if self.role is None or not authority.trusts(self.role, TASKS):
            raise CannotStart(f"ResourceInitializationError: {failing}: ECS has no execution role that it may take on")
        session = authority.session(self.role, self.task)
        verdict = authority.may(session, need)
        if not verdict.allowed:
            reason = denial(session, need, verdict.reason)
            raise CannotStart(f"ResourceInitializationError: {failing}: AccessDeniedException: {reason}")
