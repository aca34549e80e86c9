"""One outcome: whose it is, what it was, and when that was known. One line of JSON each.

    {"prediction_id" | "entity": {column: value} + "event_time", "outcome", "amount", "at", "received_at"}

Times are RFC 3339 in UTC. A line that says nothing of `amount` has no such member.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from perennial.storage.objects import canonical_json

Value = str | int | float | bool


@dataclass(frozen=True)
class Outcome:
    """Ground truth of one prediction: named by its id, or by the entity it was about and when the outcome came about.

    `outcome` is the label column's value as the contract has it (minutes late, not whether that is late); `amount` its
    business value in the model's unit; `at` when it was observed; `received_at` when it reached Perennial.
    """

    outcome: Value
    at: datetime
    received_at: datetime
    prediction_id: str | None = None
    entity: Mapping[str, Value] = field(default_factory=dict)
    event_time: datetime | None = None
    amount: float | None = None

    @property
    def subject(self) -> tuple[Any, ...]:
        """What it is about: two outcomes with the same subject are about the same thing, the newer one stands."""
        return (
            (self.prediction_id,) if self.prediction_id is not None else (*sorted(self.entity.items()), self.event_time)
        )

    @property
    def rank(self) -> tuple[datetime, datetime, str]:
        """The larger one stands: observed later, else received later, else by digest, so that any order ends alike."""
        return self.at, self.received_at, self.digest

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what was said: the same again has the same digest, whenever it is received."""
        said = {name: value for name, value in self.line().items() if name != "received_at"}
        if self.at == self.received_at:  # nobody said when
            del said["at"]
        return hashlib.sha256(canonical_json(said)).hexdigest()

    def line(self) -> dict[str, Any]:
        """The outcome as JSON."""
        about: dict[str, Any] = {"prediction_id": self.prediction_id}
        if self.event_time is not None:
            about = {"entity": dict(self.entity), "event_time": instant(self.event_time)}
        amount = {} if self.amount is None else {"amount": self.amount}
        times = {"at": instant(self.at), "received_at": instant(self.received_at)}
        return about | {"outcome": self.outcome} | amount | times


def parse_outcome(line: Mapping[str, Any]) -> Outcome:
    """The outcome in a line. Raises KeyError and ValueError for what is none."""
    event_time = line.get("event_time")
    return Outcome(
        outcome=line["outcome"],
        at=datetime.fromisoformat(line["at"]),
        received_at=datetime.fromisoformat(line["received_at"]),
        prediction_id=line["prediction_id"] if event_time is None else None,
        entity=line.get("entity", {}),
        event_time=None if event_time is None else datetime.fromisoformat(event_time),
        amount=line.get("amount"),
    )


def instant(moment: datetime) -> str:
    """An aware time as text in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
