"""Stage deploy over HTTPS, for callers that IAM let in.

    POST /rollbacks/<model> {"version": 3, "reason": "…"}

Who calls is what API Gateway verified, never what a body says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger

from perennial.approval.door import read_body
from perennial.approval.principal import caller
from perennial.errors import ModelUnknown, PerennialError, Retriable, VersionUnknown
from perennial.rollout.requests import Rollback
from perennial.rollout.undo import Undo
from perennial.serving.envelope import Reply, error_reply, json_reply
from perennial.serving.errors import RequestRefused

_logger = Logger(service="deploy")


def answer(event: Mapping[str, Any], undo_of: Callable[[str], Undo]) -> Reply:
    """The reply to one request (payload format 2.0), whatever happens: what the caller did wrong is a 4xx, a passing
    fault 503, any other named reason 502.

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
    except Retriable as error:
        return error_reply(503, f"try again: {error}", {"retry-after": "1"})
    except PerennialError as error:  # not the caller's: a person has to put it right
        told = f"{type(error).__name__}: {error}"
        _logger.exception("failed", extra={"cause": told})
        return error_reply(502, told)
