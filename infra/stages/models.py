"""Stage models: what is served, in which versions, and whether it is ready."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_wildcard
from infra.constructs.grants import MODELS, allow, find_items, get_items, read_asset
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from perennial.settings import ModelsSettings

MEMORY_MIB = 512
# The API waits 30 seconds at most.
TIMEOUT = Duration.seconds(29)


class Models(StageFunction):
    """Called by the API for everything but the champion's own routes; asks versions of predict functions directly."""

    def __init__(self, scope: Construct, shared: Shared) -> None:
        super().__init__(
            scope,
            stage="models",
            environment=shared.environment,
            variables=variables(ModelsSettings, shared.values()),
            layers=shared.layers.get(["core", "base"]),
            memory_mib=MEMORY_MIB,
            timeout=TIMEOUT,
        )
        read_asset(self.role, shared.memory.catalog_asset)
        get_items(self.role, shared.memory.registry, MODELS)
        find_items(self.role, shared.memory.registry, MODELS)
        versions = shared.predict_arn(":*")
        allow(self.role, ["lambda:InvokeFunction"], [versions])
        acknowledge_wildcard(self.role, "A caller may ask for any published version of any model.", versions)
