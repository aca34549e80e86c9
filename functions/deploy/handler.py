"""Stage deploy: one step of a rollout per call."""

from __future__ import annotations

from perennial.events import DeployInput, DeployOutput
from perennial.governance.ledger import Ledger
from perennial.registry import ModelVersion, Registry
from perennial.rollout.rollout import Rollout
from perennial.rollout.steps import step
from perennial.settings import DeploySettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.functions import Function
from perennial.storage.items import Items
from perennial.storage.objects import Objects


def run(message: DeployInput) -> DeployOutput:
    """Take the step that the message names."""
    settings = DeploySettings.from_environment()
    items = Items(settings.registry_table)
    registry = Registry(items)

    def rollout_of(version: ModelVersion) -> Rollout:
        return Rollout(
            version=version,
            function=Function(f"{settings.predict_prefix}{version.model}"),
            data=Objects(settings.data_bucket),
            registry=registry,
            ledger=Ledger(Objects(settings.ledger_bucket), items),
            bus=Bus(settings.bus),
        )

    return step(message, registry, rollout_of, settings.kept_versions)


lambda_handler = stage("deploy", DeployInput, run)
