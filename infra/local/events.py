"""EventBridge: buses and rules are moto's records; matching, transformation and delivery are done here.

moto's own delivery reaches queues and log groups only, on the caller's thread. Here PutEvents and S3 put an event on
an agenda and return; a worker matches it against the rules and delivers it to the real targets, with retries on the
cloud's clock and a dead-letter queue at their end.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import moto.s3.notifications
from moto.events.models import EventsBackend, events_backends
from werkzeug import Request, Response

from infra.local import aws_json, event_patterns
from infra.local.agenda import Agenda
from infra.local.aws_json import ApiError
from infra.local.context import Cloud
from infra.local.event_targets import kind_of
from infra.local.object_events import Sequencer, object_event
from infra.local.rule_targets import RuleTargets, iso
from infra.local.schedule_expressions import InvalidExpression, parse_rule_expression

MOST_ENTRIES = 10
# https://aws.amazon.com/blogs/compute/more-room-to-build-serverless-services-now-support-payloads-up-to-1-mb/
LARGEST_REQUEST = 1024 * 1024
MOST_TARGETS = 5
WORKERS = 4
NOT_IMITATED = frozenset({"CreateArchive", "StartReplay", "CreateApiDestination", "CreateConnection", "CreateEndpoint"})


class EventsService:
    """Answers PutEvents, checks PutRule and PutTargets, and carries events to their targets."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._agenda = Agenda(cloud.clock, "events", WORKERS)
        self._rules = RuleTargets(cloud, self._agenda, self._route)
        self._sequencer = Sequencer(cloud.clock)
        self._moto_send = moto.s3.notifications._send_event_bridge_message
        moto.s3.notifications._send_event_bridge_message = self._object_changed
        cloud.service_event = self._service_event

    def handle(self, request: Request) -> Response | None:
        """Answer PutEvents and TestEventPattern, refuse what AWS would refuse and moto would not."""
        name = aws_json.operation(request, "AWSEvents")
        if name is None:
            return None
        try:
            asked = aws_json.arguments(request)
            if name in NOT_IMITATED:
                raise ApiError("UnknownOperationException", f"{name} is not imitated by the local cloud")
            if name == "PutRule":
                _check_rule(asked)
            elif name == "PutTargets":
                self._check_targets(asked)
            elif name == "PutEvents":
                return aws_json.reply(self._put_events(asked))
            elif name == "TestEventPattern":
                return aws_json.reply({"Result": _test_pattern(asked)})
        except ApiError as error:
            return aws_json.refusal(error)
        return None

    def settle(self, timeout: float = 10.0) -> bool:
        """Wait (real seconds) until every event is matched and delivered or waits for a retry."""
        return self._agenda.settle(timeout)

    def stop(self) -> None:
        """Deliver nothing more and give S3 back to moto."""
        moto.s3.notifications._send_event_bridge_message = self._moto_send
        self._agenda.stop()

    @property
    def _backend(self) -> EventsBackend:
        return events_backends[self._cloud.account][self._cloud.region]

    def _put_events(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        entries = asked.get("Entries") or []
        if not 1 <= len(entries) <= MOST_ENTRIES:
            bound = "greater than or equal to 1" if not entries else f"less than or equal to {MOST_ENTRIES}"
            raise ApiError(
                "ValidationException",
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: "
                f"Member must have length {bound}",
            )
        if sum(map(entry_size, entries)) > LARGEST_REQUEST:
            raise ApiError("ValidationException", "Total size of the entries in the request is over the limit.")
        results = [self._accept(entry) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _accept(self, entry: Mapping[str, Any]) -> dict[str, str]:
        bus = str(entry.get("EventBusName") or "default").rpartition("/")[2]
        problem = _problem(entry)
        if problem is None and bus not in self._backend.event_buses:
            problem = ("ResourceNotFoundException", f"Event bus {bus} does not exist.")
        if problem is not None:
            return {"ErrorCode": problem[0], "ErrorMessage": problem[1]}
        when = entry.get("Time")
        event = self._event(
            bus,
            str(entry["Source"]),
            {
                "detail-type": entry["DetailType"],
                "resources": entry.get("Resources") or [],
                "detail": json.loads(entry["Detail"]),
            },
            self._cloud.clock.now() if when is None else datetime.fromtimestamp(float(when), UTC),
        )
        return {"EventId": event["id"]}

    def _event(self, bus: str, source: str, what: Mapping[str, Any], when: datetime) -> dict[str, Any]:
        """Put an event on the bus; returns it as rules see it."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": what["detail-type"],
            "source": source,
            "account": self._cloud.account,
            "time": iso(when),
            "region": self._cloud.region,
            "resources": what["resources"],
            "detail": what["detail"],
        }
        arrived = iso(self._cloud.clock.now())
        self._agenda.soon(lambda: self._route(bus, event, arrived))
        return event

    def _object_changed(self, account_id: str, bucket: Any, event_name: Any, key: Any) -> None:
        """Called by moto's S3, on the thread of the caller's request, for a bucket with EventBridge on."""
        what = object_event(account_id, bucket, event_name, key, self._sequencer.next())
        if what is not None:
            self._service_event("aws.s3", what)

    def _service_event(self, source: str, what: Mapping[str, Any]) -> None:
        self._event("default", source, what, self._cloud.clock.now())

    def _route(self, bus: str, event: Mapping[str, Any], arrived: str) -> None:
        found = self._backend.event_buses.get(bus)
        for rule in list(found.rules.values()) if found else []:
            if rule.state != "ENABLED" or not rule.event_pattern.dump():
                continue
            if event_patterns.matches(rule.event_pattern.get_pattern(), event):
                self._rules.send(rule.arn, rule.targets, event, arrived)

    def _check_targets(self, asked: Mapping[str, Any]) -> None:
        targets = asked.get("Targets") or []
        for target in targets:
            _check_target(target)
        there = {target["Id"] for target in self._targets_of(asked)} | {target["Id"] for target in targets}
        if len(there) > MOST_TARGETS:
            raise ApiError("LimitExceededException", "The requested resource exceeds the maximum number allowed.")

    def _targets_of(self, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        bus = self._backend.event_buses.get(str(asked.get("EventBusName") or "default").rpartition("/")[2])
        rule = bus.rules.get(str(asked.get("Rule"))) if bus else None
        yield from rule.targets if rule else []


def entry_size(entry: Mapping[str, Any]) -> int:
    """Bytes of a PutEvents entry as AWS counts them.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
    """
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *(entry.get("Resources") or [])]
    return sum(len(str(text).encode()) for text in texts if text) + (14 if entry.get("Time") is not None else 0)


def _problem(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return "InvalidArgument", reason
    if str(entry["Source"]).startswith("aws."):
        return "NotAuthorizedForSourceException", "Not authorized for the source."
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        detail = None
    return None if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")


def _check_rule(asked: Mapping[str, Any]) -> None:
    if text := asked.get("EventPattern"):
        _pattern(text)
    if expression := asked.get("ScheduleExpression"):
        try:
            parse_rule_expression(expression)
        except InvalidExpression as error:
            raise ApiError("ValidationException", "Parameter ScheduleExpression is not valid.") from error


def _pattern(text: str) -> dict[str, Any]:
    try:
        return event_patterns.parse(text)
    except event_patterns.InvalidPattern as error:
        raise ApiError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {error}") from error


def _test_pattern(asked: Mapping[str, Any]) -> bool:
    try:
        event = json.loads(asked["Event"])
    except (KeyError, ValueError) as error:
        raise ApiError("ValidationException", "Parameter Event is not valid.") from error
    return event_patterns.matches(_pattern(asked.get("EventPattern", "")), event)


def _check_target(target: Mapping[str, Any]) -> None:
    arn = str(target.get("Arn", ""))
    if kind_of(arn) is None and ":event-bus/" not in arn:
        raise ApiError("ValidationException", f"a target like {arn} is not imitated by the local cloud")
    if kind_of(arn) == "states" and not target.get("RoleArn"):
        raise ApiError("ValidationException", f"RoleArn is required for target {arn}.")
    if sum(name in target for name in ("Input", "InputPath", "InputTransformer")) > 1:
        reason = f"Only one of Input, InputPath, or InputTransformer must be provided for target {target.get('Id')}."
        raise ApiError("ValidationException", reason)
