"""Log group → subscription filter → Firehose → S3.

Records of filters and streams are moto's; matching, buffering and delivery are done here, on a thread of their own
and on the cloud's clock. Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html and
https://docs.aws.amazon.com/firehose/latest/dev/basic-deliver.html
"""

from __future__ import annotations

import functools
import gzip
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.firehose.models import DeliveryStream, firehose_backends
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import LogsBackend, LogStream
from werkzeug import Request, Response

from infra.local import aws_json, firehose, log_filters
from infra.local.agenda import Agenda
from infra.local.aws_json import ApiError
from infra.local.context import Cloud
from infra.local.firehose import Buffer, Destination
from infra.local.patches import Patches
from infra.local.permissions import Permissions

log = logging.getLogger(__name__)

LARGEST_RECORD = 1000 * 1024
LARGEST_BATCH = 4 * 1024 * 1024
MOST_RECORDS = 500
KEPT = 24 * 3600.0  # seconds for which Firehose tries to reach S3 before it gives data up
OLDEST, NEWEST = 14 * 86_400.0, 2 * 3600.0  # seconds: log events outside are refused


class DeliveryService:
    """Subscription filters to Firehose, PutRecord and PutRecordBatch, and the delivery to S3."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._permissions = Permissions(cloud)
        self._buffers: dict[str, Buffer] = {}
        self._lock = threading.Lock()
        self._agenda = Agenda(cloud.clock, "delivery")
        self._patches = Patches()

        def matched(stream: LogStream, filter_name: str, log_events: list[dict[str, Any]], **_: str) -> None:
            # on the thread of whoever put the events: only noted here
            self._agenda.soon(functools.partial(self._subscribed, stream, filter_name, log_events))

        self._patches.replace(LogStream, "_send_log_events", matched)
        put = functools.partialmethod(_put_log_events, cloud)
        self._patches.replace(LogsBackend, "put_log_events", put)

    def handle(self, request: Request) -> Response | None:
        """Answer Firehose's Put calls; refuse filters and streams that would not work as on AWS."""
        try:
            if (name := aws_json.operation(request, "Logs_20140328")) == "PutSubscriptionFilter":
                _check_filter(aws_json.arguments(request))
            elif name is None and (name := aws_json.operation(request, "Firehose_20150804")):
                return self._firehose(name, aws_json.arguments(request))
        except ApiError as error:
            return aws_json.refusal(error)
        return None

    def settle(self, timeout: float = 10.0) -> bool:
        """Wait (real seconds) until every log event is in its buffer and every due buffer in S3."""
        return self._agenda.settle(timeout)

    def flush(self) -> None:
        """Deliver every buffer now, whatever its age (when the cloud stops)."""
        self._agenda.settle()
        with self._lock:
            streams = list(self._buffers)
        for stream in streams:
            self._deliver(stream)

    def stop(self) -> None:
        """Deliver what is buffered and end."""
        self._patches.undo()
        self.flush()
        self._agenda.stop()

    def _firehose(self, name: str, asked: Mapping[str, Any]) -> Response | None:
        if name in ("CreateDeliveryStream", "UpdateDestination"):
            self._check_stream(asked)
            return None
        if name not in ("PutRecord", "PutRecordBatch"):
            return None
        stream = str(asked.get("DeliveryStreamName"))
        if self._stream(stream) is None:
            reason = f"Firehose {stream} under account {self._cloud.account} not found."
            raise ApiError("ResourceNotFoundException", reason)
        records = [asked.get("Record")] if name == "PutRecord" else asked.get("Records") or []
        data = _checked_records(records)
        for each in data:
            self._agenda.soon(functools.partial(self._take, stream, each))
        answers = [{"RecordId": str(uuid.uuid4())} for _ in data]
        encrypted = {"Encrypted": False}
        batch = {"FailedPutCount": 0, "RequestResponses": answers}
        return aws_json.reply(encrypted | (answers[0] if name == "PutRecord" else batch))

    def _check_stream(self, asked: Mapping[str, Any]) -> None:
        config = asked.get("ExtendedS3DestinationConfiguration")
        if config is None and "ExtendedS3DestinationUpdate" in asked:
            known = self._stream(str(asked.get("DeliveryStreamName")))
            config = {**(known.destinations[0]["ExtendedS3"] if known else {}), **asked["ExtendedS3DestinationUpdate"]}
        if config is None or asked.get("DeliveryStreamType", "DirectPut") != "DirectPut":
            reason = "only streams from DirectPut to ExtendedS3 are imitated by the local cloud"
            raise ApiError("InvalidArgumentException", reason)
        try:
            firehose.destination(config)
        except (firehose.Unsupported, KeyError) as error:
            raise ApiError("InvalidArgumentException", f"{error}") from error

    def _stream(self, name: str) -> DeliveryStream | None:
        return firehose_backends[self._cloud.account][self._cloud.region].delivery_streams.get(name)

    def _subscribed(self, stream: LogStream, filter_name: str, events: Sequence[Mapping[str, Any]]) -> None:
        group = stream.log_group
        subscription = group.subscription_filters.get(filter_name)
        if subscription is None:
            return
        matches = log_filters.parse(subscription.filter_pattern or "")
        wanted = [event for event in events if matches(event["message"])]
        if not wanted:
            return
        source = f"arn:aws:logs:{self._cloud.region}:{self._cloud.account}:*"
        arn, role = subscription.destination_arn, subscription.role_arn
        if not self._permissions.role_may(role, "logs.amazonaws.com", "firehose:PutRecord", arn, source):
            log.warning("%s: %d log events lost: %s may not put records on %s", group.name, len(wanted), role, arn)
            return
        message = {
            "messageType": "DATA_MESSAGE",
            "owner": self._cloud.account,
            "logGroup": group.name,
            "logStream": stream.log_stream_name,
            "subscriptionFilters": [filter_name],
        }
        for part in _packed(message, wanted):
            self._take(arn.rpartition("/")[2], part)

    def _take(self, name: str, record: bytes) -> None:
        """Put a record into its stream's buffer; a full buffer goes to S3, a new one gets its time."""
        stream = self._stream(name)
        if stream is None:
            log.warning("a record was lost: there is no delivery stream %s", name)
            return
        how, now = _destination(stream), self._cloud.clock.time()
        with self._lock:
            buffer = self._buffers.get(name)
            if buffer is None:
                buffer = self._buffers[name] = Buffer(now)
                self._agenda.at(now + how.interval, functools.partial(self._deliver, name, buffer))
            firehose.take(buffer, record, how, now)
            full = buffer.size >= how.size
        if full:
            self._deliver(name, buffer)

    def _deliver(self, name: str, buffer: Buffer | None = None) -> None:
        """Write the stream's buffer to S3, if it is still `buffer` (None: whichever is there)."""
        with self._lock:
            current = self._buffers.get(name)
            if current is None or (buffer is not None and current is not buffer):
                return
            del self._buffers[name]
        self._write(name, current)

    def _write(self, name: str, buffer: Buffer) -> None:
        stream = self._stream(name)
        if stream is None:
            return
        how = _destination(stream)
        moment = datetime.fromtimestamp(buffer.arrived, how.zone)
        suffix = firehose.object_name(name, stream.version_id, moment, how.extension)
        data = b"".join(buffer.parts)
        failed = "".join(json.dumps(each) + "\n" for each in buffer.failed).encode()
        try:
            if data:
                key = firehose.evaluated(how.prefix, moment) + suffix
                self._put(stream, how, key, gzip.compress(data, mtime=0) if how.gzip else data)
                buffer.parts.clear()
            if failed:
                prefix = firehose.evaluated(how.error_prefix, moment, "decompression-failed")
                self._put(stream, how, prefix + suffix.removesuffix(how.extension), failed)
        except (ClientError, BotoCoreError, PermissionError) as error:
            self._again(name, buffer, how, error)

    def _put(self, stream: DeliveryStream, how: Destination, key: str, body: bytes) -> None:
        bucket = f"arn:aws:s3:::{how.bucket}"
        needed = {bucket: firehose.ON_BUCKET, f"{bucket}/{key}": firehose.ON_OBJECT}
        for resource, actions in needed.items():
            for action in actions:
                self._check(stream, how.role, action, resource)
        self._cloud.client("s3").put_object(Bucket=how.bucket, Key=key, Body=body)

    def _check(self, stream: DeliveryStream, role: str, action: str, resource: str) -> None:
        source = stream.delivery_stream_arn
        if not self._permissions.role_may(role, "firehose.amazonaws.com", action, resource, source):
            raise PermissionError(f"the role {role} may not {action} on {resource}")

    def _again(self, name: str, buffer: Buffer, how: Destination, error: Exception) -> None:
        if self._cloud.clock.time() - buffer.arrived > KEPT:
            log.error("delivery stream %s gave up %d bytes: %s", name, buffer.size, error)
            return
        log.warning("delivery stream %s will try again: %s", name, error)
        wait = max(how.interval, 1.0)
        self._agenda.at(self._cloud.clock.time() + wait, functools.partial(self._write, name, buffer))


def _destination(stream: DeliveryStream) -> Destination:
    return firehose.destination(stream.destinations[0]["ExtendedS3"])


def _packed(message: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Gzipped records of at most LARGEST_RECORD bytes each."""
    record = gzip.compress(json.dumps({**message, "logEvents": list(events)}).encode(), 1)
    if len(record) <= LARGEST_RECORD or len(events) == 1:
        return [record]
    half = len(events) // 2
    return _packed(message, events[:half]) + _packed(message, events[half:])


def _checked_records(records: Sequence[Any]) -> list[bytes]:
    if not 1 <= len(records) <= MOST_RECORDS:
        raise ApiError("ValidationException", f"a batch has 1 to {MOST_RECORDS} records")
    data = [firehose.decoded((record or {}).get("Data")) for record in records]
    found = [each for each in data if each is not None]
    if len(found) != len(data):
        raise ApiError("SerializationException", "Record.Data is not base64")
    if any(len(each) > LARGEST_RECORD for each in found):
        raise ApiError("ValidationException", f"Record.Data must have length less than or equal to {LARGEST_RECORD}")
    if sum(map(len, found)) > LARGEST_BATCH:
        raise ApiError("InvalidArgumentException", "Records size exceeds 4 MB limit")
    return found


def _check_filter(asked: Mapping[str, Any]) -> None:
    try:
        log_filters.parse(str(asked.get("filterPattern", "")))
    except log_filters.InvalidFilter as error:
        raise ApiError("InvalidParameterException", f"Invalid filter pattern: {error}") from error
    if ":firehose:" not in str(asked.get("destinationArn")):
        reason = "a subscription to anything but a Firehose stream is not imitated by the local cloud"
        raise ApiError("InvalidParameterException", reason)
    if not asked.get("roleArn"):
        raise ApiError("InvalidParameterException", "destinationArn for vendor firehose requires roleArn")


def _put_log_events(
    backend: LogsBackend, cloud: Cloud, log_group_name: str, log_stream_name: str, log_events: list[dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """moto's LogsBackend.put_log_events with the cloud's clock: driven time is not "too far in the future" here."""
    if log_group_name not in backend.groups:
        raise ResourceNotFoundException()
    stamps = [event["timestamp"] for event in log_events]
    if stamps != sorted(stamps):
        reason = "Log events in a single PutLogEvents request must be in chronological order."
        raise InvalidParameterException(reason)
    # who writes may read the machine's clock, which this one has left behind or has not come to yet
    clocks = time.time(), cloud.clock.time()
    oldest, newest = (min(clocks) - OLDEST) * 1000, (max(clocks) + NEWEST) * 1000
    old = sum(stamp < oldest for stamp in stamps)
    new = sum(stamp <= newest for stamp in stamps)
    rejected = ({"tooOldLogEventEndIndex": old} if old else {}) | (
        {"tooNewLogEventStartIndex": new} if new < len(stamps) else {}
    )
    token = backend.groups[log_group_name].put_log_events(log_stream_name, log_events[old:new])
    return token, rejected
