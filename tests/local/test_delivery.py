"""Log group → subscription filter → Firehose → S3, and Firehose's own Put calls."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local import firehose, log_filters
from infra.local.cloud import LocalCloud
from infra.local.context import Cloud
from infra.local.delivery import DeliveryService
from tests.local import made

EXTRACT: list[dict[str, Any]] = [
    {"Type": "Decompression", "Parameters": [{"ParameterName": "CompressionFormat", "ParameterValue": "GZIP"}]},
    {
        "Type": "CloudWatchLogProcessing",
        "Parameters": [{"ParameterName": "DataMessageExtraction", "ParameterValue": "true"}],
    },
    {"Type": "AppendDelimiterToRecord", "Parameters": []},
]
DATED = {
    "Prefix": "predictions/m/date=!{timestamp:yyyy-MM-dd}/",
    "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
}


@pytest.fixture
def service(local_cloud: LocalCloud) -> DeliveryService:
    (found,) = [each for each in local_cloud.services if isinstance(each, DeliveryService)]
    return found


@pytest.fixture
def bucket(cloud: Cloud) -> str:
    return made.bucket(cloud)


def stream(cloud: Cloud, bucket: str, processors: Sequence[dict[str, Any]] = (), **config: Any) -> str:
    """The ARN of a new delivery stream into the bucket."""
    role = made.role(cloud, "firehose.amazonaws.com", *rights(bucket))
    config = {
        "RoleARN": role,
        "BucketARN": f"arn:aws:s3:::{bucket}",
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 60},
        **({"ProcessingConfiguration": {"Enabled": True, "Processors": list(processors)}} if processors else {}),
        **config,
    }
    arn: str = cloud.client("firehose").create_delivery_stream(
        DeliveryStreamName=made.name("stream"), ExtendedS3DestinationConfiguration=config
    )["DeliveryStreamARN"]
    return arn


def rights(bucket: str) -> list[tuple[str, str]]:
    """What a stream's role needs on the bucket and its objects."""
    on = {f"arn:aws:s3:::{bucket}": firehose.ON_BUCKET, f"arn:aws:s3:::{bucket}/*": firehose.ON_OBJECT}
    return [(action, resource) for resource, actions in on.items() for action in actions]


def group(cloud: Cloud, destination: str, pattern: str = '{ $.record = "prediction" }') -> str:
    """A new log group with stream `s`, subscribed to by the delivery stream."""
    found, logs = made.name("/aws/lambda/f"), cloud.client("logs")
    logs.create_log_group(logGroupName=found)
    logs.create_log_stream(logGroupName=found, logStreamName="s")
    role = made.role(cloud, "logs.amazonaws.com", ("firehose:PutRecord*", destination))
    logs.put_subscription_filter(
        logGroupName=found, filterName="f", filterPattern=pattern, destinationArn=destination, roleArn=role
    )
    return found


def write(cloud: Cloud, log_group: str, *messages: str) -> None:
    now = int(cloud.clock.time() * 1000)
    events = [{"timestamp": now, "message": message} for message in messages]
    cloud.client("logs").put_log_events(logGroupName=log_group, logStreamName="s", logEvents=events)


def objects(cloud: Cloud, bucket: str) -> dict[str, bytes]:
    s3 = cloud.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def record(n: int) -> str:
    return json.dumps({"record": "prediction", "n": n})


def test_matching_log_lines_arrive_in_s3_as_lines(cloud: Cloud, service: DeliveryService, bucket: str) -> None:
    arn = stream(cloud, bucket, EXTRACT, CompressionFormat="GZIP", **DATED)
    found = group(cloud, arn)
    write(cloud, found, record(1), "START RequestId", json.dumps({"record": "metric"}), record(2))
    write(cloud, found, record(3))
    assert service.settle()
    assert objects(cloud, bucket) == {}  # buffered
    day = cloud.clock.now().strftime("%Y-%m-%d")
    cloud.clock.advance(61)
    assert service.settle()
    ((key, body),) = objects(cloud, bucket).items()
    lines = gzip.decompress(body).decode().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [1, 2, 3]
    name = arn.rpartition("/")[2]
    stamp = r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d"
    uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert re.fullmatch(rf"predictions/m/date={day}/{name}-1-{stamp}-{uuid}\.gz", key)
    stored = cloud.client("logs").filter_log_events(logGroupName=found)["events"]
    assert len(stored) == 5


def test_lines_that_keep_their_ends_arrive_with_blank_lines_between(
    cloud: Cloud, service: DeliveryService, bucket: str
) -> None:
    found = group(cloud, stream(cloud, bucket, EXTRACT, **DATED))
    write(cloud, found, record(1) + "\n", record(2) + "\n")
    service.flush()
    ((_, body),) = objects(cloud, bucket).items()
    assert body.decode() == f"{record(1)}\n\n{record(2)}\n\n"


def test_a_full_buffer_goes_before_its_time(cloud: Cloud, service: DeliveryService, bucket: str) -> None:
    found = group(cloud, stream(cloud, bucket, EXTRACT, **DATED))
    line = json.dumps({"record": "prediction", "pad": "x" * 200_000})
    for _ in range(6):
        write(cloud, found, line)
    assert service.settle()
    ((_, body),) = objects(cloud, bucket).items()
    assert len(body.splitlines()) == 6
    write(cloud, found, line)
    assert service.settle()
    assert len(objects(cloud, bucket)) == 1
    cloud.clock.advance(61)
    assert service.settle()
    assert len(objects(cloud, bucket)) == 2


def test_flush_delivers_what_is_buffered(cloud: Cloud, service: DeliveryService, bucket: str) -> None:
    found = group(cloud, stream(cloud, bucket, EXTRACT, **DATED))
    write(cloud, found, record(1))
    service.flush()
    assert len(objects(cloud, bucket)) == 1


def test_without_processing_records_are_the_gzipped_messages_of_cloudwatch(
    cloud: Cloud, service: DeliveryService, bucket: str
) -> None:
    found = group(cloud, stream(cloud, bucket, Prefix="raw/"), pattern="")
    write(cloud, found, "one", "two")
    service.flush()
    ((key, body),) = objects(cloud, bucket).items()
    assert re.match(r"raw/\d{4}/\d\d/\d\d/\d\d/stream-", key)  # the default time prefix
    message = json.loads(gzip.decompress(body))
    assert [event["message"] for event in message.pop("logEvents")] == ["one", "two"]
    assert message == {
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": found,
        "logStream": "s",
        "subscriptionFilters": ["f"],
    }


def test_the_driven_clock_dates_the_objects_and_the_log(cloud: Cloud, service: DeliveryService, bucket: str) -> None:
    found = group(cloud, stream(cloud, bucket, EXTRACT, **DATED))
    cloud.clock.advance(40 * 86_400)
    write(cloud, found, record(1))
    day = cloud.clock.now().strftime("%Y-%m-%d")
    service.flush()
    assert [key.split("date=")[1][:10] for key in objects(cloud, bucket)] == [day]
    assert cloud.client("logs").filter_log_events(logGroupName=found)["events"]


def test_a_filter_whose_role_may_not_put_records_delivers_nothing(
    cloud: Cloud, service: DeliveryService, bucket: str
) -> None:
    arn = stream(cloud, bucket, EXTRACT, **DATED)
    found = group(cloud, arn)
    powerless = made.role(cloud, "logs.amazonaws.com")
    cloud.client("logs").put_subscription_filter(
        logGroupName=found, filterName="f", filterPattern="", destinationArn=arn, roleArn=powerless
    )
    write(cloud, found, record(1))
    service.flush()
    assert objects(cloud, bucket) == {}


@pytest.mark.parametrize("missing", [*firehose.ON_BUCKET, *firehose.ON_OBJECT])
def test_a_stream_whose_role_lacks_a_right_keeps_trying(
    cloud: Cloud, service: DeliveryService, bucket: str, missing: str
) -> None:
    most = [(action, resource) for action, resource in rights(bucket) if action != missing]
    role = made.role(cloud, "firehose.amazonaws.com", *most)
    arn = stream(cloud, bucket, RoleARN=role)
    cloud.client("firehose").put_record(DeliveryStreamName=arn.rpartition("/")[2], Record={"Data": b"x"})
    cloud.clock.advance(61)
    assert service.settle()
    assert objects(cloud, bucket) == {}
    statement = {"Effect": "Allow", "Action": missing, "Resource": f"arn:aws:s3:::{bucket}*"}
    cloud.client("iam").put_role_policy(
        RoleName=role.rpartition("/")[2],
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    cloud.clock.advance(61)
    assert service.settle()
    assert list(objects(cloud, bucket).values()) == [b"x"]


def test_records_put_directly_share_the_buffer(cloud: Cloud, service: DeliveryService, bucket: str) -> None:
    name = stream(cloud, bucket, EXTRACT[2:]).rpartition("/")[2]
    client = cloud.client("firehose")
    assert client.put_record(DeliveryStreamName=name, Record={"Data": b"a"})["RecordId"]
    answer = client.put_record_batch(DeliveryStreamName=name, Records=[{"Data": b"b"}, {"Data": b"c"}])
    assert answer["FailedPutCount"] == 0
    assert len(answer["RequestResponses"]) == 2
    service.flush()
    assert list(objects(cloud, bucket).values()) == [b"a\nb\nc\n"]


def test_what_does_not_decompress_goes_to_the_error_prefix(cloud: Cloud, service: DeliveryService, bucket: str) -> None:
    name = stream(cloud, bucket, EXTRACT, **DATED).rpartition("/")[2]
    cloud.client("firehose").put_record(DeliveryStreamName=name, Record={"Data": b"no gzip"})
    service.flush()
    ((key, body),) = objects(cloud, bucket).items()
    assert key.startswith("errors/decompression-failed/")
    assert json.loads(body)["rawData"] == "bm8gZ3ppcA=="


def test_records_too_large_or_for_no_stream_are_refused(cloud: Cloud, bucket: str) -> None:
    client, name = cloud.client("firehose"), stream(cloud, bucket).rpartition("/")[2]
    with pytest.raises(ClientError, match="less than or equal to"):
        client.put_record(DeliveryStreamName=name, Record={"Data": b"x" * (1000 * 1024 + 1)})
    with pytest.raises(ClientError, match="4 MB"):
        client.put_record_batch(DeliveryStreamName=name, Records=[{"Data": b"x" * 1_000_000}] * 5)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client.put_record(DeliveryStreamName="none", Record={"Data": b"x"})


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"Prefix": "a/!{timestamp:yyyy}/"}, "ErrorOutputPrefix"),
        ({"Prefix": "a/!{partitionKeyFromQuery:x}/", "ErrorOutputPrefix": "e/"}, "not imitated"),
        ({"CompressionFormat": "Snappy"}, "Snappy"),
        ({"DynamicPartitioningConfiguration": {"Enabled": True}}, "DynamicPartitioning"),
        ({"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda"}]}}, "Lambda"),
        ({"ProcessingConfiguration": {"Enabled": True, "Processors": EXTRACT[1:]}}, "Decompression before"),
        ({"BufferingHints": {"SizeInMBs": 200, "IntervalInSeconds": 60}}, "BufferingHints"),
    ],
)
def test_a_stream_that_is_not_imitated_is_refused(
    cloud: Cloud, bucket: str, config: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ClientError, match=reason):
        stream(cloud, bucket, **config)


@pytest.mark.parametrize("pattern", ["{ $.a IS NULL }", "[a, b]", "%regex%", "?or ?terms", "{ $.a = }", "{ a = 1 }"])
def test_a_filter_pattern_that_is_not_imitated_is_refused(cloud: Cloud, bucket: str, pattern: str) -> None:
    arn = stream(cloud, bucket)
    with pytest.raises(ClientError, match="Invalid filter pattern"):
        group(cloud, arn, pattern)


def test_subscription_filters_are_described_and_deleted(cloud: Cloud, service: DeliveryService, bucket: str) -> None:
    arn, logs = stream(cloud, bucket, EXTRACT, **DATED), cloud.client("logs")
    found = group(cloud, arn)
    (described,) = logs.describe_subscription_filters(logGroupName=found)["subscriptionFilters"]
    assert (described["filterName"], described["destinationArn"]) == ("f", arn)
    logs.delete_subscription_filter(logGroupName=found, filterName="f")
    write(cloud, found, record(1))
    service.flush()
    assert objects(cloud, bucket) == {}


# --- filter patterns (pure)

LINE = json.dumps({"record": "prediction", "rows": 12, "ok": True, "deep": {"list": [{"x": "a b"}]}, "none": None})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", True),
        ('{ $.record = "prediction" }', True),
        ("{ $.record = prediction }", True),
        ('{ $.record = "pred*" }', True),
        ('{ $.record != "prediction" }', False),
        ('{ $.gone != "x" }', False),
        ("{ $.rows = 12 }", True),
        ("{ $.rows >= 12 && $.rows < 13 }", True),
        ("{ $.rows > 12 || ($.rows = 12 && $.record = prediction) }", True),
        ("{ $.rows = 1 || $.rows = 2 }", False),
        ('{ $.rows = "12" }', False),
        ("{ $.record > 3 }", False),
        ('{ $.deep.list[0].x = "a b" }', True),
        ("{ $.deep.list[1].x = a }", False),
        ("prediction", True),
        ("prediction rows", True),
        ("prediction missing", False),
        ("prediction -missing", True),
        ("-prediction", False),
        ('"a b"', True),
    ],
)
def test_filter_patterns_match_as_documented(pattern: str, expected: bool) -> None:
    assert log_filters.parse(pattern)(LINE) is expected


def test_a_json_pattern_matches_no_plain_line() -> None:
    assert not log_filters.parse("{ $.a = 1 }")("a = 1")


@settings(deadline=None)  # the machine may be busy
@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_a_quoted_text_means_itself(text: str, other: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if "*" in text:
        return
    matches = log_filters.parse(f'{{ $.a = "{escaped}" }}')
    assert matches(json.dumps({"a": text}))
    assert matches(json.dumps({"a": other})) is (other == text)


# --- names (pure)


def test_prefixes_are_evaluated() -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert firehose.evaluated("p/", moment) == "p/2026/03/04/05/"
    assert firehose.evaluated("p/y=!{timestamp:yyyy}/!{timestamp:MM'm'dd}/", moment) == "p/y=2026/03m04/"
    assert re.fullmatch(r"[A-Za-z0-9]{11}/", firehose.evaluated("!{firehose:random-string}/", moment))
    with pytest.raises(firehose.Unsupported):
        firehose.evaluated("!{timestamp:EEE}", moment)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.binary(max_size=50), max_size=20), st.booleans())
def test_no_byte_is_lost_between_records_and_objects(records: list[bytes], delimited: bool) -> None:
    config: dict[str, Any] = {"BucketARN": "arn:aws:s3:::b", "RoleARN": "r"}
    if delimited:
        config["ProcessingConfiguration"] = {"Enabled": True, "Processors": EXTRACT[2:]}
    how, buffer = firehose.destination(config), firehose.Buffer(0.0)
    for each in records:
        firehose.take(buffer, each, how, 0.0)
    end = b"\n" if delimited else b""
    assert b"".join(buffer.parts) == b"".join(each + end for each in records)
    assert buffer.size == sum(len(part) for part in buffer.parts)


def test_hints_default_to_five_megabytes_and_five_minutes() -> None:
    how = firehose.destination({"BucketARN": "arn:aws:s3:::b", "RoleARN": "r"})
    assert (how.size, timedelta(seconds=how.interval)) == (5 * 1024 * 1024, timedelta(minutes=5))
