"""The lines that Lambda itself writes around an invocation, as text or as JSON.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MEGABYTE = 1024 * 1024
QUIET = frozenset({"WARN"})  # SystemLogLevel that leaves out start, report and the like


@dataclass(frozen=True)
class Usage:
    """What an invocation cost: seconds of duration and of initialisation (None when warm), bytes of memory."""

    duration: float
    init: float | None
    peak: int


class PlatformLog:
    """Writes the lines of one invocation with `write`."""

    def __init__(
        self, write: Callable[[str], None], now: Callable[[], datetime], settings: Mapping[str, Any], number: str
    ) -> None:
        self._write = write
        self._now = now
        self._memory = settings["MemorySize"]
        self._runtime = settings.get("Runtime") or "provided"
        logging = settings.get("LoggingConfig") or {}
        self._json = logging.get("LogFormat") == "JSON"
        self._quiet = self._json and logging.get("SystemLogLevel") in QUIET
        self._number = number

    def init_start(self, kind: str = "on-demand") -> None:
        """A new environment begins to initialise."""
        text = f"INIT_START Runtime Version: {self._runtime}"
        self._line(text, "platform.initStart", {"initializationType": kind, "phase": "init"})

    def init_failed(self, seconds: float, status: str, kind: str) -> None:
        """Initialisation did not succeed; it is tried again within the invocation."""
        text = f"INIT_REPORT Init Duration: {seconds * 1000:.2f} ms\tPhase: init\tStatus: {status}"
        text += f"\tError Type: {kind}" if status == "error" and kind else ""
        record = {"phase": "init", "status": status, "metrics": {"durationMs": round(seconds * 1000, 3)}}
        self._line(text, "platform.initReport", record)

    def init_done(self, seconds: float) -> None:
        """A version was initialised for its snapshot."""
        text = f"INIT_REPORT Init Duration: {seconds * 1000:.2f} ms\tPhase: init"
        record = {"phase": "init", "status": "success", "metrics": {"durationMs": round(seconds * 1000, 3)}}
        self._line(text, "platform.initReport", record)

    def start(self, request_id: str) -> None:
        """The runtime is handed the event."""
        text = f"START RequestId: {request_id} Version: {self._number}"
        self._line(text, "platform.start", {"requestId": request_id, "version": self._number})

    def timed_out(self, request_id: str, timeout: float) -> None:
        """The line in front of the report of an invocation that took too long."""
        if not self._json:
            moment = self._now()
            stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
            self._write(f"{stamp} {request_id} Task timed out after {timeout:.2f} seconds\n\n")

    def failed(self, request_id: str, message: str) -> None:
        """The line of a runtime that has ended by itself or was killed."""
        if not self._json:
            known = message.startswith("RequestId:")
            self._write(f"{message}\n" if known else f"RequestId: {request_id} Error: {message}\n")

    def report(self, request_id: str, usage: Usage, status: str, kind: str) -> None:
        """The end of the invocation, and what it cost."""
        if not self._json:
            self._write(f"END RequestId: {request_id}\n")
        self._line(
            self._report_text(request_id, usage, status, kind),
            "platform.report",
            self._record(request_id, usage, status),
        )

    def _report_text(self, request_id: str, usage: Usage, status: str, kind: str) -> str:
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {usage.duration * 1000:.2f} ms",
            f"Billed Duration: {_billed(usage)} ms",
            f"Memory Size: {self._memory} MB",
            f"Max Memory Used: {self._used(usage)} MB",
        ]
        if usage.init is not None:
            parts.append(f"Init Duration: {usage.init * 1000:.2f} ms")
        if status:
            parts.append(f"Status: {status}")
        if status == "error" and kind:
            parts.append(f"Error Type: {kind}")
        return "\t".join([*parts, ""])

    def _record(self, request_id: str, usage: Usage, status: str) -> dict[str, Any]:
        metrics = {
            "durationMs": round(usage.duration * 1000, 3),
            "billedDurationMs": _billed(usage),
            "memorySizeMB": self._memory,
            "maxMemoryUsedMB": self._used(usage),
        }
        if usage.init is not None:
            metrics["initDurationMs"] = round(usage.init * 1000, 3)
        return {"requestId": request_id, "status": status or "success", "metrics": metrics}

    def _used(self, usage: Usage) -> int:
        return min(int(self._memory), math.ceil(usage.peak / MEGABYTE))

    def _line(self, text: str, kind: str, record: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        if not self._json:
            self._write(f"{text}\n")
            return
        moment = self._now()
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
        self._write(json.dumps({"time": stamp, "type": kind, "record": dict(record)}) + "\n")


def _billed(usage: Usage) -> int:
    """Milliseconds on the bill: initialisation is billed too, since August 2025."""
    return math.ceil((usage.duration + (usage.init or 0.0)) * 1000)
