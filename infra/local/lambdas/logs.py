"""Log lines of functions and tasks on their way to CloudWatch Logs, in batches, so that no request waits for them.

PutLogEvents is called on the cloud's own endpoint, where subscription filters see it.
Sources: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html and
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.context import Cloud
from infra.local.iam.need import Need, Place
from infra.local.lambdas.metrics import Metrics

log = logging.getLogger(__name__)

EVERY = 0.2  # seconds between two writes
OVERHEAD = 26  # bytes that each event counts beside its message
BATCH_BYTES = 1_048_576
BATCH_EVENTS = 10_000
BATCH_SPAN = 24 * 3600 * 1000  # milliseconds between the first and the last event of one call
LONGEST = BATCH_BYTES - OVERHEAD

Event = tuple[int, str]


class NotAllowed(Exception):
    """The role that writes a log may not."""


@dataclass(frozen=True)
class Writer:
    """In whose name lines are written: a role (an ARN) that a service takes on."""

    role: str
    service: str


class LogWriter:
    """Gathers events of every group and stream and writes them every fifth of a second."""

    def __init__(self, cloud: Cloud, metrics: Metrics) -> None:
        self._cloud = cloud
        self._metrics = metrics
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[tuple[str, str], list[Event]] = {}
        self._streams: set[tuple[str, str]] = set()
        self._writers: dict[tuple[str, str], Writer] = {}
        self._place = Place(cloud.region, cloud.account)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def add(self, group: str, stream: str, message: str, writer: Writer) -> None:
        """One event, stamped with the cloud's time."""
        moment = int(self._cloud.clock.time() * 1000)
        self._metrics.embedded(message)
        with self._lock:
            self._writers[group, stream] = writer
            waiting = self._waiting.setdefault((group, stream), [])
            waiting.extend((moment, part) for part in _parts(message))

    def flush(self) -> None:
        """Write all that waits."""
        with self._writing:
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            for (group, stream), events in waiting.items():
                self._write(group, stream, events)

    def _write(self, group: str, stream: str, events: list[Event]) -> None:
        # a clock that is driven between two stamps may hand out times out of order
        events.sort(key=lambda event: event[0])
        try:
            self._ensure(group, stream)
            for batch in _batches(events):
                self._put(group, stream, batch)
        except (BotoCoreError, ClientError, NotAllowed):
            # log delivery is best effort on AWS too; the loss is reported, the function goes on
            log.warning("%d log events of %s were lost", len(events), group, exc_info=True)

    def _put(self, group: str, stream: str, batch: list[Event]) -> None:
        self._need("PutLogEvents", group, stream)
        client = self._cloud.client("logs")
        entries = [{"timestamp": moment, "message": message} for moment, message in batch]
        try:
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=entries)
        except client.exceptions.ResourceNotFoundException:
            # the group was deleted meanwhile: as on AWS it comes back with the next line
            self._streams.discard((group, stream))
            self._ensure(group, stream)
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=entries)

    def _ensure(self, group: str, stream: str) -> None:
        if (group, stream) in self._streams:
            return
        client: Any = self._cloud.client("logs")
        self._need("CreateLogStream", group, stream)
        try:
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        except client.exceptions.ResourceNotFoundException:
            self._need("CreateLogGroup", group, stream)
            client.create_log_group(logGroupName=group)
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        except client.exceptions.ResourceAlreadyExistsException:
            pass
        self._streams.add((group, stream))

    def _need(self, operation: str, group: str, stream: str) -> None:
        """Raise NotAllowed unless who writes the stream may do `operation` on it (or on its group)."""
        writer = self._writers[group, stream]
        name = f"log-group:{group}" if operation == "CreateLogGroup" else f"log-group:{group}:log-stream:{stream}"
        need = Need(f"logs:{operation}", self._place.arn("logs", name))
        if not self._cloud.authority.role_may(writer.role, writer.service, need):
            raise NotAllowed(f"{writer.role} may not do {need.action} on {need.resource}")

    def stop(self) -> None:
        """Write the rest and end the thread."""
        self._stopping.set()
        self._thread.join(timeout=5)
        self.flush()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            self.flush()


def _parts(message: str) -> Iterator[str]:
    """The message in pieces of at most what one event may weigh. Empty lines are dropped, as PutLogEvents wants."""
    if len(message) * 4 <= LONGEST:
        if message:
            yield message
        return
    encoded = message.encode("utf-8")
    for start in range(0, len(encoded), LONGEST):
        yield encoded[start : start + LONGEST].decode("utf-8", "ignore")


def _batches(events: list[Event]) -> Iterator[list[Event]]:
    batch: list[Event] = []
    size = 0
    for event in events:
        weight = len(event[1].encode("utf-8")) + OVERHEAD
        if batch and (size + weight > BATCH_BYTES or len(batch) == BATCH_EVENTS or event[0] - batch[0][0] > BATCH_SPAN):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += weight
    if batch:
        yield batch
