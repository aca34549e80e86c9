"""Stage retrain over HTTPS, for callers that IAM let in.

    POST /retrains/<model> {"reason": "…"}

Who calls is what API Gateway verified, never what a body says.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger

from perennial.approval.principal import caller
from perennial.catalog.load import Catalog
from perennial.door import Event, answered, read_body
from perennial.errors import ModelUnknown
from perennial.retraining.events import Retrain
from perennial.retraining.governor import Governor
from perennial.retraining.records import asked_by
from perennial.serving.envelope import Reply, json_reply
from perennial.serving.errors import RequestRefused

_logger = Logger(service="retrain")


def answer(event: Event, governor: Governor, catalog: Catalog) -> Reply:
    """The reply to one request (payload format 2.0), whatever happens (see perennial.door)."""
    return answered(lambda: _answer(event, governor, catalog), _logger)


def _answer(event: Event, governor: Governor, catalog: Catalog) -> Reply:
    parts = str(event.get("rawPath", "")).strip("/").split("/")
    match (event["requestContext"]["http"]["method"], *parts):
        case ("POST", "retrains", model):
            return json_reply(200, _ask(event, model, governor, catalog))
    raise RequestRefused(f"there is nothing at /{'/'.join(parts)[:200]}", 404)


def _ask(event: Event, name: str, governor: Governor, catalog: Catalog) -> dict[str, Any]:
    context = event["requestContext"]
    at = datetime.fromtimestamp(context["timeEpoch"] / 1000, UTC)
    by, asked = caller(event), read_body(event, Retrain)
    try:
        spec = catalog.model(name)
    except ModelUnknown as error:
        raise RequestRefused(str(error), 404) from error
    trigger = asked_by(spec.name, by.arn, by.id, asked.reason, str(context["requestId"]), at)
    record = governor.ask(spec, trigger)
    told = {name: getattr(record, name) for name in ("model", "decided", "why", "flight", "not_before", "at")}
    return {**told, "by": by.arn}
