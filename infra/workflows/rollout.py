"""Workflow rollout: publish a version, try it, move the alias by steps under the judge; else put everything back."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_versions
from infra.constructs.deployments import Deployments
from infra.constructs.shared import Shared
from infra.constructs.workflow import Workflow
from infra.stages import deploy
from infra.workflows.failures import catch, refused, unexplained
from infra.workflows.jobs import NOT_YET_ITS_TURN
from infra.workflows.steps import NOW, REASON, Patience, call, path
from perennial.errors import AccessRefused, PublishPending, StorageUnavailable

# The function is still taking its last change, or the version is being prepared or woken: 5+10+20+40+8×60 = 555 seconds
# at most, half of that on average. Lambda needs seconds, two minutes for what was asleep, a few with SnapStart.
NOT_YET_ACTIVE = Patience(errors=(PublishPending.__name__,), first=5, times=12, longest=60)

# Why the alias was not put back, told in the stage's own words: nothing more is repeated, a person has to do it.
NOT_RESTORED = (StorageUnavailable, PublishPending, AccessRefused)

_NOTHING = sfn.JsonPath.string_to_json("null")
_KNOWN = ("version", "lambda_version", "former", "revision", "canary")
# What publish, shift and look say of how it goes on.
_ONWARD = (*_KNOWN, "next", "wait", *REASON)


class RolloutWorkflow(Construct):
    """Input {"model", "version"}: what the registry knows; output: where the rollout stands (DeployOutput).

    After each shift the judge looks until it is for the next step, for all requests, or for the way back, as often as
    the catalog lets a spec ask for (perennial/catalog/rollout.py). Version `champion` is rolled out again if layers
    or configuration of its function have changed since; every deployment of the stack that has the functions asks
    for that.
    """

    def __init__(self, scope: Construct, shared: Shared, *, stage: deploy.Deploy, dead_letters: sqs.IQueue) -> None:
        super().__init__(scope, "RolloutWorkflow")
        self._stage = stage
        restore = self._restore()
        asked = {"model": path("model"), "version": path("version")}
        unknown = {"version": path("version"), **dict.fromkeys(_ONWARD[1:], _NOTHING)}
        opened = sfn.Pass(self, "Open", parameters={**asked, "published": unknown})
        publish = self._step("Publish", restore, keep=_ONWARD, at="$.published")
        NOT_YET_ITS_TURN.apply(publish)
        tried = (
            self._step("Check", restore, at=sfn.JsonPath.DISCARD)
            .next(self._step("Smoke", restore, at=sfn.JsonPath.DISCARD))
            .next(self._stepwise(restore, self._step("Verify", restore).next(self._prune())))
        )
        changed = sfn.Choice(self, "Changed").when(
            sfn.Condition.is_null("$.published.lambda_version"), sfn.Succeed(self, "Unchanged")
        )
        definition = opened.next(publish).next(changed.otherwise(tried))
        self.machine = Workflow(self, workflow="rollout", shared=shared, definition=definition, aborts=True)
        acknowledge_versions(self.machine.role, stage.function)
        Deployments(self, shared, machine=self.machine, dead_letters=dead_letters)

    def _stepwise(self, restore: sfn.IChainable, verify: sfn.IChainable) -> sfn.IChainable:
        """State Shift, and what follows from it (when it is done, a step begins) and from every Look."""
        shift = self._step("Shift", restore, keep=_ONWARD, at="$.published")
        look = self._step("Look", restore, keep=_ONWARD, at="$.published")
        judged = {"Error": path("published.error"), "Cause": path("published.cause")}
        back = sfn.Pass(self, "Judged", parameters=judged, result_path="$.failure").next(restore)
        dwell = sfn.Wait(self, "Dwell", time=sfn.WaitTime.seconds_path("$.published.wait")).next(look)

        def following(step: str) -> sfn.Condition:
            return sfn.Condition.string_equals("$.published.next", step)

        onward = sfn.Choice(self, "Onward").when(following("look"), dwell).when(following("shift"), shift)
        onward.when(following("verify"), verify).otherwise(back)
        look.next(onward)
        return shift.next(sfn.Pass(self, "Moved", parameters={"at": NOW}, result_path="$.moved")).next(onward)

    def _step(self, state: str, restore: sfn.IChainable, **answer: Any) -> sfn.TaskStateBase:
        task = call(self, state, self._stage.function, _request(state), timeout=deploy.TIMEOUT, **answer)
        if state != "Look":  # which asks nothing of a function that could not be ready
            NOT_YET_ACTIVE.apply(task)
        catch(task, restore)
        return task

    def _prune(self) -> sfn.Chain:
        """Whatever becomes of old versions, the new one serves: a failure is in the log, and the next rollout's."""
        done = sfn.Succeed(self, "Done")
        request = _request("Prune", published="")
        task = call(
            self, "Prune", self._stage.function, request, timeout=deploy.TIMEOUT, at="$.pruned", keep=("deleted",)
        )
        catch(task, done, at="$.kept")
        return sfn.Chain.start(task).next(done)

    def _restore(self) -> sfn.Chain:
        """Put everything back; the execution fails with what made it, or with why that could not be done."""
        request = {**_request("Restore"), "failure": path("failure")}
        task = call(
            self, "Restore", self._stage.function, request, timeout=deploy.TIMEOUT, at="$.restored", keep=REASON
        )
        NOT_YET_ACTIVE.apply(task)
        catch(task, refused(self, "NotRestored"), *NOT_RESTORED)
        catch(task, unexplained(self), at=sfn.JsonPath.DISCARD)
        failed = sfn.Fail(self, "Failed", error_path="$.restored.error", cause_path="$.restored.cause")
        return sfn.Chain.start(task).next(failed)


def _request(state: str, published: str = "published.") -> dict[str, Any]:
    """What a step is asked; `published` is where in the state the answer of Publish lies."""
    return {
        "action": state.lower(),
        "execution": sfn.JsonPath.string_at("$$.Execution.Id"),
        "model": path("model"),
        **{name: path(published + name) for name in _KNOWN},
        **({"moved": path("moved.at")} if state == "Look" else {}),
        "as_of": NOW,
    }
