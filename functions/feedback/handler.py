"""Stage feedback: outcomes of predictions come as requests or as files, and are recorded once."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger

from perennial.catalog.load import load_catalog
from perennial.governance.ledger import Ledger
from perennial.outcomes.door import Door
from perennial.outcomes.dropped import Stores, record_file
from perennial.outcomes.events import FeedbackInput, FeedbackOutput
from perennial.settings import FeedbackSettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects

_logger = Logger(service="feedback")


def run(message: FeedbackInput) -> FeedbackOutput:
    """Record the file of one S3 event."""
    settings = FeedbackSettings.from_environment()
    ledger = Ledger(Objects(settings.ledger_bucket), Items(settings.registry_table))
    stores = Stores(Objects(settings.data_bucket), ledger, Bus(settings.bus))
    return record_file(message, stores, load_catalog(settings.catalog_bucket, settings.catalog_key))


_dropped = stage("feedback", FeedbackInput, run)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An event of S3's, or an HTTP API request (payload format 2.0). Bodies are not logged: they are the caller's."""
    if "requestContext" not in event:
        return _dropped(event, context)
    settings = FeedbackSettings.from_environment()
    catalog = load_catalog(settings.catalog_bucket, settings.catalog_key)
    reply = Door(catalog, Objects(settings.data_bucket), Bus(settings.bus)).handle(event)
    _logger.info("answered", extra={"path": event.get("rawPath"), "status": reply["statusCode"]})
    return reply
