"""Stage feedback: what turned out of predictions, by request and by file."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.arrivals import appeared
from infra.constructs.dead_letters import delivery
from infra.constructs.grants import copy_tags, read_objects, read_versions, write_objects
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from perennial.outcomes.store import INBOX, OUTCOMES
from perennial.settings import FeedbackSettings

QUARANTINE = "quarantine/_feedback/"

# Files are read with pyarrow, in bounded memory; a whole vCPU comes from 1,769 MiB on.
MEMORY_MIB = 2048
# In /tmp lie the file (256 MiB at most) and its rows once more; billed by use.
TEMPORARY_MIB = 2048
# Lambda's longest, for files; the API waits 30 seconds for a request, whatever the function may take.
TIMEOUT = Duration.minutes(15)


class Feedback(StageFunction):
    """Called by the API, and by a rule when a file is dropped."""

    def __init__(self, scope: Construct, shared: Shared, *, dead_letters: sqs.IQueue) -> None:
        super().__init__(
            scope,
            stage="feedback",
            environment=shared.environment,
            variables=variables(FeedbackSettings, shared.values()),
            layers=shared.layers.get(["core", "base", "data"]),
            memory_mib=MEMORY_MIB,
            temporary_mib=TEMPORARY_MIB,
            timeout=TIMEOUT,
            failures_to=dead_letters,
        )
        memory = shared.memory
        read_objects(self.role, memory.data, INBOX)
        read_versions(self.role, memory.data, INBOX)
        write_objects(self.role, memory.data, OUTCOMES, QUARANTINE)
        copy_tags(self.role, memory.data, source=INBOX, target=QUARANTINE)
        shared.share_ledger(self.role, "feedback/")
        memory.bus.grant_put_events_to(self.role)
        self._hear_objects(shared, dead_letters)

    def _hear_objects(self, shared: Shared, dead_letters: sqs.IQueue) -> None:
        message = events.RuleTargetInput.from_object(
            {"detail": events.EventField.from_path("$.detail"), "as_of": events.EventField.from_path("$.time")}
        )
        events.Rule(
            self,
            "Objects",
            rule_name=shared.environment.resource("feedback"),
            description="A dropped file of outcomes is recorded",
            event_pattern=appeared(shared, {"prefix": INBOX}),
            targets=[
                targets.LambdaFunction(
                    self.function,
                    event=message,
                    **delivery(dead_letters),
                )
            ],
        )
