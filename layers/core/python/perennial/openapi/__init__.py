"""The HTTP API as an OpenAPI 3.1 document: routes and schemas are written down once, here."""

from perennial.openapi.document import describe, document
from perennial.openapi.operations import allowed

__all__ = ["allowed", "describe", "document"]
