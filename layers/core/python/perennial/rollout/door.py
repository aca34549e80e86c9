"""Stage deploy over HTTPS, for callers that IAM let in.

    POST /rollbacks/<model> {"version": 3, "reason": "…"}

Who calls is what API Gateway verified, never what a body says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from perennial.approval.door import read_body
from perennial.approval.principal import caller
from perennial.errors import ModelUnknown, PublishPending, StorageUnavailable, VersionUnknown
from perennial.rollout.undo import Undo
from perennial.serving.envelope import Reply, error_reply, json_reply
from perennial.serving.errors import RequestRefused


class Rollback(BaseModel):
    """The version that is to serve no longer, with the reason in up to 1,000 characters."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1)]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


def answer(event: Mapping[str, Any], undo_of: Callable[[str], Undo]) -> Reply:
    """The reply to one request (payload format 2.0); what the caller did wrong is a 4xx, never raised.

    `undo_of` raises ModelUnknown for a model that the catalog does not have.
    """
    at = datetime.fromtimestamp(event["requestContext"]["timeEpoch"] / 1000, UTC)
    parts = str(event.get("rawPath", "")).strip("/").split("/")
    try:
        match (event["requestContext"]["http"]["method"], *parts):
            case ("POST", "rollbacks", model):
                by, asked = caller(event), read_body(event, Rollback)
                return json_reply(200, undo_of(model).take_back(asked.version, by.arn, asked.reason, at))
        raise RequestRefused(f"there is nothing at /{'/'.join(parts)[:200]}", 404)
    except RequestRefused as refused:
        return error_reply(refused.status, str(refused))
    except (ModelUnknown, VersionUnknown) as error:
        return error_reply(404, str(error))
    except (StorageUnavailable, PublishPending) as error:
        return error_reply(503, f"try again: {error}", {"retry-after": "1"})
