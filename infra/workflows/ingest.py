"""Workflow ingest: an object appears under raw/, and is ingested."""

from __future__ import annotations

from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_versions
from infra.constructs.arrivals import start_on_objects
from infra.constructs.shared import Shared
from infra.constructs.workflow import Workflow
from infra.stages import ingest
from infra.workflows.failures import catch, refused
from infra.workflows.steps import call, path
from perennial.errors import AccessRefused, CatalogInvalid, ObjectMissing, StagingLost, StorageUnavailable

# Why an ingestion ends without a verdict about its file, told in the stage's own words; any other error fails the
# execution as AWS words it. Nothing more is repeated (StorageUnavailable was): a person redrives the execution once the
# reason is gone, see docs/runbook/ingest-failed.md.
REASONS = (StorageUnavailable, ObjectMissing, StagingLost, CatalogInvalid, AccessRefused)


class IngestWorkflow(Construct):
    """Started by S3's events; a file that is refused is a successful execution, its output says why."""

    def __init__(self, scope: Construct, shared: Shared, *, stage: ingest.Ingest, dead_letters: sqs.IQueue) -> None:
        super().__init__(scope, "IngestWorkflow")
        # the event's own time, so that an event delivered twice is the same request twice
        request = {"detail": path("detail"), "as_of": path("time")}
        definition = call(self, "Ingest", stage.function, request, timeout=ingest.TIMEOUT)
        catch(definition, refused(self, "Refused"), *REASONS)
        self.machine = Workflow(self, workflow="ingest", shared=shared, definition=sfn.Chain.start(definition))
        acknowledge_versions(self.machine.role, stage.function)
        start_on_objects(
            self,
            shared,
            workflow="ingest",
            machine=self.machine,
            key={"prefix": "raw/"},
            says="A dropped object starts its ingestion",
            dead_letters=dead_letters,
        )
