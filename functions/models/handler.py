"""Models: say what is served, and pass requests for one version on to it."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from perennial.catalog.load import load_catalog
from perennial.registry import Registry
from perennial.serving.directory import Directory
from perennial.settings import ModelsSettings
from perennial.storage.functions import Function
from perennial.storage.items import Items

_logger = Logger(service="models")


@cache
def _directory(settings: ModelsSettings) -> Directory:
    return Directory(
        models=frozenset(load_catalog(settings.catalog_bucket, settings.catalog_key).models),
        registry=Registry(Items(settings.registry_table)),
        function=lambda model: Function(settings.predict_prefix + model),
    )


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An HTTP API request (payload format 2.0) in, its reply out. Bodies are not logged: they are the caller's data."""
    reply = _directory(ModelsSettings.from_environment()).handle(event)
    _logger.info(
        "answered",
        extra={
            "request_id": getattr(context, "aws_request_id", None),
            "path": event.get("rawPath"),
            "status": reply["statusCode"],
        },
    )
    return reply
