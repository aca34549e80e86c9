"""AWS::Events::*. Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Events.html."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from infra.local.resources.base import Handler, Made, Place, Properties, ResourceError, document, gone_is_fine, pick


class EventBus(Handler):
    """A bus of its own."""

    type = "AWS::Events::EventBus"
    properties = frozenset({"Name", "Description", "Tags"})
    replaces = frozenset({"Name"})
    named_by = "Name"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the bus."""
        arn = place.call("events", "create_event_bus", **props)["EventBusArn"]
        return Made(props["Name"], {"Arn": arn, "Name": props["Name"]})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change tags; a description is only told."""
        place.retag("events", made.attributes["Arn"], props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the bus."""
        gone_is_fine(place, "events", "delete_event_bus", Name=made.ref)


class Rule(Handler):
    """A rule with its targets."""

    type = "AWS::Events::Rule"
    properties = frozenset(
        {"Name", "EventBusName", "Description", "EventPattern", "ScheduleExpression", "State", "Tags", "Targets"}
    )
    replaces = frozenset({"Name", "EventBusName"})
    named_by = "Name"

    def create(self, place: Place, props: Properties) -> Made:
        """Put the rule, then its targets; a rule whose targets are refused is taken away again."""
        name = props.get("Name") or place.name(64)
        bus = props.get("EventBusName")
        arn = self._put(place, name, props, pick(props, "Tags"))
        ref = f"{_bus_name(bus)}|{name}" if bus else name
        with self.finishing(place, Made(ref, {"Arn": arn}, {"name": name}), props) as made:
            _put_targets(place, name, bus, props.get("Targets", []))
        return made

    def _put(self, place: Place, name: str, props: Properties, tags: Properties) -> str:
        arn: str = place.call(
            "events",
            "put_rule",
            Name=name,
            EventPattern=document(props.get("EventPattern")),
            **pick(props, "EventBusName", "Description", "ScheduleExpression", "State"),
            **tags,
        )["RuleArn"]
        return arn

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put the rule and its targets anew, and remove targets that are gone."""
        name, bus = made.keep["name"], props.get("EventBusName")
        self._put(place, name, props, {})
        gone = {target["Id"] for target in old.get("Targets", [])} - {t["Id"] for t in props.get("Targets", [])}
        if gone:
            place.call("events", "remove_targets", Rule=name, EventBusName=bus, Ids=sorted(gone))
        _put_targets(place, name, bus, props.get("Targets", []))
        place.retag("events", made.attributes["Arn"], props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Remove the targets and the rule."""
        name, bus = made.keep["name"], props.get("EventBusName")
        found = place.call("events", "list_targets_by_rule", Rule=name, EventBusName=bus)["Targets"]
        if found:
            place.call("events", "remove_targets", Rule=name, EventBusName=bus, Ids=[t["Id"] for t in found])
        gone_is_fine(place, "events", "delete_rule", Name=name, EventBusName=bus)


def _bus_name(bus: str) -> str:
    return bus.rpartition("/")[2]


def _put_targets(place: Place, rule: str, bus: str | None, targets: list[Any]) -> None:
    if not targets:
        return
    reply = place.call("events", "put_targets", Rule=rule, EventBusName=bus, Targets=targets)
    if reply.get("FailedEntryCount"):
        reasons = ", ".join(f"{entry['TargetId']}: {entry['ErrorMessage']}" for entry in reply["FailedEntries"])
        raise ResourceError(f"Targets: {reasons}")


class EventBusPolicy(Handler):
    """One statement of the policy of a bus."""

    type = "AWS::Events::EventBusPolicy"
    properties = frozenset({"EventBusName", "StatementId", "Statement"})
    replaces = frozenset({"EventBusName", "StatementId"})

    def create(self, place: Place, props: Properties) -> Made:
        """Add the statement to the policy that the bus has."""
        statement = props["Statement"] | {"Sid": props["StatementId"]}
        self._rewrite(place, props, [statement])
        return Made(f"{props.get('EventBusName', 'default')}|{props['StatementId']}")

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put the statement in place of the old one."""
        return self.create(place, props)

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Take the statement away."""
        with contextlib.suppress(place.cloud.client("events").exceptions.ResourceNotFoundException):
            self._rewrite(place, props, [])

    @staticmethod
    def _rewrite(place: Place, props: Properties, statements: list[Any]) -> None:
        bus = props.get("EventBusName", "default")
        policy = json.loads(place.call("events", "describe_event_bus", Name=bus).get("Policy") or "{}")
        others = [item for item in policy.get("Statement", []) if item.get("Sid") != props["StatementId"]]
        if others + statements:
            whole = {"Version": "2012-10-17", "Statement": others + statements}
            place.call("events", "put_permission", EventBusName=bus, Policy=json.dumps(whole))
        else:
            place.call("events", "remove_permission", EventBusName=bus, RemoveAllPermissions=True)
