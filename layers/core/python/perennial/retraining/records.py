"""A trigger: why a training was asked for, on what evidence; and its record, with what was decided and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from perennial.monitoring.events import AlarmRaised
from perennial.retraining.decisions import Arrival, Reason, is_alarm, moment

Decided = Literal["started", "declined", "waiting"]

# What people and monitors write is told in full in the evidence, and up to here in a reason.
TOLD = 1000


@dataclass(frozen=True)
class Trigger:
    """Somebody or something asks for a training of `model` at `at`. The same asking has the same `key`, however often
    it comes.
    """

    model: str
    reason: Reason
    key: str
    evidence: dict[str, Any]
    at: datetime

    @property
    def told(self) -> str:
        """Who asks for what, in words."""
        known = self.evidence
        match self.reason:
            case "drift" | "performance":
                return f"{self.reason} of version {known['version']}: {known['summary'][:TOLD]}"
            case "person":
                return f"{known['by']} asked: {known['words']}"
            case "schedule":
                return f"scheduled for {moment(self.at)}"
        return f"{known['rows']} rows arrived as {known['dataset']} version {known['version']}"

    def cause(self) -> dict[str, Any]:
        """What a flight, its request and the ledger say of the trigger."""
        return {"reason": self.reason, "key": self.key, "evidence": self.evidence}


@dataclass(frozen=True)
class Record:
    """What was decided about a trigger. `id` is the trigger's key, and of an alarm that was asked about again when
    that was possible. `told` once ledger and bus know it, and a flight that it started has its execution.
    """

    model: str
    id: str
    reason: Reason
    key: str
    evidence: dict[str, Any]
    at: str
    decided: Decided
    why: str
    flight: str | None = None
    not_before: str | None = None
    told: bool = False

    def shown(self) -> dict[str, Any]:
        """The record as JSON."""
        return {name: value for name, value in asdict(self).items() if name not in ("id", "told")}

    def over(self, at: datetime) -> bool:
        """Whether the alarm may be asked about again: it was declined, and what it was declined for is over."""
        again = is_alarm(self.reason) and self.decided == "declined" and self.not_before is not None
        return again and at >= datetime.fromisoformat(str(self.not_before))


def record_of(
    trigger: Trigger,
    decided: Decided,
    why: str,
    *,
    before: Record | None,
    flight: str | None = None,
    not_before: datetime | None = None,
    told: bool = False,
) -> Record:
    """The record of a decision; `before` is the one of the same alarm that is over."""
    return Record(
        model=trigger.model,
        id=record_id(trigger.key, before),
        reason=trigger.reason,
        key=trigger.key,
        evidence=trigger.evidence,
        at=trigger.at.isoformat(),
        decided=decided,
        why=why,
        flight=flight,
        not_before=not_before.isoformat() if not_before else None,
        told=told,
    )


def record_id(key: str, before: Record | None = None) -> str:
    """Id of the next record of a key: in the order of ids, they are in the order of time."""
    return f"{key}#{before.not_before if before else ''}"


# ---- the five reasons


def arrived(model: str, arrival: Arrival, at: datetime) -> Trigger:
    """A dataset version arrived."""
    evidence = {"dataset": arrival.dataset, "version": arrival.version, "rows": arrival.rows}
    return Trigger(model, "data", _key("data", arrival.dataset, f"{arrival.version:08d}"), evidence, at)


def scheduled(model: str, at: datetime) -> Trigger:
    """A schedule was due at `at`."""
    return Trigger(model, "schedule", _key("schedule", at.isoformat()), {"scheduled": at.isoformat()}, at)


def alarmed(alarm: AlarmRaised, at: datetime) -> Trigger:
    """The monitor told of an alarm at `at`."""
    evidence: Mapping[str, Any] = alarm.model_dump(mode="json", exclude={"model", "reason", "key"})
    return Trigger(alarm.model, alarm.reason, _key(alarm.reason, alarm.key), {"alarm": alarm.key, **evidence}, at)


def asked_by(model: str, arn: str, principal: str, words: str, request: str, at: datetime) -> Trigger:
    """A person asked, in these words; `request` is the id of the HTTPS request."""
    evidence = {"by": arn, "principal": principal, "words": words}
    return Trigger(model, "person", _key("person", request), evidence, at)


def _key(*parts: str) -> str:
    return "/".join(quote(part, safe="/:=+") for part in parts)
