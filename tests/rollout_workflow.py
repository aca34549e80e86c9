"""The workflow `rollout` by hand: its states, the fields they keep, its waits, and its way back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.errors import PerennialError, VersionsKept

KNOWN = ("version", "lambda_version", "former", "revision", "canary")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)

Call = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Execution:
    """One execution. `call` is stage deploy; `waited` is told how long it waits, before each look."""

    call: Call
    model: str
    version: int | str | dict[str, Any]
    arn: str
    at: datetime = AT
    waited: Callable[[int], None] = lambda seconds: None
    known: dict[str, Any] = field(default_factory=dict)
    next: str = "publish"
    answer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = {"model": self.model, **dict.fromkeys(KNOWN), "version": self.version, "execution": self.arn}

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.next == "end"

    def run(self) -> dict[str, Any]:
        """To its end; the last answer."""
        while not self.over:
            self.step()
        return self.answer

    def step(self) -> None:
        """One state."""
        action = self.next
        if action == "look":
            self.at += timedelta(seconds=self.answer["wait"])
            self.waited(self.answer["wait"])
        try:
            self.answer = self._ask(action)
        except PerennialError as error:
            if action == "restore":
                raise
            self._back(type(error).__name__, json.dumps({"errorMessage": str(error)}))
            return
        self.next = self._after(action)

    def _after(self, action: str) -> str:
        answer = self.answer
        if action == "shift":
            self.known["moved"] = self.at.isoformat()
        if action in ("publish", "shift", "look"):
            self.known |= {name: answer[name] for name in KNOWN}
        if action == "publish":
            return "end" if answer["lambda_version"] is None else "check"
        if action in ("shift", "look"):
            if answer["next"] == "restore":
                self._back(answer["error"], answer["cause"])
                return self.next
            return str(answer["next"])
        if action == "verify":
            with suppress(VersionsKept):
                self.answer = self._ask("prune")
        return {"check": "smoke", "smoke": "shift"}.get(action, "end")

    def _back(self, error: str, cause: str) -> None:
        self.next = "restore"
        self.known["failure"] = {"Error": error, "Cause": cause}

    def _ask(self, action: str) -> dict[str, Any]:
        return self.call({**self.known, "action": action, "as_of": self.at.isoformat()})
