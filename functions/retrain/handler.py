"""Stage retrain: the governor. It hears of arrivals and schedules, freezes what a training sees, and ends flights."""

from __future__ import annotations

from perennial.catalog.load import load_catalog
from perennial.events import RetrainInput, RetrainOutput
from perennial.governance.ledger import Ledger
from perennial.retraining.governor import Governor
from perennial.retraining.requests import answer
from perennial.retraining.triggers import Triggers
from perennial.settings import RetrainSettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.storage.workflows import Workflow


def run(message: RetrainInput) -> RetrainOutput:
    """Do what the message asks of the governor."""
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
    return answer(message, governor, load_catalog(settings.catalog_bucket, settings.catalog_key))


lambda_handler = stage("retrain", RetrainInput, run)
