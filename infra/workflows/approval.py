"""A workflow waits for a person between Register and Deploy, where its environment wants that."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.constructs.shared import Shared
from infra.stages import approve
from infra.workflows.steps import CALLING, NOW, call, path

_ANSWER = "$.approval"
_APPROVED = "approved"


class Approval:
    """States Approve (waits with a task token), Expire (nobody decided in time) and Approved.

    A version that nobody approved goes on as one that failed its gates does: the execution succeeds without a
    deployment. `tasks` are the states that can fail.
    """

    def __init__(self, scope: Construct, shared: Shared, stage: approve.Approve) -> None:
        self._scope = scope
        self._ask = self._waiting(stage, Duration.days(shared.environment.approval.timeout_days))
        expire = self._request("expire")
        self._expire = call(
            scope, "Expire", stage.function, expire, timeout=approve.TIMEOUT, keep=(_APPROVED,), at=_ANSWER
        )
        self._ask.add_catch(self._expire, errors=[sfn.Errors.TIMEOUT], result_path=sfn.JsonPath.DISCARD)
        self.tasks: tuple[sfn.TaskStateBase, ...] = (self._ask, self._expire)

    def before(self, deploy: sfn.IChainable, otherwise: sfn.IChainable) -> sfn.TaskStateBase:
        """Go on at `deploy` with an approved version, at `otherwise` with any other."""
        approved = sfn.Condition.boolean_equals(f"{_ANSWER}.{_APPROVED}", True)
        choice = sfn.Choice(self._scope, "Approved").when(approved, deploy).otherwise(otherwise)
        self._ask.next(choice)
        self._expire.next(choice)
        return self._ask

    def _waiting(self, stage: approve.Approve, longest: Duration) -> tasks.LambdaInvoke:
        token = {"token": sfn.JsonPath.task_token}
        task = tasks.LambdaInvoke(
            self._scope,
            "Approve",
            lambda_function=stage.function,
            integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
            payload=sfn.TaskInput.from_object({**self._request("ask"), **token}),
            result_path=_ANSWER,
            retry_on_service_exceptions=False,
            task_timeout=sfn.Timeout.duration(longest),
        )
        # asking again replaces the token; what was decided meanwhile is answered at once
        for patience in CALLING:
            patience.apply(task)
        return task

    def _request(self, action: str) -> dict[str, Any]:
        return {
            "action": action,
            "model": path("model"),
            "version": path("registered.version"),
            "execution": sfn.JsonPath.string_at("$$.Execution.Id"),
            "as_of": NOW,
        }
