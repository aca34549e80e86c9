"""One execution environment: a process on the Lambda runtime client, which serves one request at a time.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import shutil
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.local import process
from infra.local.context import Cloud
from infra.local.lambdas.logs import LogWriter, Writer
from infra.local.lambdas.model import Version
from infra.local.lambdas.pipes import Pipe, Pump
from infra.local.lambdas.roles import LAMBDA
from infra.local.lambdas.runtime_api import Report, RuntimeApi, Work
from infra.local.lambdas.variables import Launch
from infra.local.lambdas.watch import Watched, Watcher

MEGABYTE = 1024 * 1024
TAIL = 4096  # bytes of log that Invoke returns on request


@dataclass(frozen=True)
class Outcome:
    """How initialisation or an invocation ended. `fatal`: the process is of no more use."""

    payload: bytes = b""
    failed: bool = False
    fatal: bool = False
    status: Literal["", "timeout", "error"] = ""
    error_type: str = ""


@dataclass(frozen=True)
class Machinery:
    """What every sandbox of a cloud shares, and every task."""

    cloud: Cloud
    logs: LogWriter
    pump: Pump
    watcher: Watcher


class Sandbox:
    """The process, its Runtime API, its log stream. Used by one thread at a time."""

    def __init__(self, version: Version, launch: Launch, machinery: Machinery) -> None:
        self.version = version
        self.ready = False
        self.idle_since = 0.0
        self._launch = launch
        self._machinery = machinery
        self._writer = Writer(version.settings["Role"], LAMBDA)
        moment = machinery.cloud.clock.now()
        self.stream = f"{moment:%Y/%m/%d}/[{version.number}]{secrets.token_hex(16)}"
        self._temporary = machinery.cloud.workdir / "tmp" / secrets.token_hex(8)
        self._tail: deque[str] = deque(maxlen=200)
        self._guard = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    def start(self) -> None:
        """Start a fresh process (ending a former one)."""
        self.kill()
        self._api = RuntimeApi()
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._pipes = [Pipe(self.log), Pipe(self.log, framed=True)]
        telemetry = self._pipes[1].writer
        variables = {
            **self._launch.variables,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            **({} if self.version.snapped else {"AWS_LAMBDA_LOG_STREAM_NAME": self.stream}),
            "TMPDIR": str(self._temporary),
            "_LAMBDA_TELEMETRY_LOG_FD": str(telemetry),
        }
        output = self._pipes[0].writer
        with self._guard:
            if self._closed:
                raise RuntimeError("the local cloud is stopping")
            self._child = process.spawn(
                self._launch.arguments,
                env=variables,
                cwd=self._launch.directory,
                stdout=output,
                stderr=output,
                pass_fds=(telemetry,),
            )
        for pipe in self._pipes:
            pipe.written()
            self._machinery.pump.add(pipe)
        reports = self._api.reports
        self._watched = Watched(
            self._child,
            self.version.settings["MemorySize"] * MEGABYTE,
            exceeded=lambda: reports.put(Report("memory")),
            ended=lambda: reports.put(Report("exit")),
        )

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._child is not None and self._child.poll() is None

    @property
    def peak(self) -> int:
        """The most memory it has held, in bytes."""
        return self._watched.peak

    def initialise(self, limit: float, request_id: str) -> Outcome:
        """Wait until the runtime asks for its first event, at most `limit` seconds."""
        outcome = self._await(request_id, limit, limit)
        self.ready = not outcome.failed
        return outcome

    def run(self, work: Work, limit: float, timeout: float) -> Outcome:
        """Have one event handled within `limit` seconds; `timeout` is what a refusal speaks of."""
        self._api.give(work)
        outcome = self._await(work.request_id, limit, timeout)
        self._watched.resident()
        for pipe in self._pipes:
            pipe.drain()
        return outcome

    def _await(self, request_id: str, limit: float, timeout: float) -> Outcome:
        deadline = time.monotonic() + limit
        self._machinery.watcher.add(self._watched)
        try:
            while True:
                try:
                    report = self._api.reports.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    return self._timed_out(request_id, timeout)
                outcome = self._judge(report, request_id)
                if outcome is not None:
                    return outcome
        finally:
            self._machinery.watcher.remove(self._watched)

    def _judge(self, report: Report, request_id: str) -> Outcome | None:
        """What a report means for the wait for `request_id`; None when it means nothing."""
        if report.kind == "ready":
            return Outcome()
        if report.kind == "init-error":
            return self._fatal(report.body, "error", _error_type(report.body))
        if report.kind == "memory":
            self.kill()
            return self._exited(request_id, "signal: killed", "Runtime.OutOfMemory")
        if report.kind in ("hangup", "exit"):
            return self._gone(request_id)
        if report.request_id != request_id:
            return None
        if report.kind == "response":
            return Outcome(report.body)
        if report.kind == "oversized":
            return self._oversized(int(report.body))
        return Outcome(report.body, failed=True, status="error", error_type=_error_type(report.body))

    def _gone(self, request_id: str) -> Outcome | None:
        child = self._child
        if child is None:  # ended from outside: the cloud stops
            return self._exited(request_id, "signal: killed", "Runtime.ExitError")
        try:
            status = child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return None  # it closed a connection and lives on
        if status < 0:
            how = "signal: killed" if status == -9 else f"signal: {-status}"
            return self._exited(request_id, how, "Runtime.ExitError")
        return self._exited(request_id, f"exit status {status}" if status else "", "Runtime.ExitError")

    def _exited(self, request_id: str, how: str, kind: str) -> Outcome:
        ending = f"exited with error: {how}" if how else "exited without providing a reason"
        message = f"RequestId: {request_id} Error: Runtime {ending}"
        body = json.dumps({"errorType": "Runtime.ExitError", "errorMessage": message}).encode()
        return self._fatal(body, "error", kind)

    def _oversized(self, size: int) -> Outcome:
        limit = 6 * MEGABYTE + 100
        message = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({limit} bytes)."
        body = json.dumps({"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}).encode()
        return self._fatal(body, "error", "Function.ResponseSizeTooLarge")

    def _timed_out(self, request_id: str, timeout: float) -> Outcome:
        message = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
        body = json.dumps({"errorType": "Sandbox.Timedout", "errorMessage": message}).encode()
        return self._fatal(body, "timeout", "Sandbox.Timedout")

    def _fatal(self, body: bytes, status: Literal["timeout", "error"], kind: str) -> Outcome:
        self.kill()
        return Outcome(body, failed=True, fatal=True, status=status, error_type=kind)

    def log(self, message: str) -> None:
        """One log event of this environment; what is printed ends in a line break."""
        self._tail.append(message)
        self._machinery.logs.add(self._launch.log_group, self.stream, message, self._writer)

    def fresh_tail(self) -> None:
        """Forget what was logged before this invocation."""
        self._tail.clear()

    def tail(self) -> bytes:
        """The last bytes that were logged in this invocation."""
        return "".join(self._tail).encode()[-TAIL:]

    def kill(self) -> None:
        """End the process and pass on what it has written."""
        self.ready = False
        with self._guard:
            child, self._child = self._child, None
        if child is None:
            return
        process.end(child)
        self._api.close()
        for pipe in self._pipes:
            self._machinery.pump.remove(pipe)

    def close(self) -> None:
        """End it for good, with its temporary files."""
        with self._guard:
            self._closed = True
        self.kill()
        with contextlib.suppress(OSError):
            shutil.rmtree(Path(self._temporary))


def _error_type(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("errorType", "")) if isinstance(found, dict) else ""
