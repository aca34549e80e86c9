"""Stage deploy: one step of a rollout per call; people take versions back."""

from __future__ import annotations

from typing import Any

from perennial.catalog.load import load_catalog
from perennial.catalog.model import ModelSpec
from perennial.events import DeployInput, DeployOutput
from perennial.governance.ledger import Ledger
from perennial.registry import ModelVersion, Registry
from perennial.rollout import door
from perennial.rollout.facts import Facts
from perennial.rollout.rollout import Rollout
from perennial.rollout.steps import Steps
from perennial.rollout.undo import Undo
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
    registry, ledger = Registry(Items(settings.registry_table)), _ledger(settings)

    def rollout_of(version: ModelVersion) -> Rollout:
        function = Function(f"{settings.predict_prefix}{version.model}")
        facts = Facts(version, ledger, Bus(settings.bus))
        return Rollout(version, function, Objects(settings.data_bucket), registry, facts)

    def spec_of(model: str) -> ModelSpec | None:
        return load_catalog(settings.catalog_bucket, settings.catalog_key).models.get(model)

    return Steps(registry, rollout_of, spec_of, totals, settings.kept_versions).take(message)


def _undo(model: str) -> Undo:
    settings = DeploySettings.from_environment()
    name = load_catalog(settings.catalog_bucket, settings.catalog_key).model(model).name
    function, registry = Function(f"{settings.predict_prefix}{name}"), Registry(Items(settings.registry_table))
    return Undo(name, function, registry, _ledger(settings), Bus(settings.bus))


def _ledger(settings: DeploySettings) -> Ledger:
    return Ledger(Objects(settings.ledger_bucket), Items(settings.registry_table))


_asked = stage("deploy", DeployInput, run)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A workflow's message, or an HTTP API request (payload format 2.0); each gets its answer."""
    return door.answer(event, _undo) if "requestContext" in event else _asked(event, context)
