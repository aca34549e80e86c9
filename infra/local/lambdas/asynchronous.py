"""Asynchronous invocation: the queue between a caller of type Event and the function.

Function errors are retried after one and two minutes, throttling and service errors with back-off until the event is
too old; then the event goes to the dead-letter queue and the on-failure destination. Times are the cloud clock's.
Sources: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html and
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.context import Cloud
from infra.local.lambdas import views
from infra.local.lambdas.arns import LATEST
from infra.local.lambdas.errors import ApiError, NotFound
from infra.local.lambdas.invocations import EVENT_LIMIT, Call, Invocations, Result, check_payload
from infra.local.lambdas.registry import Registry
from infra.local.lambdas.roles import Roles

log = logging.getLogger(__name__)

RETRY_AFTER = (60.0, 120.0)
BACK_OFF = (1.0, 300.0)  # first and longest wait after throttling or a service error
WORKERS = 8
DEFAULT_RETRIES = 2
DEFAULT_AGE = 21_600


@dataclass(frozen=True)
class Event:
    """One queued event."""

    call: Call
    born: float
    attempts: int = 0
    refusals: int = 0


class AsyncQueue:
    """Events wait here for their time and a worker."""

    def __init__(self, cloud: Cloud, registry: Registry, roles: Roles, invocations: Invocations) -> None:
        self._cloud = cloud
        self._registry = registry
        self._roles = roles
        self._invocations = invocations
        self._waiting: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="lambda-async")
        self._unwatch = cloud.clock.watch(self._changed.set)
        self._thread = threading.Thread(target=self._dispatch, name="lambda-async-queue", daemon=True)
        self._thread.start()

    def put(self, call: Call) -> None:
        """Accept an event; raises ApiError when it is too large or the function is not there."""
        check_payload(call.payload, EVENT_LIMIT)
        self._invocations.choose(call.reference)
        self._at(self._cloud.clock.time(), Event(call, self._cloud.clock.time()))

    def _at(self, moment: float, event: Event) -> None:
        with self._lock:
            heapq.heappush(self._waiting, (moment, next(self._order), event))
        self._changed.set()

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            self._changed.clear()
            now = self._cloud.clock.time()
            while (event := self._due(now)) is not None:
                self._workers.submit(self._work, event)
            with self._lock:
                pause = self._waiting[0][0] - now if self._waiting else None
            self._changed.wait(None if pause is None else max(0.0, pause))

    def _due(self, now: float) -> Event | None:
        with self._lock:
            return heapq.heappop(self._waiting)[2] if self._waiting and self._waiting[0][0] <= now else None

    def _work(self, event: Event) -> None:
        try:
            self._try(event)
        except Exception:
            log.exception("asynchronous event %s was lost", event.call.request_id)

    def _try(self, event: Event) -> None:
        if self._stopping.is_set():
            return
        now = self._cloud.clock.time()
        config = self._config(event)
        if now - event.born > config.get("MaximumEventAgeInSeconds", DEFAULT_AGE):
            self._give_up(event, config, "EventAgeExceeded", None)
            return
        try:
            result = self._invocations.invoke(event.call)
        except NotFound:
            self._give_up(event, config, "RetriesExhausted", None)
            return
        except ApiError:
            # throttled, or Pending again: these attempts do not count
            pause = min(BACK_OFF[0] * 2**event.refusals, BACK_OFF[1])
            self._at(now + pause, replace(event, refusals=event.refusals + 1))
            return
        event = replace(event, attempts=event.attempts + 1)
        if not result.failed:
            self._notify(event, config, "OnSuccess", "Success", result)
        elif event.attempts > config.get("MaximumRetryAttempts", DEFAULT_RETRIES):
            self._give_up(event, config, "RetriesExhausted", result)
        else:
            self._at(now + RETRY_AFTER[min(event.attempts, len(RETRY_AFTER)) - 1], event)

    def _config(self, event: Event) -> Mapping[str, Any]:
        reference = event.call.reference
        function = self._registry.functions.get(reference.name)
        configs = function.event_configs if function else {}
        return (
            configs.get(reference.qualifier or "") or (configs.get(LATEST) if not reference.qualifier else None) or {}
        )

    def _give_up(self, event: Event, config: Mapping[str, Any], condition: str, result: Result | None) -> None:
        function = self._registry.functions.get(event.call.reference.name)
        dead_letters = (function.latest.settings.get("DeadLetterConfig") or {}).get("TargetArn") if function else None
        if dead_letters:
            self._bury(dead_letters, event, result)
        self._notify(event, config, "OnFailure", condition, result)

    def _bury(self, target: str, event: Event, result: Result | None) -> None:
        message = _error_message(result)
        attributes = {
            "RequestID": {"DataType": "String", "StringValue": event.call.request_id},
            "ErrorCode": {"DataType": "Number", "StringValue": "200" if result else "429"},
            "ErrorMessage": {"DataType": "String", "StringValue": message[:1024] or "-"},
        }
        self._send(event, target, event.call.payload.decode() or "{}", attributes)

    def _notify(
        self, event: Event, config: Mapping[str, Any], kind: str, condition: str, result: Result | None
    ) -> None:
        target = (config.get("DestinationConfig") or {}).get(kind, {}).get("Destination")
        if target:
            self._send(event, target, json.dumps(self._record(event, condition, result)), {})

    def _record(self, event: Event, condition: str, result: Result | None) -> dict[str, Any]:
        reference = event.call.reference
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": views.timestamp(self._cloud.clock.now()).replace("+0000", "Z"),
            "requestContext": {
                "requestId": event.call.request_id,
                "functionArn": self._registry.place.function(reference.name, reference.qualifier or LATEST),
                "condition": condition,
                "approximateInvokeCount": event.attempts,
            },
            "requestPayload": json.loads(event.call.payload or b"{}"),
        }
        if result is not None:
            context: dict[str, Any] = {"statusCode": 200, "executedVersion": result.version}
            if result.failed:
                context["functionError"] = "Unhandled"
            record |= {"responseContext": context, "responsePayload": json.loads(result.payload or b"null")}
        return record

    def _send(self, event: Event, target: str, body: str, attributes: dict[str, Any]) -> None:
        service, name = target.split(":")[2], target.rpartition(":")[2]
        function = self._registry.functions.get(event.call.reference.name)
        if function is None or not self._roles.may_send(function.latest.settings["Role"], target):
            log.error("destination %s: the function's role may not send to it, a record was lost, as on AWS", target)
            return
        try:
            if service == "sqs":
                client = self._cloud.client("sqs")
                url = client.get_queue_url(QueueName=name)["QueueUrl"]
                client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
            elif service == "sns":
                self._cloud.client("sns").publish(TopicArn=target, Message=body, MessageAttributes=attributes)
            elif service == "lambda":
                self._cloud.client("lambda").invoke(FunctionName=target, InvocationType="Event", Payload=body.encode())
            elif service == "events":
                self._emit(target, body)
            else:
                log.error("destination %s is of a kind that is not imitated: a record was lost", target)
        except (BotoCoreError, ClientError):
            log.exception("destination %s did not take a record: it was lost, as on AWS", target)

    def _emit(self, bus: str, body: str) -> None:
        record = json.loads(body)
        outcome = "Success" if record["requestContext"]["condition"] == "Success" else "Failure"
        entry = {
            "EventBusName": bus.rpartition("/")[2],
            "Source": "lambda",
            "DetailType": f"Lambda Function Invocation Result - {outcome}",
            "Detail": body,
            "Resources": [record["requestContext"]["functionArn"]],
        }
        self._cloud.client("events").put_events(Entries=[entry])

    def stop(self) -> None:
        """Drop what waits, wait for what runs."""
        self._unwatch()
        self._stopping.set()
        self._changed.set()
        self._thread.join(timeout=2)
        self._workers.shutdown(wait=False, cancel_futures=True)


def _error_message(result: Result | None) -> str:
    if result is None:
        return "Rate Exceeded."
    try:
        found = json.loads(result.payload)
    except ValueError:
        return ""
    return str(found.get("errorMessage", "")) if isinstance(found, dict) else ""
