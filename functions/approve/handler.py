"""Stage approve: a workflow asks for a person's approval; people list what waits, approve, reject and promote."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger

from perennial.approval.approvals import Approvals
from perennial.approval.desk import Desk
from perennial.approval.door import Door
from perennial.events import ApproveInput, ApproveOutput
from perennial.governance.ledger import Ledger
from perennial.registry import Registry
from perennial.settings import ApproveSettings
from perennial.stage import InputInvalid, stage
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.storage.topic import Topic
from perennial.storage.workflows import Workflow, resume

_logger = Logger(service="approve")


def _desk(settings: ApproveSettings) -> Desk:
    items = Items(settings.registry_table)
    return Desk(
        environment=settings.environment,
        days=settings.approval_days,
        approvals=Approvals(Items(settings.approvals_table)),
        registry=Registry(items),
        ledger=Ledger(Objects(settings.ledger_bucket), items),
        bus=Bus(settings.bus),
        topic=Topic(settings.alerts_topic),
        resume=resume,
    )


def run(message: ApproveInput) -> ApproveOutput:
    """Do what a workflow asks."""
    desk, about = _desk(ApproveSettings.from_environment()), (message.model, message.version, message.execution)
    if message.action == "expire":
        return ApproveOutput(model=about[0], version=about[1], approved=desk.expire(*about, message.as_of))
    if message.token is None:
        raise InputInvalid("stage approve: action ask needs token, which the task waits with")
    return ApproveOutput(model=about[0], version=about[1], approved=desk.ask(*about, message.token, message.as_of))


_asked = stage("approve", ApproveInput, run)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A workflow's message, or an HTTP API request (payload format 2.0); each gets its answer."""
    if "requestContext" not in event:
        return _asked(event, context)
    settings = ApproveSettings.from_environment()
    reply = Door(_desk(settings), Workflow(settings.promotion_workflow)).handle(event)
    _logger.info("answered", extra={"path": event.get("rawPath"), "status": reply["statusCode"]})
    return reply
