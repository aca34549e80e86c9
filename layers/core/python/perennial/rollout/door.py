"""Stage deploy over HTTPS, for callers that IAM let in.

    POST /rollbacks/<model> {"version": 3, "rollout": "arn:…", "reason": "…"}     what is being rolled out
    POST /rollbacks/<model> {"version": 3, "change": 7, "reason": "…"}            what serves since that change

Who calls is what API Gateway verified, never what a body says.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from aws_lambda_powertools import Logger

from perennial.approval.principal import caller
from perennial.door import Event, answered, read_body
from perennial.errors import ModelUnknown, VersionUnknown
from perennial.rollout.requests import Rollback
from perennial.rollout.undo import Undo
from perennial.serving.envelope import Reply, json_reply
from perennial.serving.errors import RequestRefused

_logger = Logger(service="deploy")


def answer(event: Event, undo_of: Callable[[str], Undo]) -> Reply:
    """The reply to one request (payload format 2.0), whatever happens (see perennial.door).

    `undo_of` raises ModelUnknown for a model that the catalog does not have.
    """
    return answered(lambda: _answer(event, undo_of), _logger)


def _answer(event: Event, undo_of: Callable[[str], Undo]) -> Reply:
    at = datetime.fromtimestamp(event["requestContext"]["timeEpoch"] / 1000, UTC)
    parts = str(event.get("rawPath", "")).strip("/").split("/")
    match (event["requestContext"]["http"]["method"], *parts):
        case ("POST", "rollbacks", model):
            by, asked = caller(event), read_body(event, Rollback)
            try:
                return json_reply(200, undo_of(model).take_back(asked, by.arn, at))
            except (ModelUnknown, VersionUnknown) as error:
                raise RequestRefused(str(error), 404) from error
    raise RequestRefused(f"there is nothing at /{'/'.join(parts)[:200]}", 404)
