"""Hands an event to its target by the target's own API: Lambda, Step Functions, SQS, SNS, CloudWatch Logs.

Used by EventBridge rules and by EventBridge Scheduler. Source of permissions and of what is worth a retry:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html and …/eb-rule-dlq.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.context import Cloud
from infra.local.permissions import Permissions

EVENTS = "events.amazonaws.com"
SCHEDULER = "scheduler.amazonaws.com"

_GONE = frozenset(
    {
        "ResourceNotFoundException",
        "StateMachineDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "NotFound",
        "NotFoundException",
    }
)
_FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "KMSAccessDeniedException"})
_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "ExecutionLimitExceeded"})


class Undeliverable(Exception):
    """The target did not take the event. `code` is EventBridge's word for it (NO_PERMISSIONS, NO_RESOURCE, …)."""

    def __init__(self, code: str, message: str, retriable: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retriable = retriable


@dataclass(frozen=True)
class Parcel:
    """One event on its way to one target.

    `source` is the ARN of the rule or schedule, `service` the principal in whose name it is delivered, `name` names
    the execution that it starts, so that a repeated delivery starts nothing twice.
    """

    target: Mapping[str, Any]
    payload: str
    source: str
    service: str
    name: str


class Targets:
    """Delivers parcels."""

    def __init__(self, cloud: Cloud, permissions: Permissions) -> None:
        self._cloud = cloud
        self._permissions = permissions

    def _client(self, service: str) -> Any:
        # one attempt each: the retries are counted and spaced by whoever delivers
        return self._cloud.client(service, attempts=1)

    def deliver(self, parcel: Parcel) -> None:
        """Hand the parcel over; raises Undeliverable."""
        kind = kind_of(parcel.target["Arn"])
        if kind is None:
            raise Undeliverable("INVALID_PARAMETER", f"targets like {parcel.target['Arn']} are not imitated")
        try:
            getattr(self, f"_to_{kind}")(parcel)
        except ClientError as error:
            raise _translated(error) from error
        except BotoCoreError as error:
            raise Undeliverable("CONNECTION_FAILURE", str(error), retriable=True) from error

    def _to_lambda(self, parcel: Parcel) -> None:
        arn = parcel.target["Arn"]
        _parsed(parcel.payload)
        if parcel.service == SCHEDULER:
            self._need_role(parcel, "lambda:InvokeFunction", arn)
        elif not self._permissions.may_invoke(arn, parcel.service, parcel.source):
            raise Undeliverable("NO_PERMISSIONS", f"the policy of {arn} does not let {parcel.source} invoke it")
        self._client("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=parcel.payload.encode())

    def _to_states(self, parcel: Parcel) -> None:
        arn = parcel.target["Arn"]
        _parsed(parcel.payload)
        self._need_role(parcel, "states:StartExecution", arn)
        client = self._client("stepfunctions")
        try:
            client.start_execution(stateMachineArn=arn, name=parcel.name, input=parcel.payload)
        except client.exceptions.ExecutionAlreadyExists:
            return  # an earlier attempt arrived though its answer did not

    def _to_sqs(self, parcel: Parcel) -> None:
        arn = parcel.target["Arn"]
        if parcel.service == SCHEDULER:
            self._need_role(parcel, "sqs:SendMessage", arn)
        elif not self._permissions.may_send(arn, parcel.service, parcel.source):
            raise Undeliverable("NO_PERMISSIONS", f"the policy of {arn} does not let {parcel.source} send to it")
        client = self._client("sqs")
        url = client.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        group = (parcel.target.get("SqsParameters") or {}).get("MessageGroupId")
        ordered = {"MessageGroupId": group, "MessageDeduplicationId": parcel.name} if group else {}
        client.send_message(QueueUrl=url, MessageBody=parcel.payload, **ordered)

    def _to_sns(self, parcel: Parcel) -> None:
        if parcel.service == SCHEDULER:
            self._need_role(parcel, "sns:Publish", parcel.target["Arn"])
        self._client("sns").publish(TopicArn=parcel.target["Arn"], Message=parcel.payload)

    def _to_logs(self, parcel: Parcel) -> None:
        group, stream = parcel.target["Arn"].split(":log-group:")[1].removesuffix(":*"), str(uuid.uuid4())
        client, now = self._client("logs"), int(self._cloud.clock.time() * 1000)
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [{"timestamp": now, "message": parcel.payload}]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def _need_role(self, parcel: Parcel, action: str, resource: str) -> None:
        role = parcel.target.get("RoleArn")
        if not role:
            raise Undeliverable("NO_PERMISSIONS", f"the target {resource} has no role to call it with")
        if not self._permissions.role_may(role, parcel.service, action, resource, acting_for(parcel)):
            raise Undeliverable("NO_PERMISSIONS", f"the role {role} may not do {action} on {resource}")


def acting_for(parcel: Parcel) -> str:
    """`aws:SourceArn` while a role is taken on: Scheduler names the schedule's group there, not the schedule.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    """
    if parcel.service != SCHEDULER:
        return parcel.source
    head, _, path = parcel.source.partition(":schedule/")
    return f"{head}:schedule-group/{path.partition('/')[0]}"


def kind_of(arn: str) -> str | None:
    """Which of the imitated kinds of target an ARN names: `lambda`, `states`, `sqs`, `sns`, `logs`; else None."""
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    wanted = {"lambda": ":function:", "states": ":stateMachine:", "logs": ":log-group:", "sqs": ":", "sns": ":"}
    return service if wanted.get(service, "\0") in arn else None


def dead_letter(cloud: Cloud, permissions: Permissions, parcel: Parcel, body: str, attributes: dict[str, str]) -> bool:
    """Put what could not be delivered on the target's dead-letter queue; False when there is none that takes it."""
    queue = (parcel.target.get("DeadLetterConfig") or {}).get("Arn")
    if not queue:
        return False
    if parcel.service == SCHEDULER:
        role = parcel.target.get("RoleArn", "")
        allowed = permissions.role_may(role, SCHEDULER, "sqs:SendMessage", queue, acting_for(parcel))
    else:
        allowed = permissions.may_send(queue, parcel.service, parcel.source)
    if not allowed:
        return False
    client = cloud.client("sqs")
    try:
        url = client.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"]
        told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}
        client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=told)
    except (ClientError, BotoCoreError):
        return False
    return True


def _parsed(payload: str) -> None:
    try:
        json.loads(payload)
    except ValueError as error:
        raise Undeliverable("INVALID_JSON", f"the input is not JSON: {error}") from None


def _translated(error: ClientError) -> Undeliverable:
    code = str(error.response["Error"].get("Code", ""))
    message = str(error.response["Error"].get("Message", "")) or code
    status = int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0))
    if code in _GONE or status == 404:
        return Undeliverable("NO_RESOURCE", message)
    if code in _FORBIDDEN:
        return Undeliverable("NO_PERMISSIONS", message)
    if code in _THROTTLED or status == 429:
        return Undeliverable("THROTTLING", message, retriable=True)
    if status >= 500 or code in ("ResourceConflictException", "ServiceException"):
        return Undeliverable("ERROR_FROM_TARGET", message, retriable=True)
    return Undeliverable("SDK_CLIENT_ERROR", message)
