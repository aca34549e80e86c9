"""Stage approve over HTTPS, for callers that IAM let in.

    GET /approvals      POST /approvals/<model>/<version> {"decision": "approve" | "reject", "reason": "…"}
    POST /promotions {"model": "…", "run": "…"}

Who calls is what API Gateway verified, never what a body says. A promotion starts here, so that its author is known.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ValidationError

from perennial.approval.desk import Desk
from perennial.approval.principal import caller
from perennial.approval.requests import Decided, Promotion, Which
from perennial.errors import PerennialError, Retriable
from perennial.serving.envelope import Reply, error_reply, json_reply
from perennial.serving.errors import RequestRefused
from perennial.serving.strict_json import parse
from perennial.storage.workflows import Workflow

MAX_BODY = 16 * 1024
_logger = Logger(service="approve")

Event = Mapping[str, Any]
Asked = TypeVar("Asked", bound=BaseModel)


@dataclass(frozen=True)
class Door:
    """Answers API Gateway's events. `promotion` is the workflow of that name."""

    desk: Desk
    promotion: Workflow

    def handle(self, event: Event) -> Reply:
        """The reply to one request, whatever happens: what the caller did wrong is a 4xx, a passing fault 503, any
        other named reason 502.
        """
        context = event["requestContext"]
        at = datetime.fromtimestamp(context["timeEpoch"] / 1000, UTC)
        parts = str(event.get("rawPath", "")).strip("/").split("/")
        try:
            match (context["http"]["method"], *parts):
                case ("GET", "approvals"):
                    return json_reply(200, {"approvals": self.desk.waiting(at)})
                case ("POST", "approvals", model, version):
                    return self._decide(event, model, version, at)
                case ("POST", "promotions"):
                    return self._promote(event, at)
            raise RequestRefused(f"there is nothing at /{'/'.join(parts)[:200]}", 404)
        except RequestRefused as refused:
            return error_reply(refused.status, str(refused))
        except Retriable as error:
            return error_reply(503, f"try again: {error}", {"retry-after": "1"})
        except PerennialError as error:  # not the caller's: a person has to put it right
            told = f"{type(error).__name__}: {error}"
            _logger.exception("failed", extra={"cause": told})
            return error_reply(502, told)

    def _decide(self, event: Event, model: str, version: str, at: datetime) -> Reply:
        by = caller(event)
        try:
            which = Which(model=model, version=version)
        except ValidationError as error:
            raise RequestRefused(f"there is no version {version[:40]!r} of model {model[:100]!r}", 404) from error
        asked = read_body(event, Decided)
        return json_reply(200, self.desk.decide(by, which.model, int(which.version), asked.decision, asked.reason, at))

    def _promote(self, event: Event, at: datetime) -> Reply:
        by, asked = caller(event), read_body(event, Promotion)
        self.desk.approvals.add_author(asked.model, asked.run, by)
        name = f"{asked.run[:60]}-{int(at.timestamp())}"
        self.promotion.start(name, {"model": asked.model, "run": asked.run})
        return json_reply(200, {"execution": self.promotion.execution_arn(name), "author": by.arn})


def read_body(event: Event, kind: type[Asked]) -> Asked:
    """The body of a request as `kind`. Raises RequestRefused (400, 413)."""
    text = event.get("body") or ""
    if len(text) > MAX_BODY:
        raise RequestRefused(f"the body is larger than {MAX_BODY:,} bytes", 413)
    if event.get("isBase64Encoded"):
        try:
            text = base64.b64decode(text, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RequestRefused("the body is not text in UTF-8") from error
    try:
        return kind.model_validate(parse(text))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise RequestRefused(f"{'.'.join(map(str, found['loc'])) or 'the body'}: {found['msg']}") from error
