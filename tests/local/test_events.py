"""EventBridge of the local cloud: what goes in, which rules match, what the targets get, what becomes of the rest."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug import Request, Response

from infra.local import event_patterns
from infra.local.cloud import LocalCloud
from infra.local.context import Cloud
from infra.local.courier import delay
from infra.local.event_inputs import InvalidInput, target_input
from infra.local.events import LARGEST_REQUEST, EventsService
from tests.local import made
from tests.local.stub_functions import Refusal, StubFunctions, stubbed


@pytest.fixture
def functions(local_cloud: LocalCloud) -> Iterator[StubFunctions]:
    with stubbed(local_cloud) as stubs:
        yield stubs


@pytest.fixture
def bus(cloud: Cloud) -> str:
    found = made.name("bus")
    cloud.client("events").create_event_bus(Name=found)
    return found


@pytest.fixture
def service(local_cloud: LocalCloud) -> EventsService:
    (found,) = [each for each in local_cloud.services if isinstance(each, EventsService)]
    return found


def rule(cloud: Cloud, bus: str, *targets: dict[str, Any], pattern: dict[str, Any] | None = None) -> str:
    """The ARN of a new rule on the bus with these targets."""
    client, found = cloud.client("events"), made.name("rule")
    pattern = pattern or {"source": ["test"]}
    arn: str = client.put_rule(Name=found, EventBusName=bus, EventPattern=json.dumps(pattern))["RuleArn"]
    numbered = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    assert client.put_targets(Rule=found, EventBusName=bus, Targets=numbered)["FailedEntryCount"] == 0
    return arn


def put(cloud: Cloud, bus: str, detail: Any = None, **more: Any) -> str:
    entry = {"Source": "test", "DetailType": "Test", "Detail": json.dumps(detail or {}), "EventBusName": bus, **more}
    (answer,) = cloud.client("events").put_events(Entries=[entry])["Entries"]
    event_id: str = answer["EventId"]
    return event_id


def attributes(message: dict[str, Any]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}


# --- targets


def test_a_lambda_target_gets_the_whole_event(cloud: Cloud, bus: str, functions: StubFunctions) -> None:
    stub = functions.add()
    stub.allowed.append(("events.amazonaws.com", rule(cloud, bus, {"Arn": stub.arn})))
    sent = put(cloud, bus, {"n": 1}, Resources=["r"], Time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    (event,) = made.eventually(lambda: stub.events)
    assert event == {
        "version": "0",
        "id": sent,
        "detail-type": "Test",
        "source": "test",
        "account": "123456789012",
        "time": "2026-01-02T03:04:05Z",
        "region": "eu-west-1",
        "resources": ["r"],
        "detail": {"n": 1},
    }


def test_targets_are_listed_as_they_were_put(cloud: Cloud, bus: str, functions: StubFunctions) -> None:
    target = {"Arn": functions.add().arn, "RetryPolicy": {"MaximumRetryAttempts": 3}}
    found = rule(cloud, bus, target).rpartition("/")[2]
    client = cloud.client("events")
    assert client.list_targets_by_rule(Rule=found, EventBusName=bus)["Targets"] == [{"Id": "0", **target}]
    assert client.list_rule_names_by_target(TargetArn=target["Arn"], EventBusName=bus)["RuleNames"] == [found]
    client.remove_targets(Rule=found, EventBusName=bus, Ids=["0"])
    assert client.list_targets_by_rule(Rule=found, EventBusName=bus)["Targets"] == []


def test_a_state_machine_starts_once_per_event(cloud: Cloud, bus: str, service: EventsService) -> None:
    machine = made.machine(cloud)
    allowed = made.role(cloud, "events.amazonaws.com", ("states:StartExecution", machine))
    transformer = {"InputPathsMap": {"detail": "$.detail"}, "InputTemplate": '{"action":"arrive","detail":<detail>}'}
    rule(cloud, bus, {"Arn": machine, "RoleArn": allowed, "InputTransformer": transformer})
    sent = put(cloud, bus, {"deep": {"a": [1, "two"]}})
    (execution,) = made.eventually(lambda: made.executions(cloud, machine))
    assert execution["name"].startswith(sent)
    assert execution["input"] == {"action": "arrive", "detail": {"deep": {"a": [1, "two"]}}}


class LosesFirstAnswer:
    """A service that lets the first StartExecution happen and then fails, so that the caller never knows."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.lost = False

    def handle(self, request: Request) -> Response | None:
        if self.lost or not request.headers.get("X-Amz-Target", "").endswith(".StartExecution"):
            return None
        self.lost = True
        self._cloud.client("stepfunctions").start_execution(**json.loads(request.get_data()))
        return Response("{}", 503, mimetype="application/x-amz-json-1.0")

    def stop(self) -> None: ...


def test_a_delivery_whose_answer_was_lost_does_not_start_a_second_execution(
    local_cloud: LocalCloud, cloud: Cloud, bus: str, service: EventsService
) -> None:
    machine, dead = made.machine(cloud), made.queue(cloud)
    allowed = made.role(cloud, "events.amazonaws.com", ("states:StartExecution", machine))
    rule(cloud, bus, {"Arn": machine, "RoleArn": allowed, "DeadLetterConfig": {"Arn": dead}})
    loser = LosesFirstAnswer(cloud)
    local_cloud.services.insert(0, loser)
    try:
        put(cloud, bus)
        assert made.eventually(lambda: loser.lost)
        service.settle()
        cloud.clock.advance(delay(0) + 1)
        service.settle()
    finally:
        local_cloud.services.remove(loser)
    assert len(made.executions(cloud, machine)) == 1
    assert made.received(cloud, dead, seconds=0.2) == []


def test_queue_topic_log_group_and_other_bus_are_targets_too(cloud: Cloud, bus: str) -> None:
    other, queue, far = made.name("bus"), made.queue(cloud), made.queue(cloud)
    other_arn = cloud.client("events").create_event_bus(Name=other)["EventBusArn"]
    topic = cloud.client("sns").create_topic(Name=made.name("topic"))["TopicArn"]
    heard = made.queue(cloud, "sns.amazonaws.com")
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=heard)
    group = made.name("/aws/events/test")
    cloud.client("logs").create_log_group(logGroupName=group)
    logs = f"arn:aws:logs:eu-west-1:123456789012:log-group:{group}"
    rule(cloud, other, {"Arn": far})
    rule(cloud, bus, *({"Arn": arn} for arn in (queue, topic, logs, other_arn)))
    sent = put(cloud, bus, {"n": 2})
    for message in (*made.received(cloud, queue), *made.received(cloud, far)):
        assert json.loads(message["Body"])["id"] == sent
    assert json.loads(json.loads(made.received(cloud, heard)[0]["Body"])["Message"])["detail"] == {"n": 2}
    lines = made.eventually(lambda: cloud.client("logs").filter_log_events(logGroupName=group)["events"])
    assert json.loads(lines[0]["message"])["id"] == sent


def test_a_disabled_rule_and_another_bus_get_nothing(cloud: Cloud, bus: str, service: EventsService) -> None:
    queue = made.queue(cloud)
    found = rule(cloud, bus, {"Arn": queue}).rpartition("/")[2]
    put(cloud, "default")
    cloud.client("events").disable_rule(Name=found, EventBusName=bus)
    put(cloud, bus)
    service.settle()
    cloud.client("events").enable_rule(Name=found, EventBusName=bus)
    sent = put(cloud, bus)
    assert [json.loads(each["Body"])["id"] for each in made.received(cloud, queue)] == [sent]


# --- failures


def test_a_function_that_does_not_let_the_rule_in_gets_nothing(
    cloud: Cloud, bus: str, functions: StubFunctions
) -> None:
    stub, dead = functions.add(), made.queue(cloud)
    stub.allowed.append(("events.amazonaws.com", "arn:aws:events:eu-west-1:123456789012:rule/another"))
    arn = rule(cloud, bus, {"Arn": stub.arn, "DeadLetterConfig": {"Arn": dead}})
    sent = put(cloud, bus, {"n": 3})
    (message,) = made.received(cloud, dead)
    assert json.loads(message["Body"])["id"] == sent
    told = attributes(message)
    assert told.pop("ERROR_MESSAGE")
    assert told == {"RULE_ARN": arn, "TARGET_ARN": stub.arn, "ERROR_CODE": "NO_PERMISSIONS", "RETRY_ATTEMPTS": "0"}
    assert stub.events == []


def test_a_role_without_the_right_starts_nothing(cloud: Cloud, bus: str) -> None:
    machine, dead = made.machine(cloud), made.queue(cloud)
    powerless = made.role(cloud, "events.amazonaws.com", ("states:StartExecution", machine + "-other"))
    stranger = made.role(cloud, "lambda.amazonaws.com", ("states:StartExecution", machine))
    for each in (powerless, stranger, "arn:aws:iam::123456789012:role/none"):
        rule(cloud, bus, {"Arn": machine, "RoleArn": each, "DeadLetterConfig": {"Arn": dead}})
    put(cloud, bus)
    codes = [attributes(message)["ERROR_CODE"] for message in made.received(cloud, dead, 3)]
    assert codes == ["NO_PERMISSIONS"] * 3
    assert made.executions(cloud, machine) == []


def test_a_target_that_is_gone_goes_straight_to_the_dead_letter_queue(cloud: Cloud, bus: str) -> None:
    dead, missing = made.queue(cloud), "arn:aws:states:eu-west-1:123456789012:stateMachine:missing"
    allowed = made.role(cloud, "events.amazonaws.com", ("states:StartExecution", "*"))
    rule(cloud, bus, {"Arn": missing, "RoleArn": allowed, "DeadLetterConfig": {"Arn": dead}})
    put(cloud, bus)
    (message,) = made.received(cloud, dead)
    assert attributes(message)["ERROR_CODE"] == "NO_RESOURCE"
    assert attributes(message)["RETRY_ATTEMPTS"] == "0"


def test_a_dead_letter_queue_that_does_not_let_the_rule_in_gets_nothing(
    cloud: Cloud, bus: str, service: EventsService, functions: StubFunctions
) -> None:
    closed = made.queue(cloud, None)
    rule(cloud, bus, {"Arn": functions.add().arn, "DeadLetterConfig": {"Arn": closed}})
    put(cloud, bus)
    service.settle()
    assert made.received(cloud, closed, seconds=0.2) == []


def failing(functions: StubFunctions, times: int) -> tuple[Any, list[int]]:
    calls: list[int] = []

    def body(event: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise Refusal(429, "TooManyRequestsException")
        return event

    return functions.add(body), calls


def test_a_throttled_target_is_tried_again_on_the_driven_clock(
    cloud: Cloud, bus: str, service: EventsService, functions: StubFunctions
) -> None:
    stub, calls = failing(functions, 6)
    stub.allowed.append(("events.amazonaws.com", "*"))
    rule(cloud, bus, {"Arn": stub.arn})
    put(cloud, bus)
    made.eventually(lambda: calls)
    service.settle()
    assert len(calls) < 7  # more than a minute of real time away from success
    cloud.clock.advance(sum(map(delay, range(6))))
    service.settle()
    assert len(calls) == 7


@pytest.mark.parametrize(
    ("policy", "condition", "attempts"),
    [
        ({"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600}, "MaximumRetryAttempts", 2),
        ({"MaximumRetryAttempts": 0}, "MaximumRetryAttempts", 0),
        # retries at 1, 3, 7, 15, 31 s; the next would be at 63 s
        ({"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 60}, "MaximumEventAgeInSeconds", 5),
    ],
)
def test_an_exhausted_retry_policy_ends_in_the_dead_letter_queue(
    cloud: Cloud,
    bus: str,
    service: EventsService,
    functions: StubFunctions,
    policy: dict[str, int],
    condition: str,
    attempts: int,
) -> None:
    stub, calls = failing(functions, 1000)
    stub.allowed.append(("events.amazonaws.com", "*"))
    dead = made.queue(cloud)
    rule(cloud, bus, {"Arn": stub.arn, "RetryPolicy": policy, "DeadLetterConfig": {"Arn": dead}})
    put(cloud, bus)
    made.eventually(lambda: calls)
    service.settle()
    cloud.clock.advance(3600)
    (message,) = made.received(cloud, dead)
    told = attributes(message)
    assert (told["EXHAUSTED_RETRY_CONDITION"], told["RETRY_ATTEMPTS"]) == (condition, str(attempts))
    assert told["ERROR_CODE"] == "THROTTLING"
    assert len(calls) == attempts + 1


# --- PutEvents and PutTargets refuse what AWS refuses


def entry(**changed: Any) -> dict[str, Any]:
    return {"Source": "test", "DetailType": "Test", "Detail": "{}", **changed}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Detail": "not json"}, "MalformedDetail"),
        ({"Detail": "[1]"}, "MalformedDetail"),
        ({"Source": "aws.s3"}, "NotAuthorizedForSourceException"),
        ({"DetailType": ""}, "InvalidArgument"),
        ({"EventBusName": "nowhere"}, "ResourceNotFoundException"),
    ],
)
def test_a_bad_entry_is_refused_and_the_others_are_taken(cloud: Cloud, changed: dict[str, Any], code: str) -> None:
    answer = cloud.client("events").put_events(Entries=[entry(), entry(**changed), entry()])
    assert answer["FailedEntryCount"] == 1
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [None, code, None]


def test_more_than_ten_entries_or_a_megabyte_are_refused(cloud: Cloud) -> None:
    client = cloud.client("events")
    with pytest.raises(ClientError, match="less than or equal to 10"):
        client.put_events(Entries=[entry()] * 11)
    detail = json.dumps({"x": "a" * (LARGEST_REQUEST // 2)})
    with pytest.raises(ClientError, match="over the limit"):
        client.put_events(Entries=[entry(Detail=detail), entry(Detail=detail)])
    assert client.put_events(Entries=[entry(Detail=detail)])["FailedEntryCount"] == 0


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"Arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:m"}, "RoleArn is required"),
        ({"Arn": "arn:aws:ecs:eu-west-1:123456789012:cluster/c"}, "not imitated"),
        ({"Arn": "arn:aws:sqs:eu-west-1:123456789012:q", "Input": "1", "InputPath": "$"}, "Only one of"),
    ],
)
def test_a_target_that_could_not_work_is_refused(cloud: Cloud, bus: str, target: dict[str, Any], reason: str) -> None:
    client, found = cloud.client("events"), made.name("rule")
    client.put_rule(Name=found, EventBusName=bus, EventPattern='{"source":["x"]}')
    with pytest.raises(ClientError, match=reason):
        client.put_targets(Rule=found, EventBusName=bus, Targets=[{"Id": "1", **target}])


def test_a_rule_has_at_most_five_targets(cloud: Cloud, bus: str) -> None:
    found = rule(cloud, bus, *({"Arn": f"arn:aws:sqs:eu-west-1:123456789012:q{n}"} for n in range(5)))
    with pytest.raises(ClientError, match="LimitExceeded"):
        cloud.client("events").put_targets(
            Rule=found.rpartition("/")[2],
            EventBusName=bus,
            Targets=[{"Id": "5", "Arn": "arn:aws:sqs:eu-west-1:123456789012:q"}],
        )


def test_an_invalid_pattern_or_schedule_is_refused(cloud: Cloud) -> None:
    client = cloud.client("events")
    for pattern in (
        "{",
        '{"source":"x"}',
        '{"source":[]}',
        '{"a":[{"numerical":["=",1]}]}',
        '{"a":[{"numeric":["="]}]}',
    ):
        with pytest.raises(ClientError, match="InvalidEventPattern"):
            client.put_rule(Name=made.name("rule"), EventPattern=pattern)
    with pytest.raises(ClientError, match="ScheduleExpression is not valid"):
        client.put_rule(Name=made.name("rule"), ScheduleExpression="rate(1 days)")


# --- S3


def test_objects_announce_themselves_on_the_default_bus(cloud: Cloud) -> None:
    bucket, queue = made.bucket(cloud, events=True), made.queue(cloud)
    rule(cloud, "default", {"Arn": queue}, pattern={"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}})
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="raw/ä b.csv", Body=b"12345")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "raw/ä b.csv"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x" * 7)
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    etag = s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)["ETag"]
    s3.delete_object(Bucket=bucket, Key="copy")
    events = [json.loads(message["Body"]) for message in made.received(cloud, queue, 4)]
    events.sort(key=lambda event: event["detail"]["object"]["sequencer"])
    assert [event["detail"]["reason"] for event in events] == [
        "PutObject",
        "CopyObject",
        "CompleteMultipartUpload",
        "DeleteObject",
    ]
    first = events[0]
    sequencer = first["detail"]["object"].pop("sequencer")
    assert int(sequencer, 16) > 0
    assert first["detail"]["object"] == {
        "key": "raw/ä b.csv",
        "size": 5,
        "etag": "827ccb0eea8a706c4c34a16891f84e7b",
    }
    assert (first["source"], first["detail-type"]) == ("aws.s3", "Object Created")
    assert first["resources"] == [f"arn:aws:s3:::{bucket}"]
    assert first["detail"]["requester"] == "123456789012"
    assert events[2]["detail"]["object"]["etag"] == etag.strip('"')
    assert events[3]["detail-type"] == "Object Deleted"
    assert events[3]["detail"]["deletion-type"] == "Permanently Deleted"


def test_every_put_of_a_versioned_key_has_a_greater_sequencer_and_its_version(cloud: Cloud) -> None:
    bucket, queue = made.bucket(cloud, events=True), made.queue(cloud)
    s3 = cloud.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rule(cloud, "default", {"Arn": queue}, pattern={"detail": {"bucket": {"name": [bucket]}}})
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=bytes([n]))["VersionId"] for n in range(8)]
    objects = [json.loads(message["Body"])["detail"]["object"] for message in made.received(cloud, queue, 8)]
    objects.sort(key=lambda each: each["sequencer"])
    assert [each["version-id"] for each in objects] == versions
    assert len({each["sequencer"] for each in objects}) == 8


def test_events_carry_the_time_of_the_driven_clock(cloud: Cloud, bus: str) -> None:
    queue = made.queue(cloud)
    rule(cloud, bus, {"Arn": queue})
    cloud.clock.advance(7200)
    put(cloud, bus)
    (message,) = made.received(cloud, queue)
    moment = datetime.fromisoformat(json.loads(message["Body"])["time"])
    assert abs((moment - cloud.clock.now()).total_seconds()) < 120


def test_a_slow_target_slows_neither_s3_nor_the_other_targets(
    cloud: Cloud, functions: StubFunctions, service: EventsService
) -> None:
    gate = threading.Event()
    slow = functions.add(lambda event: gate.wait(10))
    slow.allowed.append(("events.amazonaws.com", "*"))
    bucket, queue = made.bucket(cloud, events=True), made.queue(cloud)
    pattern = {"detail": {"bucket": {"name": [bucket]}}}
    rule(cloud, "default", {"Arn": slow.arn}, {"Arn": queue}, pattern=pattern)
    try:
        cloud.client("s3").put_object(Bucket=bucket, Key="k", Body=b"")
        assert made.received(cloud, queue)
    finally:
        gate.set()
    service.settle()


# --- patterns (pure)

EVENT = {
    "source": "aws.s3",
    "detail": {"key": "raw/a.csv", "size": 12, "tags": ["x", "y"], "none": None, "ip": "10.0.0.5", "ok": True},
    "list": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}],
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["aws.s3", "other"]}, True),
        ({"source": ["AWS.S3"]}, False),
        ({"missing": ["x"]}, False),
        ({"detail": {"key": [{"prefix": "raw/"}]}}, True),
        ({"detail": {"key": [{"suffix": ".CSV"}]}}, False),
        ({"detail": {"key": [{"suffix": {"equals-ignore-case": ".CSV"}}]}}, True),
        ({"detail": {"key": [{"equals-ignore-case": "RAW/A.csv"}]}}, True),
        ({"detail": {"key": [{"wildcard": "raw/*.csv"}]}}, True),
        ({"detail": {"key": [{"wildcard": "raw/*.txt"}]}}, False),
        ({"detail": {"key": [{"anything-but": ["a", "b"]}]}}, True),
        ({"detail": {"key": [{"anything-but": {"prefix": "raw/"}}]}}, False),
        ({"detail": {"key": [{"anything-but": {"suffix": ".txt"}}]}}, True),
        ({"detail": {"missing": [{"anything-but": "a"}]}}, False),
        ({"detail": {"size": [{"numeric": [">", 10, "<=", 12]}]}}, True),
        ({"detail": {"size": [{"numeric": ["=", 11]}]}}, False),
        ({"detail": {"key": [{"numeric": ["=", 11]}]}}, False),
        ({"detail": {"tags": ["y"]}}, True),
        ({"detail": {"tags": [{"prefix": "z"}]}}, False),
        ({"detail": {"none": [None]}}, True),
        ({"detail": {"ok": [True]}}, True),
        ({"detail": {"size": [True]}}, False),
        ({"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}, True),
        ({"detail": {"ip": [{"cidr": "10.1.0.0/24"}]}}, False),
        ({"detail": {"key": [{"exists": True}]}}, True),
        ({"detail": {"gone": [{"exists": False}]}}, True),
        ({"detail": [{"exists": True}]}, False),
        ({"list": {"id": [2]}}, True),
        ({"list": {"id": [3]}}, False),
        ({"$or": [{"source": ["x"]}, {"detail": {"size": [12]}}]}, True),
        ({"source": ["aws.s3"], "$or": [{"source": ["x"]}, {"detail": {"size": [1]}}]}, False),
    ],
)
def test_patterns_match_as_documented(pattern: dict[str, Any], expected: bool) -> None:
    assert event_patterns.matches(event_patterns.parse(json.dumps(pattern)), EVENT) is expected


def test_test_event_pattern_answers_with_the_same_rules(cloud: Cloud) -> None:
    client = cloud.client("events")
    asked = {"EventPattern": '{"source":[{"prefix":"aws"}]}', "Event": json.dumps(EVENT)}
    assert client.test_event_pattern(**asked)["Result"] is True


scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4)
events = st.dictionaries(
    st.text("abc", min_size=1, max_size=2),
    scalars | st.lists(scalars, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("xyz"), scalars, min_size=1),
    min_size=1,
    max_size=4,
)


def exactly(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: exactly(inner) for name, inner in value.items()}
    return [value] if not isinstance(value, list) else value[:1]


@settings(deadline=None)  # the machine may be busy
@given(events)
def test_the_pattern_made_of_an_event_matches_it(event: dict[str, Any]) -> None:
    pattern = event_patterns.parse(json.dumps(exactly(event)))
    assert event_patterns.matches(pattern, event)
    assert not event_patterns.matches(pattern, {})


# --- inputs (pure)

RULE = "arn:aws:events:eu-west-1:123456789012:rule/bus/my-rule"
SAMPLE = {
    "id": "1",
    "time": "2026-01-01T00:00:00Z",
    "detail-type": "T",
    "detail": {"s": 'say "hi"', "n": 1.5, "o": {"a": [1, {"b": None}]}, "l": [1, 2]},
}


def transformed(template: str, **paths: str) -> str:
    target = {"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
    return target_input(target, SAMPLE, RULE, "2026-01-01T00:00:01Z")


def test_nested_values_strings_and_numbers_are_put_in_as_json() -> None:
    text = transformed(
        '{"o":<o>,"s":<s>,"n":<n>,"l":<l>}', o="$.detail.o", s="$.detail.s", n="$.detail.n", l="$.detail.l"
    )
    assert json.loads(text) == {"o": {"a": [1, {"b": None}]}, "s": 'say "hi"', "n": 1.5, "l": [1, 2]}


def test_a_variable_within_quotes_gets_none_of_its_own() -> None:
    text = transformed('{"t":"at <time> by \\"<kind>\\" of <n>"}', time="$.time", kind="$.detail-type", n="$.detail.n")
    assert json.loads(text) == {"t": 'at 2026-01-01T00:00:00Z by "T" of 1.5'}
    assert transformed('"is <gone>, <s>"', gone="$.detail.gone", s="$.detail.s") == '"is , say \\"hi\\""'


def test_an_object_within_quotes_is_refused() -> None:
    with pytest.raises(InvalidInput, match="quotes"):
        transformed('{"o":"<o>"}', o="$.detail.o")


def test_reserved_variables_array_indices_and_unknown_placeholders() -> None:
    text = transformed('{"r":<aws.events.rule-name>,"e":<aws.events.event.json>,"i":<i>}', i="$.detail.o.a[0]")
    assert json.loads(text) == {"r": "my-rule", "e": SAMPLE, "i": 1}
    assert transformed("<other>") == "<other>"


def test_input_and_input_path_replace_the_event() -> None:
    assert target_input({"Input": '{"a":1}'}, SAMPLE, RULE, "") == '{"a":1}'
    assert json.loads(target_input({"InputPath": "$.detail.o"}, SAMPLE, RULE, "")) == SAMPLE["detail"]["o"]  # type: ignore[index]
    assert target_input({"InputPath": "$.detail-type"}, SAMPLE, RULE, "") == '"T"'


def test_a_template_that_makes_no_json_goes_to_the_dead_letter_queue(
    cloud: Cloud, bus: str, functions: StubFunctions
) -> None:
    stub, dead = functions.add(), made.queue(cloud)
    stub.allowed.append(("events.amazonaws.com", "*"))
    template = {"InputPathsMap": {"x": "$.detail.gone"}, "InputTemplate": '{"x":<x>}'}
    rule(cloud, bus, {"Arn": stub.arn, "InputTransformer": template, "DeadLetterConfig": {"Arn": dead}})
    put(cloud, bus)
    (message,) = made.received(cloud, dead)
    assert attributes(message)["ERROR_CODE"] == "INVALID_JSON"
