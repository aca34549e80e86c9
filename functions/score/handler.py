"""Stage score: a file of rows becomes a plan, its ranges become parts, its parts become answers, each row once."""

from __future__ import annotations

from perennial.catalog.load import load_catalog
from perennial.governance.ledger import Ledger
from perennial.scoring.commit import Stores, commit
from perennial.scoring.events import ScoreInput, ScoreOutput
from perennial.scoring.part import score_range
from perennial.scoring.plan import plan
from perennial.settings import ScoreSettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects


def run(message: ScoreInput) -> ScoreOutput:
    """One step of the workflow score."""
    settings = ScoreSettings.from_environment()
    items = Items(settings.registry_table)
    stores = Stores(
        data=Objects(settings.data_bucket),
        items=items,
        ledger=Ledger(Objects(settings.ledger_bucket), items),
        bus=Bus(settings.bus),
    )
    if message.action == "plan":
        catalog = load_catalog(settings.catalog_bucket, settings.catalog_key)
        return plan(message, stores, catalog, settings.range_rows)
    return score_range(message, stores) if message.action == "rows" else commit(message, stores)


lambda_handler = stage("score", ScoreInput, run)
