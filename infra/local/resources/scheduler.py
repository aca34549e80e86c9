"""AWS::Scheduler::*.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Scheduler.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from infra.local.resources.base import Handler, Made, Place, Properties, changed, gone_is_fine, pick

SCHEDULE = (
    "GroupName",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "State",
    "FlexibleTimeWindow",
    "Target",
    "Description",
)


class Schedule(Handler):
    """A schedule with its target."""

    type = "AWS::Scheduler::Schedule"
    properties = frozenset({"Name", "StartDate", "EndDate", *SCHEDULE})
    replaces = frozenset({"Name"})
    named_by = "Name"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the schedule."""
        name = props.get("Name") or place.name(64)
        arn = place.call("scheduler", "create_schedule", Name=name, **_arguments(props))["ScheduleArn"]
        return Made(name, {"Arn": arn})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put the whole schedule anew, as UpdateSchedule does."""
        if changed(props, old, "GroupName"):
            return super().update(place, made, props, old)
        place.call("scheduler", "update_schedule", Name=made.ref, **_arguments(props))
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "scheduler", "delete_schedule", Name=made.ref, GroupName=props.get("GroupName"))


def _arguments(props: Properties) -> dict[str, Any]:
    dates = {name: datetime.fromisoformat(props[name]) for name in ("StartDate", "EndDate") if name in props}
    return pick(props, *SCHEDULE) | dates


class ScheduleGroup(Handler):
    """A group of schedules."""

    type = "AWS::Scheduler::ScheduleGroup"
    properties = frozenset({"Name", "Tags"})
    replaces = frozenset({"Name"})
    named_by = "Name"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the group."""
        name = props.get("Name") or place.name(64)
        arn = place.call("scheduler", "create_schedule_group", Name=name, **pick(props, "Tags"))["ScheduleGroupArn"]
        return Made(name, {"Arn": arn, "State": "ACTIVE"})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change tags."""
        place.retag("scheduler", made.attributes["Arn"], props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the group with its schedules."""
        gone_is_fine(place, "scheduler", "delete_schedule_group", Name=made.ref)
