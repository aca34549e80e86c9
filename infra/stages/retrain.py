"""Stage retrain: the governor. It hears why a training is wanted, and starts at most one per model at a time."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_wildcard
from infra.constructs.dead_letters import delivery
from infra.constructs.grants import (
    DATASETS,
    allow,
    delete_items,
    find_items,
    put_items,
    read_objects,
    write_objects,
)
from infra.constructs.schedules import call_on_schedule
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from perennial.events import DATASET_VERSION_ACCEPTED, SOURCE
from perennial.monitoring.events import DRIFT_DETECTED, PERFORMANCE_DEGRADED
from perennial.settings import RetrainSettings

MEMORY_MIB = 512
TIMEOUT = Duration.seconds(60)


class Retrain(StageFunction):
    """Called by rules, by schedules, by people through the API, and by the workflow `lifecycle`, which it starts."""

    def __init__(self, scope: Construct, shared: Shared, *, dead_letters: sqs.IQueue) -> None:
        super().__init__(
            scope,
            stage="retrain",
            environment=shared.environment,
            variables=variables(RetrainSettings, shared.values()),
            layers=shared.layers.get(["core", "base"]),
            memory_mib=MEMORY_MIB,
            timeout=TIMEOUT,
            failures_to=dead_letters,
        )
        memory = shared.memory
        # the reports of the monitor say how many outcomes are new
        read_objects(self.role, memory.data, "staging/", "reports/")
        write_objects(self.role, memory.data, "staging/*/request.json")
        find_items(self.role, memory.registry, DATASETS)
        put_items(self.role, memory.triggers)
        find_items(self.role, memory.triggers)
        delete_items(self.role, memory.triggers)
        shared.share_ledger(self.role)
        memory.bus.grant_put_events_to(self.role)
        self._start_lifecycle(shared)
        self._hear_arrivals(shared, dead_letters)
        self._hear_alarms(shared, dead_letters)
        self._hear_schedules(shared, dead_letters)

    def _start_lifecycle(self, shared: Shared) -> None:
        # by name: the machine's definition names this function, so neither can wait for the other
        allow(self.role, ["states:StartExecution"], [shared.workflow_arn("lifecycle")])
        executions = shared.executions_arn("lifecycle")
        allow(self.role, ["states:DescribeExecution"], [executions])
        acknowledge_wildcard(self.role, "Executions of one machine; their names are made as they start.", executions)

    def _hear_arrivals(self, shared: Shared, dead_letters: sqs.IQueue) -> None:
        self._hear(
            "Arrivals",
            shared,
            dead_letters,
            name="retrain",
            says="An accepted dataset version reaches the governor",
            facts=[DATASET_VERSION_ACCEPTED],
            message={"action": "arrive", "detail": events.EventField.from_path("$.detail")},
        )

    def _hear_alarms(self, shared: Shared, dead_letters: sqs.IQueue) -> None:
        self._hear(
            "Alarms",
            shared,
            dead_letters,
            name="retrain-alarms",
            says="An alarm of the monitor reaches the governor",
            facts=[DRIFT_DETECTED, PERFORMANCE_DEGRADED],
            message={"action": "ask", "alarm": events.EventField.from_path("$.detail")},
        )

    def _hear(
        self,
        rule: str,
        shared: Shared,
        dead_letters: sqs.IQueue,
        *,
        name: str,
        says: str,
        facts: list[str],
        message: dict[str, str],
    ) -> None:
        """Facts on Perennial's bus reach the function as `message`, as of when they were put there."""
        told = events.RuleTargetInput.from_object({**message, "as_of": events.EventField.from_path("$.time")})
        events.Rule(
            self,
            rule,
            rule_name=shared.environment.resource(name),
            description=says,
            event_bus=shared.memory.bus,
            event_pattern=events.EventPattern(source=[SOURCE], detail_type=facts),
            targets=[targets.LambdaFunction(self.function, event=told, **delivery(dead_letters))],
        )

    def _hear_schedules(self, shared: Shared, dead_letters: sqs.IQueue) -> None:
        call_on_schedule(
            self,
            self.function,
            stage="retrain",
            environment=shared.environment,
            schedules={name: spec.train.when.schedule for name, spec in shared.catalog.models.items()},
            message={"action": "schedule"},
            dead_letters=dead_letters,
        )
