"""EventBridge Scheduler, and the schedules of EventBridge rules: they fire when the cloud's clock gets there.

The records are moto's. One worker fires everything that is due in the order of the due times, so a clock that is
driven over several of them fires each once. Source:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule.html
"""

from __future__ import annotations

import functools
import json
import re
import secrets
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.events.models import EventsBackend, events_backends
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, scheduler_backends
from werkzeug import Request, Response

from infra.local import schedule_expressions
from infra.local.agenda import Agenda
from infra.local.context import Cloud
from infra.local.courier import Courier
from infra.local.event_inputs import dumps
from infra.local.event_targets import SCHEDULER, Parcel, Targets, dead_letter, kind_of
from infra.local.front import service_of
from infra.local.patches import Patches
from infra.local.permissions import Permissions
from infra.local.rule_targets import RuleTargets, iso
from infra.local.schedule_expressions import Expression, InvalidExpression, Once

_SCHEDULE = re.compile(r"^/schedules/[^/]+$")
_ATTRIBUTE = re.compile(r"<aws\.scheduler\.(schedule-arn|scheduled-time|execution-id)>")


@dataclass(frozen=True)
class _Plan:
    """A schedule as it was when its next time was computed; another one replaces it when any part changes."""

    arn: str
    told: tuple[Any, ...]  # what it was made from
    expression: Expression
    start: datetime
    end: datetime | None
    rule: bool

    def next(self, moment: datetime) -> datetime | None:
        found = self.expression.after(moment, self.start)
        return None if found is None or (self.end is not None and found > self.end) else found


class SchedulerService:
    """Fires schedules and scheduled rules; refuses what it would not do as AWS does."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._permissions = Permissions(cloud)
        self._agenda = Agenda(cloud.clock, "schedules")
        self._courier = Courier(self._agenda, Targets(cloud, self._permissions))
        self._rules = RuleTargets(cloud, self._agenda, lambda bus, event, arrived: None)
        self._plans: dict[str, _Plan] = {}
        self._lock = threading.RLock()
        self._patches = Patches()
        for name in ("create_schedule", "update_schedule", "delete_schedule", "delete_schedule_group"):
            self._patches.after(EventBridgeSchedulerBackend, name, self._replan)
        for name in ("put_rule", "enable_rule", "disable_rule", "delete_rule"):
            self._patches.after(EventsBackend, name, self._replan)

    def handle(self, request: Request) -> Response | None:
        """Refuse a schedule that AWS would refuse or that is not imitated; everything else is moto's."""
        if request.method not in ("POST", "PUT") or not _SCHEDULE.match(request.path):
            return None
        if service_of(request) != "scheduler":
            return None
        try:
            problem = _problem(json.loads(request.get_data() or b"{}"))
        except ValueError:
            problem = "the body is not JSON"
        if problem is None:
            return None
        headers = {"x-amzn-ErrorType": "ValidationException"}
        return Response(json.dumps({"Message": problem}), 400, headers, content_type="application/json")

    def settle(self, timeout: float = 10.0) -> bool:
        """Wait (real seconds) until everything that is due has fired."""
        return self._agenda.settle(timeout)

    def stop(self) -> None:
        """Fire nothing more."""
        self._patches.undo()
        self._agenda.stop()

    def _replan(self) -> None:
        """Bring the plans in line with moto's records: called after each change of one."""
        with self._lock:
            found = {plan.arn: plan for plan in self._described()}
            self._plans = {arn: plan for arn, plan in self._plans.items() if arn in found}
            for arn, plan in found.items():
                known = self._plans.get(arn)
                if known is None or known.told != plan.told:
                    self._plans[arn] = plan
                    self._expect(plan, self._cloud.clock.now())

    def _described(self) -> Iterator[_Plan]:
        now = self._cloud.clock.now()
        groups = scheduler_backends[self._cloud.account][self._cloud.region].schedule_groups
        for schedule in [each for group in groups.values() for each in group.schedules.values()]:
            if schedule.state == "ENABLED":
                yield _planned(schedule, now)
        for rule in list(
            events_backends[self._cloud.account][self._cloud.region].event_buses["default"].rules.values()
        ):
            if rule.scheduled_expression and rule.state == "ENABLED":
                expression = schedule_expressions.parse_rule_expression(rule.scheduled_expression)
                yield _Plan(rule.arn, (rule.scheduled_expression,), expression, _floor(now), None, rule=True)

    def _expect(self, plan: _Plan, moment: datetime) -> None:
        due = plan.next(moment)
        if due is not None:
            self._agenda.at(due.timestamp(), functools.partial(self._due, plan, due))
        else:
            # later and on another thread: this one may hold the front's lock of the service
            self._agenda.soon(functools.partial(self._completed, plan))

    def _due(self, plan: _Plan, due: datetime) -> None:
        with self._lock:
            if self._plans.get(plan.arn) is not plan:
                return  # changed or deleted since
        if plan.rule:
            self._fire_rule(plan.arn, due)
        else:
            self._fire(plan.arn, due)
        with self._lock:
            if self._plans.get(plan.arn) is plan:
                self._expect(plan, due)

    def _completed(self, plan: _Plan) -> None:
        """Nothing is left to fire: delete the schedule if it asks for it."""
        schedule = None if plan.rule else self._schedule(plan.arn)
        if schedule is not None and schedule.action_after_completion == "DELETE":
            self._cloud.client("scheduler").delete_schedule(GroupName=schedule.group_name, Name=schedule.name)

    def _schedule(self, arn: str) -> Schedule | None:
        group, name = arn.split(":schedule/")[1].split("/")
        found = scheduler_backends[self._cloud.account][self._cloud.region].schedule_groups.get(group)
        return found.schedules.get(name) if found else None

    def _fire(self, arn: str, due: datetime) -> None:
        schedule = self._schedule(arn)
        if schedule is None:
            return
        values = {"schedule-arn": arn, "scheduled-time": iso(due), "execution-id": secrets.token_hex(8)}
        text = schedule.target.get("Input") or dumps(self._event("aws.scheduler", arn, due, "{}"))
        payload = _ATTRIBUTE.sub(lambda found: values[found[1]], text)
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn}#{iso(due)}"))
        parcel = Parcel(dict(schedule.target), payload, arn, SCHEDULER, name)
        self._courier.send(parcel, functools.partial(self._lost, iso(due)))

    def _lost(self, due: str, parcel: Parcel, attributes: dict[str, str]) -> None:
        told = {"SCHEDULE_ARN": parcel.source, "SCHEDULED_TIME": due, "IS_PAYLOAD_TRUNCATED": "false"} | attributes
        dead_letter(self._cloud, self._permissions, parcel, parcel.payload, told)

    def _fire_rule(self, arn: str, due: datetime) -> None:
        rules = events_backends[self._cloud.account][self._cloud.region].event_buses["default"].rules
        rule = rules.get(arn.rpartition("/")[2])
        if rule is not None:
            event = self._event("aws.events", arn, due, {})
            self._rules.send(arn, rule.targets, event, iso(self._cloud.clock.now()))

    def _event(self, source: str, arn: str, due: datetime, detail: Any) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn}#{iso(due)}")),
            "detail-type": "Scheduled Event",
            "source": source,
            "account": self._cloud.account,
            "time": iso(due),
            "region": self._cloud.region,
            "resources": [arn],
            "detail": detail,
        }


def _floor(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _date(value: Any) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(float(value), UTC)


def _planned(schedule: Schedule, now: datetime) -> _Plan:
    expression = schedule_expressions.parse(schedule.schedule_expression, schedule.schedule_expression_timezone)
    begin, end = _date(schedule.start_date), _date(schedule.end_date)
    if isinstance(expression, Once):
        begin = end = None  # AWS ignores both for one-time schedules
    told = (schedule.schedule_expression, schedule.schedule_expression_timezone, begin, end)
    return _Plan(schedule.arn, told, expression, begin or _floor(now), end, rule=False)


def _problem(asked: Mapping[str, Any]) -> str | None:
    """What is wrong with a CreateSchedule or UpdateSchedule request."""
    text, zone = str(asked.get("ScheduleExpression", "")), asked.get("ScheduleExpressionTimezone") or "UTC"
    try:
        schedule_expressions.parse(text, zone)
    except InvalidExpression as error:
        return f"Invalid Schedule Expression {text}: {error}."
    if (asked.get("FlexibleTimeWindow") or {}).get("Mode") != "OFF":
        return "FlexibleTimeWindow other than OFF is not imitated by the local cloud"
    target = asked.get("Target") or {}
    if kind_of(str(target.get("Arn", ""))) not in ("lambda", "states", "sqs", "sns"):
        return f"a target like {target.get('Arn')} is not imitated by the local cloud"
    if not target.get("RoleArn"):
        return "Target.RoleArn is required"
    return None
