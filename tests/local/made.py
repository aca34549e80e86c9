"""Resources that tests of the local cloud make in it; every name is new."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from infra.local.context import Cloud

ACCOUNT = "123456789012"


def name(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def queue(cloud: Cloud, service: str | None = "events.amazonaws.com", source: str = "*") -> str:
    """The ARN of a new queue that `service` may send to on behalf of `source`."""
    found = name("queue")
    arn = f"arn:aws:sqs:{cloud.region}:{ACCOUNT}:{found}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnLike": {"aws:SourceArn": source}},
    }
    attributes = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})} if service else {}
    cloud.client("sqs").create_queue(QueueName=found, Attributes=attributes)
    return arn


def received(cloud: Cloud, queue_arn: str, count: int = 1, seconds: float = 5.0) -> list[dict[str, Any]]:
    """The messages of a queue, once `count` are there (or the time is over)."""
    sqs = cloud.client("sqs")
    messages: list[dict[str, Any]] = []
    url = sqs.get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
    end = time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < end:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        messages += found.get("Messages", [])
        if not found.get("Messages"):
            time.sleep(0.02)
    return messages


def role(cloud: Cloud, service: str, *allowed: tuple[str, str]) -> str:
    """The ARN of a new role that `service` may take on, with (action, resource) allowed."""
    found = name("role")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    iam = cloud.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName=found, AssumeRolePolicyDocument=document)
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allowed]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=found, PolicyName="allowed", PolicyDocument=document)
    return f"arn:aws:iam::{ACCOUNT}:role/{found}"


def machine(cloud: Cloud) -> str:
    """The ARN of a new state machine that gives back its input."""
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}})
    made = cloud.client("stepfunctions").create_state_machine(
        name=name("machine"), definition=definition, roleArn=role(cloud, "states.amazonaws.com")
    )
    arn: str = made["stateMachineArn"]
    return arn


def executions(cloud: Cloud, machine_arn: str) -> list[dict[str, Any]]:
    """Names and inputs of the machine's executions, oldest first."""
    client = cloud.client("stepfunctions")
    found = client.list_executions(stateMachineArn=machine_arn)["executions"]
    described = [client.describe_execution(executionArn=each["executionArn"]) for each in found]
    told = [{"name": each["name"], "input": json.loads(each["input"]), "at": each["startDate"]} for each in described]
    return sorted(told, key=lambda each: each["at"])


def bucket(cloud: Cloud, *, events: bool = False) -> str:
    """A new bucket, with EventBridge on if `events`."""
    found, s3 = name("bucket"), cloud.client("s3")
    s3.create_bucket(Bucket=found, CreateBucketConfiguration={"LocationConstraint": cloud.region})
    if events:
        s3.put_bucket_notification_configuration(
            Bucket=found, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    return found


def eventually(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """What `check` gives as soon as that is true; what it gave last when the time is over."""
    end = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < end:
        time.sleep(0.02)
    return found
