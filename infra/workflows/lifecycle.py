"""Workflow lifecycle: wait until data settles, train, evaluate, register, and deploy what passed (and was approved)."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_executions, acknowledge_versions
from infra.constructs.shared import Shared
from infra.constructs.workflow import Workflow
from infra.stages import evaluate, register, retrain
from infra.stages.approve import Approve
from infra.stages.train import Train
from infra.workflows.approval import Approval
from infra.workflows.failures import catch, refused, unexplained
from infra.workflows.jobs import roll_out, run_training
from infra.workflows.steps import NOW, REASON, call, path
from infra.workflows.tuning import tuned_before
from perennial.errors import FlightUnknown

# Looks of one execution; a flight that has not settled by then goes on in a new one. A look is 9 events (waiting 2, the
# call 5, the choice 2) and at worst 57, when all its 16 retries are used up, each of 3 events. So looks take at most
# 4,275 events, which leaves 725 for the states after them (54 each at worst) before 5,000, a fifth of AWS's limit.
LOOKS = 75

# What the governor says of a flight; before it was first asked, nothing but when to ask.
_LOOK = ("ready", "next_look", "seen", "settle_seconds", "run", "request_key")
_VERSION = ("version", "passed")
_NOTHING = sfn.JsonPath.string_to_json("null")


class LifecycleWorkflow(Construct):
    """Input {"model", "flight", "leg", "settle_seconds", "seen"}, from stage retrain. One execution per flight, and a
    further one (a leg) each time that data keeps arriving for LOOKS looks.

    Any failure is told to the governor, which looks for the innermost named error (a task's lies in its workspace, a
    rollout's in its description), fails the execution with it, and decides by whose fault it was what becomes of the
    arrivals. Only a flight that is not this execution's own is left alone.
    """

    def __init__(
        self,
        scope: Construct,
        shared: Shared,
        *,
        governor: lambda_.IFunction,
        train: Train,
        evaluator: lambda_.IFunction,
        registrar: lambda_.IFunction,
        rollout: sfn.IStateMachine,
        approve: Approve,
    ) -> None:
        super().__init__(scope, "LifecycleWorkflow")
        self._governor = governor
        explain, not_ours = self._explain(), refused(self, "NotOurs")
        freeze = {**self._flight("freeze"), "seen": path("look.seen"), "look": path("look.next_look")}
        further = {**self._flight("hand-over"), "seen": path("look.seen")}
        run = {"model": path("model"), "run": path("look.run")}
        look = self._call("Retrain", governor, freeze, retrain.TIMEOUT, keep=_LOOK, at="$.look")
        trained, deployed = run_training(self, train), roll_out(self, rollout)
        evaluated = self._call("Evaluate", evaluator, run, evaluate.TIMEOUT, keep=("passed",), at="$.evaluated")
        registered = self._call("Register", registrar, run, register.TIMEOUT, keep=_VERSION, at="$.registered")
        release = self._call("Release", governor, self._finish(), retrain.TIMEOUT, at=sfn.JsonPath.DISCARD)
        hand_over = self._call("HandOver", governor, further, retrain.TIMEOUT, keep=("started",), at="$.continued")
        for state in (look, hand_over):
            catch(state, not_ours, FlightUnknown)
        approval = Approval(self, shared, approve) if shared.environment.approval.required else None
        awaited = approval.tasks if approval else ()
        for state in (look, hand_over, trained, evaluated, registered, *awaited, deployed, release):
            catch(state, explain)

        passed = sfn.Condition.boolean_equals("$.registered.passed", True)
        ended = release.next(sfn.Succeed(self, "Done"))
        rolled_out = deployed.next(ended)
        allowed = approval.before(rolled_out, ended) if approval else rolled_out
        gate = sfn.Choice(self, "Gate").when(passed, allowed).otherwise(ended)
        trained.next(evaluated).next(registered).next(gate)
        ready = sfn.Condition.boolean_equals("$.look.ready", True)
        settle = sfn.Wait(self, "Settle", time=sfn.WaitTime.seconds_path("$.look.settle_seconds"))
        long = sfn.Condition.number_greater_than("$.look.next_look", LOOKS)
        settled = (
            sfn.Choice(self, "Settled")
            .when(ready, tuned_before(self, shared.catalog, train, trained, explain))
            .when(long, hand_over.next(sfn.Succeed(self, "Continued")))
        )
        definition = self._open().next(settle).next(look).next(settled.otherwise(settle))
        self.machine = Workflow(self, workflow="lifecycle", shared=shared, definition=definition)
        for function in (governor, evaluator, registrar, *([approve.function] if approval else [])):
            acknowledge_versions(self.machine.role, function)
        acknowledge_executions(self.machine.role, rollout)

    def _open(self) -> sfn.Pass:
        look = {"next_look": 1, "seen": path("seen"), "settle_seconds": path("settle_seconds"), "run": _NOTHING}
        return sfn.Pass(self, "Open", parameters={**self._flight(), "look": look})

    def _flight(self, *action: str) -> dict[str, Any]:
        asked = {"action": action[0]} if action else {}
        return {**asked, "model": path("model"), "flight": path("flight"), "leg": path("leg")}

    def _call(
        self, state: str, function: lambda_.IFunction, payload: dict[str, Any], timeout: Duration, **answer: Any
    ) -> tasks.LambdaInvoke:
        return call(self, state, function, {**payload, "as_of": NOW}, timeout=timeout, **answer)

    def _finish(self) -> dict[str, Any]:
        return {**self._flight("finish"), "run": path("look.run")}

    def _explain(self) -> sfn.Chain:
        finish = {**self._finish(), "failure": path("failure")}
        task = self._call("Explain", self._governor, finish, retrain.TIMEOUT, at="$.explained", keep=REASON)
        # it fails with what was to be explained; the flight stays taken, until the governor is next asked
        catch(task, unexplained(self), at=sfn.JsonPath.DISCARD)
        fail = sfn.Fail(self, "Failed", error_path="$.explained.error", cause_path="$.explained.cause")
        return sfn.Chain.start(task).next(fail)
