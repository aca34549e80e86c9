"""Which routes of an API answer the operations of its document."""

from __future__ import annotations

from collections.abc import Collection

from infra.local.http_routes import select
from perennial.openapi.operations import OPERATIONS


def answering(routes: Collection[str], model: str) -> dict[str, str]:
    """The route that the gateway chooses, by the id of the operation."""
    chosen = {}
    for operation in OPERATIONS:
        path = operation.path.replace("{model}", model).replace("{version}", "3")
        match = select([*routes, "$default"], operation.method, path)
        assert match is not None
        chosen[operation.id] = match.key
    return chosen


def greedy(model: str) -> str:
    """The route to what serves a model."""
    return f"ANY /v2/models/{model}/{{proxy+}}"
