"""Stage monitor: what a model predicted and what became of it, looked at as often as its spec says."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alerts import PERIOD, alarm
from infra.constructs.grants import MODELS, find_items, get_items, read_objects, write_objects
from infra.constructs.records import DELIVERED
from infra.constructs.schedules import call_on_schedule
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from infra.constructs.training_image import TrainingImage
from perennial.catalog.model import ModelSpec
from perennial.monitoring import DAY_FILES, REPORTS
from perennial.outcomes.store import OUTCOMES
from perennial.settings import MonitorSettings

# The rows of a window and its cohort are in memory, some hundred bytes each; bootstraps use one vCPU (1,769 MiB).
MEMORY_MIB = 3008
TIMEOUT = Duration.minutes(15)
_DAY = 86_400
# Days that a log is still being delivered, and one at either end.
_SLACK_DAYS = 4


class Monitor(StageFunction):
    """The training image as a Lambda function; called by a schedule for each model, and by people."""

    def __init__(self, scope: Construct, shared: Shared, *, image: TrainingImage, dead_letters: sqs.IQueue) -> None:
        super().__init__(
            scope,
            stage="monitor",
            environment=shared.environment,
            variables=variables(MonitorSettings, shared.values()),
            memory_mib=MEMORY_MIB,
            timeout=TIMEOUT,
            failures_to=dead_letters,
            image=image.for_function("functions.monitor.handler.lambda_handler"),
        )
        memory, specs = shared.memory, shared.catalog.models
        read_objects(self.role, memory.data, DELIVERED, OUTCOMES, DAY_FILES, "models/")
        write_objects(self.role, memory.data, DAY_FILES, REPORTS)
        get_items(self.role, memory.registry, MODELS)
        find_items(self.role, memory.registry, MODELS)
        shared.share_ledger(self.role)
        memory.bus.grant_put_events_to(self.role)
        for spec in specs.values():
            _check_reach(spec, shared.environment.prediction_log_days)
        call_on_schedule(
            self,
            self.function,
            stage="monitor",
            environment=shared.environment,
            schedules={name: spec.monitor.schedule for name, spec in specs.items()},
            message={},
            dead_letters=dead_letters,
        )
        alarm(
            self,
            "FailedAlarm",
            environment=shared.environment,
            name="monitor-failed",
            says="A look at a model failed, so nobody knows how it does.",
            # what a person asks for and is refused is no failure: only calls in nobody's presence are dropped
            # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
            metric=self.function.metric("AsyncEventsDropped", period=PERIOD, statistic="Sum"),
            alerts=memory.alerts,
        )


def _check_reach(spec: ModelSpec, kept: int) -> None:
    """Raises ValueError for a model whose outcomes take longer than its predictions are kept."""
    needed = (spec.monitor.window + spec.monitor.horizon) // _DAY + _SLACK_DAYS
    if needed > kept:
        raise ValueError(
            f"model {spec.name!r}: monitor.window and monitor.horizon reach {needed} days back, and "
            f"prediction_log_days keeps {kept}"
        )
