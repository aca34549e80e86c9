"""Stage ingest: a dropped object becomes a dataset version, or goes to quarantine with its reasons."""

from __future__ import annotations

from perennial.catalog.load import load_catalog
from perennial.datasets.commit import Stores
from perennial.datasets.ingest import ingest
from perennial.events import IngestInput, IngestOutput
from perennial.governance.ledger import Ledger
from perennial.settings import IngestSettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.storage.partitions import Partitions


def run(message: IngestInput) -> IngestOutput:
    """Ingest the object of one S3 event."""
    settings = IngestSettings.from_environment()
    items = Items(settings.registry_table)
    stores = Stores(
        data=Objects(settings.data_bucket),
        items=items,
        ledger=Ledger(Objects(settings.ledger_bucket), items),
        bus=Bus(settings.bus),
        partitions=Partitions(settings.glue_database),
    )
    return ingest(message, stores, load_catalog(settings.catalog_bucket, settings.catalog_key))


lambda_handler = stage("ingest", IngestInput, run)
