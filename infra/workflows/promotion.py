"""Workflow promotion: a version that another environment trained is registered and deployed here."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_executions, acknowledge_versions
from infra.constructs.shared import Shared
from infra.constructs.workflow import Workflow
from infra.stages import register
from infra.stages.approve import Approve
from infra.workflows.approval import Approval
from infra.workflows.jobs import roll_out
from infra.workflows.steps import NOW, call, path


class PromotionWorkflow(Construct):
    """Input {"model", "run"}, of the workspace that `perennial promote` wrote; output has `registered.version` besides,
    and `approval.approved` where a person has to approve.

    A failure is that of the state it comes from: a named error of stage register, or the rollout's description.
    """

    def __init__(
        self,
        scope: Construct,
        shared: Shared,
        *,
        registrar: lambda_.IFunction,
        rollout: sfn.IStateMachine,
        approve: Approve,
    ) -> None:
        super().__init__(scope, "PromotionWorkflow")
        run = {"model": path("model"), "run": path("run"), "as_of": NOW}
        registered = call(
            self, "Register", registrar, run, timeout=register.TIMEOUT, keep=("version",), at="$.registered"
        )
        deployed: sfn.TaskStateBase = roll_out(self, rollout)
        if shared.environment.approval.required:
            deployed = Approval(self, shared, approve).before(deployed, sfn.Succeed(self, "NotApproved"))
        definition = registered.next(deployed)
        self.machine = Workflow(self, workflow="promotion", shared=shared, definition=definition)
        acknowledge_versions(self.machine.role, registrar)
        if shared.environment.approval.required:
            acknowledge_versions(self.machine.role, approve.function)
        acknowledge_executions(self.machine.role, rollout)
