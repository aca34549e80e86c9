"""The local cloud on a driven clock: move it to a moment, and wait until all that is due by then is done."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perennial.retraining.triggers import Triggers
from perennial.storage.items import Items
from scripts.cli import local
from scripts.cli.deployment import Deployment
from scripts.cli.output import Failure

# Real seconds within which a step of the loop (a training is the longest) has to end.
PATIENCE = 240.0
# What a workflow waits for that only the clock brings on.
WAITING = {"WaitStateEntered"}
WORKFLOWS = ("ingest", "lifecycle", "rollout")


@dataclass(frozen=True)
class Drive:
    """Moves the clock of a running cloud."""

    deployment: Deployment

    @property
    def endpoint(self) -> str:
        """Where the cloud's controls answer."""
        return os.environ["AWS_ENDPOINT_URL"]

    def now(self) -> datetime:
        """What the cloud's clock reads."""
        return datetime.fromisoformat(local.control(self.endpoint, "health")["time"])

    def to(self, moment: datetime) -> None:
        """Move the clock forward to a moment; one that has passed moves nothing."""
        ahead = (moment - self.now()).total_seconds()
        if ahead > 0:
            local.control(self.endpoint, "tick", {"seconds": ahead})

    def until(self, done: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """What `done` gives once that is true. Raises Failure, which says what was waited for."""
        deadline = time.monotonic() + patience
        while not (found := done()):
            if time.monotonic() > deadline:
                raise Failure(f"waited {patience:.0f} s for {what}")
            time.sleep(0.1)
        return found

    def settle(self) -> None:
        """Wait until every execution has ended or waits for the clock; short waits are passed on the way."""
        deadline = time.monotonic() + PATIENCE
        while True:
            states = [self._last(one["executionArn"]) for one in self._running()]
            busy = [state for state in states if state not in {"settling", "waiting"}]
            if not busy and "settling" not in states:
                return
            if not busy:
                self.to(self.now() + timedelta(seconds=10))
            if time.monotonic() > deadline:
                raise Failure(f"executions did not end in {PATIENCE:.0f} s: {busy}")
            time.sleep(0.1)

    def _running(self) -> list[dict[str, Any]]:
        return [one for workflow in WORKFLOWS for one in self.deployment.executions(workflow, "RUNNING")]

    def _last(self, execution: str) -> str:
        """What an execution does: `settling` and `waiting` for the clock, else the state that it is in."""
        history = self.deployment.client("stepfunctions").get_execution_history(executionArn=execution)
        events = sorted(history["events"], key=lambda event: event["id"])
        entered = [one["stateEnteredEventDetails"]["name"] for one in events if "stateEnteredEventDetails" in one]
        state = str(entered[-1]) if entered else "started"
        if events and events[-1]["type"] in WAITING:
            return "settling" if state == "Settle" else "waiting"
        # the rollout below is looked at by itself
        return "waiting" if state == "Deploy" and events[-1]["type"] == "TaskSubmitted" else state

    def watched(self, model: str, looks: int) -> None:
        """Wait until the monitor has looked so many times, and the governor has heard of its alarms."""
        self.until(lambda: len(self._reports(model)) >= looks, f"look {looks} of the monitor at {model}")
        newest = max(self._reports(model), default=None)
        if newest is None:
            return
        keys = {alarm["key"] for alarm in json.loads(self.deployment.data.get(newest))["alarms"]}
        known = Triggers(Items(self.deployment.parameters["triggers-table"]))
        self.until(
            lambda: keys <= {one.evidence.get("alarm") for one in known.records(model)},
            "the governor to hear of an alarm",
        )
        self.settle()

    def reports(self, model: str) -> dict[str, dict[str, Any]]:
        """What the monitor has reported, by window."""
        return {key.split("/")[-2]: json.loads(self.deployment.data.get(key)) for key in self._reports(model)}

    def _reports(self, model: str) -> list[str]:
        return [key for key in self.deployment.data.list(f"reports/{model}/") if key.endswith("/monitor.json")]
