"""Invoke: which version runs, in which environment, and what the caller, the log and the metrics are told.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.local.lambdas.aliases import draw
from infra.local.lambdas.arns import LATEST, Reference
from infra.local.lambdas.errors import (
    ApiError,
    Conflict,
    InvalidRequestContent,
    NotFound,
    RequestTooLarge,
    StillPending,
    Throttled,
)
from infra.local.lambdas.images import ImageError
from infra.local.lambdas.metrics import Dimensions, Metrics
from infra.local.lambdas.model import Function, Version
from infra.local.lambdas.platform_log import PlatformLog, Usage
from infra.local.lambdas.pool import Concurrency, Pool
from infra.local.lambdas.registry import Registry
from infra.local.lambdas.runtime_api import Work
from infra.local.lambdas.sandbox import Machinery, Outcome, Sandbox

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
REQUEST_LIMIT = 6 * 1024 * 1024
EVENT_LIMIT = 1024 * 1024
INIT_LIMIT = 10.0  # seconds


@dataclass(frozen=True)
class Call:
    """One call of Invoke."""

    reference: Reference
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Result:
    """What a synchronous caller gets: the version that ran, its answer, `failed` when that is an error."""

    version: str
    payload: bytes
    failed: bool
    tail: bytes


class Invocations:
    """Runs functions."""

    def __init__(
        self, registry: Registry, pool: Pool, concurrency: Concurrency, machinery: Machinery, metrics: Metrics
    ) -> None:
        self._registry = registry
        self._pool = pool
        self._concurrency = concurrency
        self._machinery = machinery
        self._metrics = metrics
        self._dice = random.SystemRandom()

    def choose(self, reference: Reference) -> tuple[Function, Version, bool]:
        """The snapshot that a call runs, and whether an alias with weights chose it; raises NotFound or Conflict."""
        function = self._registry.function(reference)
        qualifier = reference.qualifier or LATEST
        alias = function.aliases.get(qualifier)
        number = draw(alias, self._dice) if alias else qualifier
        version = function.version(number)
        if version is None:
            raise NotFound(f"Function not found: {self._registry.place.function(function.name, qualifier)}")
        if version.failure:
            raise Conflict(f"The operation cannot be performed at this time. {version.failure}")
        if version.pending:
            raise StillPending
        return function, version.serving, bool(alias and alias.weights)

    def invoke(self, call: Call) -> Result:
        """Run the function and wait for its answer; raises ApiError when it is not run."""
        check_payload(call.payload, REQUEST_LIMIT)
        function, version, weighted = self.choose(call.reference)
        series = _series(function, call.reference, version, weighted)
        try:
            flying = self._concurrency.enter(function)
        except Throttled:
            self._metrics.add("AWS/Lambda", "Throttles", 1, "Count", series)
            raise
        try:
            self._metrics.add("AWS/Lambda", "ConcurrentExecutions", flying, "Count", series[:2])
            result, usage = self._run(call, function, version)
        finally:
            self._concurrency.leave(function)
        self._metrics.add("AWS/Lambda", "Invocations", 1, "Count", series)
        self._metrics.add("AWS/Lambda", "Errors", int(result.failed), "Count", series)
        self._metrics.add("AWS/Lambda", "Duration", usage.duration * 1000, "Milliseconds", series)
        return result

    def _run(self, call: Call, function: Function, version: Version) -> tuple[Result, Usage]:
        try:
            sandbox = self._pool.lease(version)
        except ImageError as error:
            raise ApiError(str(error)) from error
        try:
            sandbox.fresh_tail()
            outcome, usage = self._attempt(sandbox, call, function, version)
            return Result(version.number, outcome.payload, outcome.failed, sandbox.tail()), usage
        finally:
            self._pool.give_back(sandbox)

    def _attempt(self, sandbox: Sandbox, call: Call, function: Function, version: Version) -> tuple[Outcome, Usage]:
        log = PlatformLog(sandbox.log, self._machinery.cloud.clock.now, version.settings, version.number)
        timeout = float(version.settings["Timeout"])
        init = None if sandbox.ready else self._initialise(sandbox, log, call.request_id)
        log.start(call.request_id)
        begun = time.monotonic()
        outcome = Outcome()
        if not sandbox.ready:
            # a failed initialisation is repeated within the invocation and its time limit
            sandbox.start()
            outcome = sandbox.initialise(timeout, call.request_id)
            init = None
        if not outcome.failed:
            left = timeout - (time.monotonic() - begun)
            outcome = sandbox.run(self._work(call, function, left), left, timeout)
        usage = Usage(time.monotonic() - begun, init, sandbox.peak)
        if outcome.status == "timeout":
            log.timed_out(call.request_id, timeout)
        elif outcome.fatal:
            log.failed(call.request_id, _message(outcome.payload))
        log.report(call.request_id, usage, outcome.status, outcome.error_type)
        return outcome, usage

    @staticmethod
    def _initialise(sandbox: Sandbox, log: PlatformLog, request_id: str) -> float:
        begun = time.monotonic()
        log.init_start()
        sandbox.start()
        outcome = sandbox.initialise(INIT_LIMIT, request_id)
        seconds = time.monotonic() - begun
        if outcome.failed:
            log.init_failed(seconds, outcome.status, outcome.error_type)
        return seconds

    def _work(self, call: Call, function: Function, left: float) -> Work:
        headers = {
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + left) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._registry.place.function(
                function.name, call.reference.qualifier
            ),
            **call.headers,
        }
        return Work(call.request_id, call.payload or b"{}", headers)


def check_payload(payload: bytes, limit: int) -> None:
    """Raise ApiError for a payload that is too large or no JSON."""
    if len(payload) > limit:
        raise RequestTooLarge(
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
            if limit == REQUEST_LIMIT
            else f"{len(payload)} byte payload is too large for the Event invocation type (limit {limit} bytes)"
        )
    if not payload:
        return
    try:
        json.loads(payload)
    except ValueError as error:
        raise InvalidRequestContent(f"Could not parse request body into json: {error}") from error


def _series(function: Function, reference: Reference, version: Version, weighted: bool) -> list[Dimensions]:
    """The dimension sets that a call counts in.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    """
    name = ("FunctionName", function.name)
    resource = ("Resource", f"{function.name}:{reference.qualifier}" if reference.qualifier else function.name)
    sets: list[Dimensions] = [(), (name,), (name, resource)]
    if weighted:
        sets.append((name, resource, ("ExecutedVersion", version.number)))
    return sets


def _message(payload: bytes) -> str:
    try:
        found = json.loads(payload)
    except ValueError:
        return ""
    return str(found.get("errorMessage", "")) if isinstance(found, dict) else ""
