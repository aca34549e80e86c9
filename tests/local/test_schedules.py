"""Schedules fire on the cloud's clock: expressions, time zones, order, retries, and what is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.cloud import LocalCloud
from infra.local.context import Cloud
from infra.local.schedule_expressions import Cron, InvalidExpression, parse, parse_rule_expression
from infra.local.schedules import SchedulerService
from tests.local import made
from tests.local.stub_functions import Refusal, StubFunctions, stubbed

HOUR = 3600


@pytest.fixture
def functions(local_cloud: LocalCloud) -> Iterator[StubFunctions]:
    with stubbed(local_cloud) as stubs:
        yield stubs


@pytest.fixture
def service(local_cloud: LocalCloud) -> SchedulerService:
    (found,) = [each for each in local_cloud.services if isinstance(each, SchedulerService)]
    return found


@pytest.fixture
def role(cloud: Cloud) -> str:
    return made.role(cloud, "scheduler.amazonaws.com", ("lambda:InvokeFunction", "*"), ("states:StartExecution", "*"))


class Schedules:
    """Makes schedules and removes them after the test, so that no later test drives them."""

    def __init__(self, cloud: Cloud, role: str) -> None:
        self._client = cloud.client("scheduler")
        self._role = role
        self.names: list[str] = []

    def add(self, expression: str, target_arn: str, target: dict[str, Any] | None = None, **more: Any) -> str:
        name = made.name("schedule")
        arn: str = self._client.create_schedule(
            Name=name,
            ScheduleExpression=expression,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": target_arn, "RoleArn": self._role, **(target or {})},
            **more,
        )["ScheduleArn"]
        self.names.append(name)
        return arn

    def close(self) -> None:
        for name in self.names:
            try:
                self._client.delete_schedule(Name=name)
            except self._client.exceptions.ResourceNotFoundException:
                continue


@pytest.fixture
def schedules(cloud: Cloud, role: str) -> Iterator[Schedules]:
    made_here = Schedules(cloud, role)
    yield made_here
    made_here.close()


def drive(cloud: Cloud, service: SchedulerService, seconds: float) -> None:
    cloud.clock.advance(seconds)
    assert service.settle()


# --- firing


def test_a_rate_fires_once_per_period_in_order(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    stub = functions.add()
    text = json.dumps({"action": "schedule", "as_of": "<aws.scheduler.scheduled-time>"})
    begin = cloud.clock.now()
    schedules.add("rate(1 hour)", stub.arn, {"Input": text})
    drive(cloud, service, 5 * HOUR + 60)
    times = [datetime.fromisoformat(event["as_of"]) for event in stub.events]
    assert times == sorted(times)
    assert [round((time - begin).total_seconds() / HOUR) for time in times] == [1, 2, 3, 4, 5]


def test_two_schedules_fire_in_the_order_of_their_times(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    seen: list[Any] = []
    stub = functions.add(seen.append)
    schedules.add("rate(2 hours)", stub.arn, {"Input": '{"n":2,"at":"<aws.scheduler.scheduled-time>"}'})
    schedules.add("rate(3 hours)", stub.arn, {"Input": '{"n":3,"at":"<aws.scheduler.scheduled-time>"}'})
    drive(cloud, service, 6.5 * HOUR)
    assert [event["n"] for event in seen[:3]] == [2, 3, 2]
    assert sorted(event["n"] for event in seen[3:]) == [2, 3]
    assert [event["at"] for event in seen] == sorted(event["at"] for event in seen)


def test_a_month_of_days_passes_in_one_drive(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    stub = functions.add()
    schedules.add(
        "cron(30 6 * * ? *)",
        stub.arn,
        {"Input": '{"at":"<aws.scheduler.scheduled-time>"}'},
        ScheduleExpressionTimezone="Europe/Berlin",
    )
    drive(cloud, service, 30 * 24 * HOUR)
    local = [datetime.fromisoformat(event["at"]) for event in stub.events]
    assert len(local) == 30
    assert all((later - earlier) >= timedelta(hours=23) for earlier, later in itertools.pairwise(local))


def test_a_one_time_schedule_fires_once_and_is_deleted_if_it_asks_for_it(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    stub = functions.add()
    when = (cloud.clock.now() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S")
    schedules.add(f"at({when})", stub.arn, {"Input": "{}"}, ActionAfterCompletion="DELETE")
    drive(cloud, service, 1 * HOUR)
    assert stub.events == []
    drive(cloud, service, 24 * HOUR)
    assert stub.events == [{}]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        cloud.client("scheduler").get_schedule(Name=schedules.names[0])


def test_start_and_end_date_bound_the_firings(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    stub, now = functions.add(), cloud.clock.now().replace(microsecond=0)
    begin, end = now + timedelta(hours=10), now + timedelta(hours=12, minutes=30)
    text = '{"at":"<aws.scheduler.scheduled-time>"}'
    schedules.add("rate(1 hour)", stub.arn, {"Input": text}, StartDate=begin, EndDate=end)
    drive(cloud, service, 48 * HOUR)
    times = [datetime.fromisoformat(event["at"]) for event in stub.events]
    assert times == [begin + timedelta(hours=n) for n in range(3)]


def test_a_disabled_changed_or_deleted_schedule_does_not_fire_as_before(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules, role: str
) -> None:
    stub, client = functions.add(), cloud.client("scheduler")
    schedules.add("rate(1 hour)", stub.arn, {"Input": "{}"}, State="DISABLED")
    drive(cloud, service, 3 * HOUR)
    assert stub.events == []
    changed = {
        "Name": schedules.names[0],
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": stub.arn, "RoleArn": role, "Input": "{}"},
    }
    client.update_schedule(**changed, ScheduleExpression="rate(2 hours)", State="ENABLED")
    drive(cloud, service, 4 * HOUR + 60)
    assert len(stub.events) == 2
    client.delete_schedule(Name=schedules.names[0])
    drive(cloud, service, 8 * HOUR)
    assert len(stub.events) == 2


def test_the_context_attributes_are_filled_in(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    stub = functions.add()
    names = ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")
    text = json.dumps({name: f"<aws.scheduler.{name}>" for name in names})
    arn = schedules.add("rate(1 hour)", stub.arn, {"Input": text})
    drive(cloud, service, HOUR + 60)
    (event,) = stub.events
    assert event["schedule-arn"] == arn
    assert event["scheduled-time"].endswith("Z")
    assert event["attempt-number"] == "1"
    assert event["execution-id"]


def test_without_an_input_the_target_gets_a_scheduled_event(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    stub = functions.add()
    arn = schedules.add("rate(1 hour)", stub.arn)
    drive(cloud, service, HOUR + 60)
    (event,) = stub.events
    assert (event["source"], event["detail-type"], event["resources"]) == ("aws.scheduler", "Scheduled Event", [arn])


def test_a_state_machine_is_started(cloud: Cloud, service: SchedulerService, schedules: Schedules) -> None:
    machine = made.machine(cloud)
    schedules.add("rate(1 day)", machine, {"Input": '{"n":1}'})
    drive(cloud, service, 24 * HOUR + 60)
    assert [each["input"] for each in made.executions(cloud, machine)] == [{"n": 1}]


def test_a_failing_target_is_retried_with_its_attempt_number_then_dead_lettered(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    def refuse(event: Any) -> None:
        raise Refusal(429, "TooManyRequestsException")

    stub, dead = functions.add(refuse), made.queue(cloud, None)
    allowed = ("lambda:InvokeFunction", stub.arn), ("sqs:SendMessage", dead)
    role = made.role(cloud, "scheduler.amazonaws.com", *allowed)
    policy = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600}
    target = {
        "Input": '{"attempt":"<aws.scheduler.attempt-number>"}',
        "RetryPolicy": policy,
        "DeadLetterConfig": {"Arn": dead},
        "RoleArn": role,
    }
    arn = schedules.add("rate(1 day)", stub.arn, target)
    drive(cloud, service, 24 * HOUR + 60)
    drive(cloud, service, 1800)
    assert [event["attempt"] for event in stub.events] == ["1", "2", "3"]
    (message,) = made.received(cloud, dead)
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (told["SCHEDULE_ARN"], told["TARGET_ARN"]) == (arn, stub.arn)
    assert (told["EXHAUSTED_RETRY_CONDITION"], told["RETRY_ATTEMPTS"]) == ("MaximumRetryAttempts", "2")
    assert told["SCHEDULED_TIME"].endswith("Z")


def test_a_role_that_may_not_invoke_the_target_invokes_nothing(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    stub = functions.add()
    powerless = made.role(cloud, "scheduler.amazonaws.com", ("lambda:InvokeFunction", stub.arn + ":other"))
    stranger = made.role(cloud, "events.amazonaws.com", ("lambda:InvokeFunction", stub.arn))
    for each in (powerless, stranger):
        schedules.add("rate(1 hour)", stub.arn, {"RoleArn": each})
    drive(cloud, service, HOUR + 60)
    assert stub.events == []


def test_a_role_may_trust_the_group_of_schedules(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions, schedules: Schedules
) -> None:
    stub = functions.add()
    role = made.role(cloud, "scheduler.amazonaws.com", ("lambda:InvokeFunction", stub.arn))
    groups = {name: f"arn:aws:scheduler:eu-west-1:123456789012:schedule-group/{name}" for name in ("default", "other")}

    def trust(group: str) -> None:
        condition = {"StringEquals": {"aws:SourceAccount": "123456789012", "aws:SourceArn": groups[group]}}
        principal = {"Service": "scheduler.amazonaws.com"}
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition}
        cloud.client("iam").update_assume_role_policy(
            RoleName=role.rpartition("/")[2],
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    schedules.add("rate(1 hour)", stub.arn, {"Input": "{}", "RoleArn": role})
    trust("other")
    drive(cloud, service, HOUR + 60)
    assert stub.events == []
    trust("default")
    drive(cloud, service, HOUR)
    assert stub.events == [{}]


def test_a_scheduled_rule_on_the_default_bus_fires(
    cloud: Cloud, service: SchedulerService, functions: StubFunctions
) -> None:
    stub, client, name = functions.add(), cloud.client("events"), made.name("rule")
    arn = client.put_rule(Name=name, ScheduleExpression="rate(2 hours)")["RuleArn"]
    stub.allowed.append(("events.amazonaws.com", arn))
    client.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": stub.arn}])
    drive(cloud, service, 4 * HOUR + 60)
    client.disable_rule(Name=name)
    drive(cloud, service, 4 * HOUR)
    assert [event["detail-type"] for event in stub.events] == ["Scheduled Event"] * 2
    first, second = (datetime.fromisoformat(event["time"]) for event in stub.events)
    assert second - first == timedelta(hours=2)
    assert stub.events[0]["source"] == "aws.events"
    assert stub.events[0]["resources"] == [arn]
    client.remove_targets(Rule=name, Ids=["1"])
    client.delete_rule(Name=name)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"ScheduleExpression": "rate(0 hours)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpression": "cron(0 0 * * * *)"}, "must be"),
        ({"ScheduleExpressionTimezone": "Mars/Base"}, "time zone"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}}, "FlexibleTimeWindow"),
        ({"Target": {"Arn": "arn:aws:ecs:eu-west-1:1:cluster/c", "RoleArn": "r" * 20}}, "not imitated"),
    ],
)
def test_what_would_not_work_is_refused(cloud: Cloud, role: str, changed: dict[str, Any], reason: str) -> None:
    asked: dict[str, Any] = {
        "Name": made.name("schedule"),
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:lambda:eu-west-1:123456789012:function:f", "RoleArn": role},
    }
    with pytest.raises(ClientError, match=reason):
        cloud.client("scheduler").create_schedule(**asked | changed)


# --- expressions (pure)


def times(expression: str, begin: str, count: int, zone: str = "UTC") -> list[str]:
    moment = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    parsed, start, found = parse(expression, zone), moment, []
    for _ in range(count):
        due = parsed.after(moment, start)
        if due is None:
            break
        found.append(due.strftime("%Y-%m-%dT%H:%M"))
        moment = due
    return found


@pytest.mark.parametrize(
    ("expression", "begin", "expected"),
    [
        ("cron(15 10 * * ? *)", "2026-01-01T10:15:00", ["2026-01-02T10:15", "2026-01-03T10:15"]),
        ("cron(0/15 9-10 * * ? *)", "2026-01-01T09:40:00", ["2026-01-01T09:45", "2026-01-01T10:00"]),
        ("cron(0 18 ? * MON-FRI *)", "2026-01-02T19:00:00", ["2026-01-05T18:00", "2026-01-06T18:00"]),
        ("cron(0 0 1 1,7 ? *)", "2026-01-01T00:00:00", ["2026-07-01T00:00", "2027-01-01T00:00"]),
        ("cron(0 8 L * ? *)", "2026-01-31T09:00:00", ["2026-02-28T08:00", "2026-03-31T08:00"]),
        ("cron(0 8 15W * ? *)", "2026-08-01T00:00:00", ["2026-08-14T08:00", "2026-09-15T08:00"]),
        ("cron(0 8 LW * ? *)", "2026-01-01T00:00:00", ["2026-01-30T08:00", "2026-02-27T08:00"]),
        ("cron(0 8 ? * 6#3 *)", "2026-01-01T00:00:00", ["2026-01-16T08:00", "2026-02-20T08:00"]),
        ("cron(0 8 ? * 6L *)", "2026-01-01T00:00:00", ["2026-01-30T08:00", "2026-02-27T08:00"]),
        ("cron(0 8 29 2 ? *)", "2026-01-01T00:00:00", ["2028-02-29T08:00", "2032-02-29T08:00"]),
        ("cron(0 8 1 1 ? 2027)", "2026-01-01T00:00:00", ["2027-01-01T08:00"]),
        ("at(2026-05-01T12:00:00)", "2026-01-01T00:00:00", ["2026-05-01T12:00"]),
        ("rate(90 minutes)", "2026-01-01T00:00:00", ["2026-01-01T01:30", "2026-01-01T03:00"]),
    ],
)
def test_expressions_name_their_times(expression: str, begin: str, expected: list[str]) -> None:
    assert times(expression, begin, 2) == expected


def test_a_time_zone_moves_with_its_summer_time() -> None:
    # Berlin: +1 until 29 March 2026, 02:00, then +2; 02:30 does not exist that day
    begin = "2026-03-28T00:00:00"
    noon = times("cron(0 12 * * ? *)", begin, 3, "Europe/Berlin")
    assert noon == ["2026-03-28T11:00", "2026-03-29T10:00", "2026-03-30T10:00"]
    night = times("cron(30 2 * * ? *)", begin, 2, "Europe/Berlin")
    assert night == ["2026-03-28T01:30", "2026-03-30T00:30"]


@pytest.mark.parametrize(
    "text",
    [
        "rate(1 week)",
        "rate(-1 day)",
        "cron(0 0 * *)",
        "cron(60 0 * * ? *)",
        "cron(0 0 ? * ? *)",
        "cron(0 0 1 * MON *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 ? * XYZ *)",
        "cron(0/0 0 * * ? *)",
        "at(2026-13-01T00:00:00)",
        "every day",
    ],
)
def test_an_expression_that_aws_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(InvalidExpression):
        parse(text)


def test_rules_take_no_at_and_want_the_unit_to_agree() -> None:
    for text in ("at(2026-01-01T00:00:00)", "rate(1 days)", "rate(5 minute)"):
        with pytest.raises(InvalidExpression):
            parse_rule_expression(text)
    parse_rule_expression("rate(5 minutes)")


@settings(deadline=None)  # the machine may be busy
@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_the_next_time_is_the_first_that_fits(minute: int, hour: int, moment: datetime) -> None:
    parsed = parse(f"cron({minute} {hour} ? * MON,THU *)")
    assert isinstance(parsed, Cron)
    due = parsed.after(moment, moment)
    assert due is not None
    assert due > moment
    assert (due.minute, due.hour) == (minute, hour)
    assert due.isoweekday() in (1, 4)
    assert due - moment <= timedelta(days=7)
