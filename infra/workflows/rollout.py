"""Workflow rollout: publish a version, try it, move the alias, make sure; else put everything back."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_versions
from infra.constructs.shared import Shared
from infra.constructs.workflow import Workflow
from infra.stages import deploy
from infra.workflows.steps import NOW, REASON, Patience, call, path

# Lambda takes seconds to a minute to prepare a version; asking is cheap.
PREPARING = Duration.seconds(5)

# The function is still taking its last change: 5+10+20+40+60+60 = 195 seconds at most, three times what Lambda needs.
NOT_YET_ACTIVE = Patience(errors=("PublishPending",), first=5, times=6, longest=60)

_NOTHING = sfn.JsonPath.string_to_json("null")


class RolloutWorkflow(Construct):
    """Input {"model", "version"}: what the registry knows; output: where the rollout stands (DeployOutput)."""

    def __init__(self, scope: Construct, shared: Shared, *, stage: deploy.Deploy) -> None:
        super().__init__(scope, "RolloutWorkflow")
        self._stage = stage
        restore = self._restore()
        asked = {"model": path("model"), "version": path("version")}
        unknown = {"lambda_version": _NOTHING, "former": _NOTHING}
        opened = sfn.Pass(self, "Open", parameters={**asked, "published": unknown})
        publish = self._step("Publish", restore, keep=tuple(unknown), at="$.published")
        pending = sfn.Wait(self, "Pending", time=sfn.WaitTime.duration(PREPARING))
        check = self._step("Check", restore, keep=("active",), at="$.checked")
        tried = (
            self._step("Smoke", restore, at=sfn.JsonPath.DISCARD)
            .next(self._step("Shift", restore, at=sfn.JsonPath.DISCARD))
            .next(self._step("Verify", restore))
        )
        active = sfn.Choice(self, "Active").when(sfn.Condition.boolean_equals("$.checked.active", True), tried)
        definition = opened.next(publish).next(pending).next(check).next(active.otherwise(pending))
        self.machine = Workflow(self, workflow="rollout", shared=shared, definition=definition)
        acknowledge_versions(self.machine.role, stage.function)

    def _step(self, state: str, restore: sfn.IChainable, **answer: Any) -> sfn.TaskStateBase:
        task = call(self, state, self._stage.function, self._request(state), timeout=deploy.TIMEOUT, **answer)
        NOT_YET_ACTIVE.apply(task)
        task.add_catch(restore, errors=[sfn.Errors.ALL], result_path="$.failure")
        return task

    def _restore(self) -> sfn.Chain:
        request = {**self._request("Restore"), "failure": path("failure")}
        task = call(
            self, "Restore", self._stage.function, request, timeout=deploy.TIMEOUT, at="$.restored", keep=REASON
        )
        failed = sfn.Fail(self, "Failed", error_path="$.restored.error", cause_path="$.restored.cause")
        return sfn.Chain.start(task).next(failed)

    def _request(self, state: str) -> dict[str, Any]:
        return {
            "action": state.lower(),
            "model": path("model"),
            "version": path("version"),
            "lambda_version": path("published.lambda_version"),
            "former": path("published.former"),
            "as_of": NOW,
        }
