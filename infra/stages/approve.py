"""Stage approve: a person says whether a version may be deployed, and starts promotions."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.grants import MODELS, allow, change_items, find_items, replace_items
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from perennial.settings import ApproveSettings

MEMORY_MIB = 512
# The API waits 30 seconds at most.
TIMEOUT = Duration.seconds(29)

# What may wait for a person.
WAITING = ("lifecycle", "promotion")


class Approve(StageFunction):
    """Called by the API, and by the workflows that wait; the only one that reads the tokens with which they wait."""

    def __init__(self, scope: Construct, shared: Shared) -> None:
        super().__init__(
            scope,
            stage="approve",
            environment=shared.environment,
            variables=variables(ApproveSettings, shared.values()),
            layers=shared.layers.get(["core", "base"]),
            memory_mib=MEMORY_MIB,
            timeout=TIMEOUT,
        )
        memory = shared.memory
        replace_items(self.role, memory.approvals)
        find_items(self.role, memory.approvals)
        change_items(self.role, memory.registry, MODELS)
        shared.share_ledger(self.role)
        memory.bus.grant_put_events_to(self.role)
        allow(self.role, ["sns:Publish"], [memory.alerts.topic_arn])
        # by name: the machines' definitions name this function, so neither can wait for the other
        allow(self.role, ["states:SendTaskSuccess"], [shared.workflow_arn(workflow) for workflow in WAITING])
        allow(self.role, ["states:StartExecution"], [shared.workflow_arn("promotion")])
