"""Stage register: a run becomes an immutable, numbered model version."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.grants import MODELS, put_items, read_objects, write_objects
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from perennial.settings import RegisterSettings

MEMORY_MIB = 1024
TIMEOUT = Duration.minutes(2)


class Register(StageFunction):
    """Called by the workflow `lifecycle`."""

    def __init__(self, scope: Construct, shared: Shared) -> None:
        super().__init__(
            scope,
            stage="register",
            environment=shared.environment,
            variables=variables(RegisterSettings, shared.values()),
            layers=shared.layers.get(["core", "base"]),
            memory_mib=MEMORY_MIB,
            timeout=TIMEOUT,
        )
        read_objects(self.role, shared.memory.data, "staging/", "models/")
        write_objects(self.role, shared.memory.data, "models/")
        put_items(self.role, shared.memory.registry, MODELS)
        shared.share_ledger(self.role)
        shared.memory.bus.grant_put_events_to(self.role)
