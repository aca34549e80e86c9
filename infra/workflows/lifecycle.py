"""Workflow lifecycle: wait until data settles, train, evaluate, register, and deploy what passed."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_executions, acknowledge_versions
from infra.constructs.shared import Shared
from infra.constructs.workflow import Workflow
from infra.stages import evaluate, register, retrain
from infra.stages.train import REQUEST, Train
from infra.workflows.steps import EXECUTION_NOT_STARTED, NOW, REASON, TASK_NOT_STARTED, call, path

# A rollout moves the alias at once; one that takes an hour is stuck.
ROLLOUT = Duration.hours(1)

# What the governor says of a flight; before it was first asked, nothing but when to ask.
_LOOK = ("ready", "seen", "settle_seconds", "run", "request_key")
_VERSION = ("version", "passed")
_NOTHING = sfn.JsonPath.string_to_json("null")


class LifecycleWorkflow(Construct):
    """Input {"model", "flight", "settle_seconds", "looks"}, from stage retrain; one execution per flight."""

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
    ) -> None:
        super().__init__(scope, "LifecycleWorkflow")
        self._governor = governor
        explain = self._explain()
        freeze = {"action": "freeze", "model": path("model"), "flight": path("flight"), "seen": path("look.seen")}
        run = {"model": path("model"), "run": path("look.run")}
        look = self._call("Retrain", governor, freeze, retrain.TIMEOUT, keep=_LOOK, at="$.look")
        trained, deployed = self._train(train), self._deploy(rollout)
        evaluated = self._call("Evaluate", evaluator, run, evaluate.TIMEOUT, keep=("passed",), at="$.evaluated")
        registered = self._call("Register", registrar, run, register.TIMEOUT, keep=_VERSION, at="$.registered")
        release = self._call("Release", governor, self._finish(), retrain.TIMEOUT, at=sfn.JsonPath.DISCARD)
        for state in (look, trained, evaluated, registered, deployed, release):
            state.add_catch(explain, errors=[sfn.Errors.ALL], result_path="$.failure")

        passed = sfn.Condition.boolean_equals("$.registered.passed", True)
        ended = release.next(sfn.Succeed(self, "Done"))
        gate = sfn.Choice(self, "Gate").when(passed, deployed.next(ended)).otherwise(ended)
        ready = sfn.Condition.boolean_equals("$.look.ready", True)
        settle = sfn.Wait(self, "Settle", time=sfn.WaitTime.seconds_path("$.look.settle_seconds"))
        settled = sfn.Choice(self, "Settled").when(ready, trained.next(evaluated).next(registered).next(gate))
        definition = self._open().next(settle).next(look).next(settled.otherwise(settle))
        self.machine = Workflow(self, workflow="lifecycle", shared=shared, definition=definition)
        for function in (governor, evaluator, registrar):
            acknowledge_versions(self.machine.role, function)
        acknowledge_executions(self.machine.role, rollout)

    def _open(self) -> sfn.Pass:
        look = {"ready": False, "seen": path("looks"), "settle_seconds": path("settle_seconds"), "run": _NOTHING}
        return sfn.Pass(self, "Open", parameters={"model": path("model"), "flight": path("flight"), "look": look})

    def _call(
        self, state: str, function: lambda_.IFunction, payload: dict[str, Any], timeout: Duration, **answer: Any
    ) -> tasks.LambdaInvoke:
        return call(self, state, function, {**payload, "as_of": NOW}, timeout=timeout, **answer)

    def _finish(self) -> dict[str, Any]:
        return {"action": "finish", "model": path("model"), "flight": path("flight"), "run": path("look.run")}

    def _explain(self) -> sfn.Chain:
        finish = {**self._finish(), "failure": path("failure")}
        task = self._call("Explain", self._governor, finish, retrain.TIMEOUT, at="$.explained", keep=REASON)
        failed = sfn.Fail(self, "Failed", error_path="$.explained.error", cause_path="$.explained.cause")
        return sfn.Chain.start(task).next(failed)

    def _train(self, train: Train) -> tasks.EcsRunTask:
        request = tasks.TaskEnvironmentVariable(name=REQUEST.upper(), value=path("look.request_key"))
        override = tasks.ContainerOverride(container_definition=train.container, environment=[request])
        task = tasks.EcsRunTask(
            self,
            "Train",
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            cluster=train.cluster,
            task_definition=train.task,
            launch_target=tasks.EcsFargateLaunchTarget(platform_version=ecs.FargatePlatformVersion.VERSION1_4),
            assign_public_ip=True,
            security_groups=[train.network.outbound],
            container_overrides=[override],
            task_timeout=sfn.Timeout.duration(train.timeout),
            # a task is its log and its workspace in S3; its description is 10 KB of nothing
            result_path=sfn.JsonPath.DISCARD,
        )
        TASK_NOT_STARTED.apply(task)
        return task

    def _deploy(self, rollout: sfn.IStateMachine) -> tasks.StepFunctionsStartExecution:
        task = tasks.StepFunctionsStartExecution(
            self,
            "Deploy",
            state_machine=rollout,
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            input=sfn.TaskInput.from_object({"model": path("model"), "version": path("registered.version")}),
            task_timeout=sfn.Timeout.duration(ROLLOUT),
            result_path=sfn.JsonPath.DISCARD,
        )
        EXECUTION_NOT_STARTED.apply(task)
        return task
