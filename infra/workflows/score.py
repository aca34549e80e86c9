"""Workflow score: an object appears under score/<model>/in/, is planned, scored range by range, and committed."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_map, acknowledge_versions
from infra.constructs.arrivals import start_on_objects
from infra.constructs.shared import Shared
from infra.constructs.workflow import Workflow
from infra.stages import score
from infra.workflows.failures import catch, refused
from infra.workflows.steps import Patience, call, path
from perennial.errors import (
    AccessRefused,
    BundleInvalid,
    CatalogInvalid,
    ModelUnknown,
    NothingServes,
    ObjectMissing,
    PlanLost,
    StorageUnavailable,
)
from perennial.scoring.batch import STAGING

# Why a batch ends without answers, told in the stage's own words. What fails in a range is told by its own execution
# (docs/runbook/score-failed.md): the map is not caught, so that a redrive repeats just the ranges that failed.
REASONS = (
    StorageUnavailable, ObjectMissing, CatalogInvalid, AccessRefused, ModelUnknown, NothingServes, BundleInvalid,
    PlanLost,
)  # fmt: skip

# S3 did not give the list of ranges: 5+10+20 = 35 seconds at most. The list is written before it is named.
LIST_UNREAD = Patience(errors=("States.ItemReaderFailed",), first=5, times=3, longest=20)

_MAP = "Ranges"
_PLANNED = ("batch", "plan", "output")
_ANSWERS = (
    "status",
    "model",
    "batch",
    "version",
    "plan",
    "ranges",
    "output",
    "rows",
    "quarantined",
    "report_key",
    "reason",
)


class ScoreWorkflow(Construct):
    """Started by S3's events; a file that is refused is a successful execution, its output says why."""

    def __init__(self, scope: Construct, shared: Shared, *, stage: score.Score, dead_letters: sqs.IQueue) -> None:
        super().__init__(scope, "ScoreWorkflow")
        self._stage = stage
        # the event's own time, so that an event delivered twice is the same request twice
        request = {"detail": path("detail"), "as_of": path("time")}
        opened = self._step("Plan", "plan", request, keep=_ANSWERS, at="$.planned")
        why = refused(self, "Refused")
        catch(opened, why, *REASONS)
        done = sfn.Succeed(self, "Done", output_path="$.planned")
        commit = self._step("Commit", "commit", self._planned())
        catch(commit, why, *REASONS)
        scored = self._map(shared).next(commit)
        planned = sfn.Condition.string_equals("$.planned.status", "planned")
        definition = opened.next(sfn.Choice(self, "Planned").when(planned, scored).otherwise(done))
        self.machine = Workflow(
            self, workflow="score", shared=shared, definition=definition, lists=f"{STAGING}*/ranges-*"
        )
        acknowledge_map(self.machine, _MAP)
        acknowledge_versions(self.machine.role, stage.function)
        start_on_objects(
            self,
            shared,
            workflow="score",
            machine=self.machine,
            key={"wildcard": "score/*/in/*"},
            says="A file to score starts its scoring",
            dead_letters=dead_letters,
        )

    def _step(self, state: str, action: str, request: dict[str, Any], **answer: Any) -> sfn.TaskStateBase:
        return call(self, state, self._stage.function, {"action": action, **request}, timeout=score.TIMEOUT, **answer)

    def _planned(self) -> dict[str, Any]:
        return {name: path(f"planned.{name}") for name in _PLANNED} | {"as_of": path("time")}

    def _map(self, shared: Shared) -> sfn.DistributedMap:
        """State Ranges: an execution of its own for each range. Their answers are dropped, since a part says all, but
        have to fit into one state (256 KB) before they are: so each says only how many rows it scored.
        """
        ranges = sfn.DistributedMap(
            self,
            _MAP,
            item_reader=sfn.S3JsonItemReader(bucket=shared.memory.data, key=path("planned.ranges")),
            item_selector=self._planned() | {"range": sfn.JsonPath.string_at("$$.Map.Item.Value")},
            max_concurrency=shared.environment.score.concurrency,
            tolerated_failure_percentage=0,  # CDK leaves it out: it is what AWS takes without it
            map_execution_type=sfn.StateMachineType.STANDARD,
            label=_MAP,
            result_path=sfn.JsonPath.DISCARD,
        )
        request = {name: path(name) for name in (*_PLANNED, "range", "as_of")}
        ranges.item_processor(self._step("Score", "rows", request, keep=("rows",), at="$"))
        LIST_UNREAD.apply(ranges)
        return ranges
