"""Workflow rollout: publish a version, try it, move the alias, make sure; else put everything back."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_versions
from infra.constructs.deployments import Deployments
from infra.constructs.shared import Shared
from infra.constructs.workflow import Workflow
from infra.stages import deploy
from infra.workflows.steps import NOW, REASON, Patience, call, path

# Lambda takes seconds to a minute to prepare a version; asking is cheap.
PREPARING = Duration.seconds(5)

# The function is still taking its last change: 5+10+20+40+60+60 = 195 seconds at most, three times what Lambda needs.
NOT_YET_ACTIVE = Patience(errors=("PublishPending",), first=5, times=6, longest=60)

# Another rollout of the model takes a minute or two, seven with all its patience: 5+10+20+40+26×60 = 1635 seconds at
# most, half of that on average, which outlasts two of them.
NOT_YET_ITS_TURN = Patience(errors=("RolloutRunning",), first=5, times=30, longest=60)

_NOTHING = sfn.JsonPath.string_to_json("null")
_PUBLISHED = ("version", "lambda_version", "former")


class RolloutWorkflow(Construct):
    """Input {"model", "version"}: what the registry knows; output: where the rollout stands (DeployOutput).

    Version `champion` is rolled out again if layers or configuration of its function have changed since; every
    deployment of the stack that has the functions asks for that.
    """

    def __init__(self, scope: Construct, shared: Shared, *, stage: deploy.Deploy, dead_letters: sqs.IQueue) -> None:
        super().__init__(scope, "RolloutWorkflow")
        self._stage = stage
        restore = self._restore()
        asked = {"model": path("model"), "version": path("version")}
        unknown = {"version": path("version"), "lambda_version": _NOTHING, "former": _NOTHING}
        opened = sfn.Pass(self, "Open", parameters={**asked, "published": unknown})
        publish = self._step("Publish", restore, keep=_PUBLISHED, at="$.published")
        NOT_YET_ITS_TURN.apply(publish)
        pending = sfn.Wait(self, "Pending", time=sfn.WaitTime.duration(PREPARING))
        check = self._step("Check", restore, keep=("active",), at="$.checked")
        tried = (
            self._step("Smoke", restore, at=sfn.JsonPath.DISCARD)
            .next(self._step("Shift", restore, at=sfn.JsonPath.DISCARD))
            .next(self._step("Verify", restore))
            .next(self._prune())
        )
        active = sfn.Choice(self, "Active").when(sfn.Condition.boolean_equals("$.checked.active", True), tried)
        preparing = pending.next(check).next(active.otherwise(pending))
        changed = sfn.Choice(self, "Changed").when(
            sfn.Condition.is_null("$.published.lambda_version"), sfn.Succeed(self, "Unchanged")
        )
        definition = opened.next(publish).next(changed.otherwise(preparing))
        self.machine = Workflow(self, workflow="rollout", shared=shared, definition=definition)
        acknowledge_versions(self.machine.role, stage.function)
        Deployments(self, shared, machine=self.machine, dead_letters=dead_letters)

    def _step(self, state: str, restore: sfn.IChainable, **answer: Any) -> sfn.TaskStateBase:
        task = call(self, state, self._stage.function, _request(state), timeout=deploy.TIMEOUT, **answer)
        NOT_YET_ACTIVE.apply(task)
        task.add_catch(restore, errors=[sfn.Errors.ALL], result_path="$.failure")
        return task

    def _prune(self) -> sfn.Chain:
        """Whatever becomes of old versions, the new one serves: a failure is in the log, and the next rollout's."""
        done = sfn.Succeed(self, "Done")
        request = _request("Prune", published="")
        task = call(
            self, "Prune", self._stage.function, request, timeout=deploy.TIMEOUT, at="$.pruned", keep=("deleted",)
        )
        task.add_catch(done, errors=[sfn.Errors.ALL], result_path="$.kept")
        return sfn.Chain.start(task).next(done)

    def _restore(self) -> sfn.Chain:
        request = {**_request("Restore"), "failure": path("failure")}
        task = call(
            self, "Restore", self._stage.function, request, timeout=deploy.TIMEOUT, at="$.restored", keep=REASON
        )
        failed = sfn.Fail(self, "Failed", error_path="$.restored.error", cause_path="$.restored.cause")
        return sfn.Chain.start(task).next(failed)


def _request(state: str, published: str = "published.") -> dict[str, Any]:
    """What a step is asked; `published` is where in the state the answer of Publish lies."""
    return {
        "action": state.lower(),
        "execution": sfn.JsonPath.string_at("$$.Execution.Id"),
        "model": path("model"),
        **{name: path(published + name) for name in _PUBLISHED},
        "as_of": NOW,
    }
