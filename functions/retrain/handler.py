"""Stage retrain: the governor. It hears why a training is wanted, freezes what one sees, and ends flights."""

from __future__ import annotations

from typing import Any

from perennial.catalog.load import Catalog, load_catalog
from perennial.governance.ledger import Ledger
from perennial.retraining import door
from perennial.retraining.events import RetrainInput, RetrainOutput
from perennial.retraining.governor import Governor
from perennial.retraining.requests import answer
from perennial.retraining.triggers import Triggers
from perennial.settings import RetrainSettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.storage.workflows import Workflow


def _governor() -> tuple[Governor, Catalog]:
    settings = RetrainSettings.from_environment()
    registry = Items(settings.registry_table)
    governor = Governor(
        triggers=Triggers(Items(settings.triggers_table)),
        registry=registry,
        ledger=Ledger(Objects(settings.ledger_bucket), registry),
        bus=Bus(settings.bus),
        workflow=Workflow(settings.lifecycle_workflow),
        data=Objects(settings.data_bucket),
        catalog=(settings.catalog_bucket, settings.catalog_key),
    )
    return governor, load_catalog(settings.catalog_bucket, settings.catalog_key)


def run(message: RetrainInput) -> RetrainOutput:
    """Do what the message asks of the governor."""
    return answer(message, *_governor())


_asked = stage("retrain", RetrainInput, run)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A message of a rule, a schedule or a workflow, or an HTTP API request (payload format 2.0)."""
    return door.answer(event, *_governor()) if "requestContext" in event else _asked(event, context)
