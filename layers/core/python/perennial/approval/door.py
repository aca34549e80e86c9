"""Stage approve over HTTPS, for callers that IAM let in.

    GET /approvals      POST /approvals/<model>/<version> {"decision": "approve" | "reject", "reason": "…"}
    POST /promotions {"model": "…", "run": "…"}

Who calls is what API Gateway verified, never what a body says. A promotion starts here, so that its author is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from perennial.approval.desk import Desk
from perennial.approval.principal import caller
from perennial.approval.requests import Decided, Promotion, Which
from perennial.door import Event, answered, read_body
from perennial.serving.envelope import Reply, json_reply
from perennial.serving.errors import RequestRefused
from perennial.storage.workflows import Workflow

_logger = Logger(service="approve")


@dataclass(frozen=True)
class Door:
    """Answers API Gateway's events. `promotion` is the workflow of that name."""

    desk: Desk
    promotion: Workflow

    def handle(self, event: Event) -> Reply:
        """The reply to one request, whatever happens (see perennial.door)."""
        return answered(lambda: self._answer(event), _logger)

    def _answer(self, event: Event) -> Reply:
        context = event["requestContext"]
        at = datetime.fromtimestamp(context["timeEpoch"] / 1000, UTC)
        parts = str(event.get("rawPath", "")).strip("/").split("/")
        match (context["http"]["method"], *parts):
            case ("GET", "approvals"):
                return json_reply(200, {"approvals": self.desk.waiting(at)})
            case ("POST", "approvals", model, version):
                return self._decide(event, model, version, at)
            case ("POST", "promotions"):
                return self._promote(event, at)
        raise RequestRefused(f"there is nothing at /{'/'.join(parts)[:200]}", 404)

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
