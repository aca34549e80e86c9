"""Stage deploy: one step of a rollout per call."""

from __future__ import annotations

from perennial.catalog.load import load_catalog
from perennial.catalog.rollout import RolloutSpec
from perennial.events import DeployInput, DeployOutput
from perennial.governance.ledger import Ledger
from perennial.registry import ModelVersion, Registry
from perennial.rollout.facts import Facts
from perennial.rollout.rollout import Rollout
from perennial.rollout.steps import Steps
from perennial.settings import DeploySettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.functions import Function
from perennial.storage.items import Items
from perennial.storage.metrics import totals
from perennial.storage.objects import Objects


def run(message: DeployInput) -> DeployOutput:
    """Take the step that the message names."""
    settings = DeploySettings.from_environment()
    items = Items(settings.registry_table)

    def rollout_of(version: ModelVersion) -> Rollout:
        return Rollout(
            version=version,
            function=Function(f"{settings.predict_prefix}{version.model}"),
            data=Objects(settings.data_bucket),
            registry=Registry(items),
            facts=Facts(version, Ledger(Objects(settings.ledger_bucket), items), Bus(settings.bus)),
        )

    def spec_of(model: str) -> RolloutSpec | None:
        spec = load_catalog(settings.catalog_bucket, settings.catalog_key).models.get(model)
        return spec.rollout if spec else None

    return Steps(Registry(items), rollout_of, spec_of, totals, settings.kept_versions).take(message)


lambda_handler = stage("deploy", DeployInput, run)
