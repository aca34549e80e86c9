"""Stage deploy: one step of a rollout per call."""

from __future__ import annotations

from perennial.events import DeployInput, DeployOutput
from perennial.governance.ledger import Ledger
from perennial.registry import Registry
from perennial.rollout.steps import Rollout
from perennial.settings import DeploySettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.functions import Function
from perennial.storage.items import Items
from perennial.storage.objects import Objects


def run(message: DeployInput) -> DeployOutput:
    """Do the step that the message names."""
    settings = DeploySettings.from_environment()
    items = Items(settings.registry_table)
    rollout = Rollout(
        message=message,
        function=Function(settings.predict_prefix + message.model),
        objects=Objects(settings.data_bucket),
        registry=Registry(items),
        ledger=Ledger(Objects(settings.ledger_bucket), items),
        bus=Bus(settings.bus),
    )
    return rollout.step()


lambda_handler = stage("deploy", DeployInput, run)
