"""Stage monitor: a window of what a model predicted, looked at; the report, and alarms that mean something."""

from __future__ import annotations

from perennial.catalog.load import load_catalog
from perennial.governance.ledger import Ledger
from perennial.monitoring.events import MonitorInput, MonitorOutput
from perennial.monitoring.look import Stores, monitor
from perennial.registry import Registry
from perennial.settings import MonitorSettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects


def run(message: MonitorInput) -> MonitorOutput:
    """One look at one model."""
    settings = MonitorSettings.from_environment()
    items = Items(settings.registry_table)
    stores = Stores(
        data=Objects(settings.data_bucket),
        registry=Registry(items),
        ledger=Ledger(Objects(settings.ledger_bucket), items),
        bus=Bus(settings.bus),
        log_days=settings.prediction_log_days,
    )
    return monitor(message, stores, load_catalog(settings.catalog_bucket, settings.catalog_key).model(message.model))


lambda_handler = stage("monitor", MonitorInput, run)
