"""Stage ingest: a dropped object becomes a dataset version, or goes to quarantine with its reasons."""

from __future__ import annotations

from aws_cdk import ArnFormat, Duration
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_wildcard
from infra.constructs.grants import (
    DATASETS,
    allow,
    copy_tags,
    delete_objects,
    put_items,
    read_objects,
    read_versions,
    write_objects,
)
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from perennial.datasets.batches import STAGING
from perennial.settings import IngestSettings

# Reads in bounded memory; pyarrow is fastest with a whole vCPU, which Lambda gives from 1,769 MiB on.
MEMORY_MIB = 2048
# In /tmp lie the file (1 GiB at most), the rows that are taken and the rows that are not; billed by use.
TEMPORARY_MIB = 6144
# Lambda's longest. Larger files belong on Fargate.
TIMEOUT = Duration.minutes(15)

_PARTITIONS = ["glue:GetTable", "glue:CreatePartition"]


class Ingest(StageFunction):
    """Called by the workflow `ingest`."""

    def __init__(self, scope: Construct, shared: Shared) -> None:
        super().__init__(
            scope,
            stage="ingest",
            environment=shared.environment,
            variables=variables(IngestSettings, shared.values()),
            layers=shared.layers.get(["core", "base", "data"]),
            memory_mib=MEMORY_MIB,
            temporary_mib=TEMPORARY_MIB,
            timeout=TIMEOUT,
        )
        memory = shared.memory
        read_objects(self.role, memory.data, "raw/", STAGING, "curated/", "quarantine/", "profiles/")
        write_objects(self.role, memory.data, STAGING, "curated/", "quarantine/", "profiles/")
        read_versions(self.role, memory.data, "raw/")
        copy_tags(self.role, memory.data, source="raw/", target="quarantine/")
        delete_objects(self.role, memory.data, STAGING)
        put_items(self.role, memory.registry, DATASETS)
        shared.share_ledger(self.role, "dataset/")
        memory.bus.grant_put_events_to(self.role)
        self._add_partitions(shared)

    def _add_partitions(self, shared: Shared) -> None:
        database = shared.environment.glue_database
        tables = shared.stack.format_arn(service="glue", resource="table", resource_name=f"{database}/*")
        catalog = shared.stack.format_arn(service="glue", resource="catalog", arn_format=ArnFormat.NO_RESOURCE_NAME)
        parent = shared.stack.format_arn(service="glue", resource="database", resource_name=database)
        allow(self.role, _PARTITIONS, [catalog, parent, tables])
        acknowledge_wildcard(self.role, "One table per contract of this environment's own database.", tables)
