"""The governor's memory: arrivals, the flight of each model, and what was trained (the triggers table)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import ConditionFailed
from perennial.retraining.decisions import Arrival
from perennial.storage.items import ABSENT, Items

FLIGHT = "FLIGHT"
TRAINED = "TRAINED"


@dataclass(frozen=True)
class Flight:
    """The one training of a model that is under way. When it was asked for, `seen` dataset versions up to number
    `latest` were known.

    `id` names the execution, the run and its workspace.
    """

    id: str
    model: str
    seen: int
    latest: int
    settle_seconds: int
    reason: str
    at: str

    def request(self) -> dict[str, Any]:
        """Input of the workflow `lifecycle`; `looks` is what its first look compares with."""
        return {"model": self.model, "flight": self.id, "settle_seconds": self.settle_seconds, "looks": self.seen}


@dataclass(frozen=True)
class Triggers:
    """The triggers table."""

    items: Items

    # ---- arrivals

    def record(self, model: str, arrival: Arrival, at: datetime) -> None:
        """Remember an arrival; one that is known keeps what is known of it."""
        self.items.create(_arrival_item(model, arrival) | {"at": at.isoformat()})

    def arrivals(self, model: str) -> list[Arrival]:
        """Every arrival of a model."""
        return [
            Arrival(item["dataset"], int(item["version"]), int(item["rows"]), item.get("flight"))
            for item in self.items.query(_pk(model), "ARRIVAL#")
        ]

    def take_into_account(self, model: str, arrivals: Iterable[Arrival], flight: str, at: datetime) -> None:
        """Mark `arrivals` as seen by a flight, those too whose events are still on their way."""
        known = {(one.dataset, one.version): one for one in self.arrivals(model)}
        for arrival in arrivals:
            before = known.get((arrival.dataset, arrival.version))
            if before is None:
                self.record(model, Arrival(arrival.dataset, arrival.version, arrival.rows, flight), at)
            if before is None or before.flight is None:
                self._mark(model, arrival, flight)

    def _mark(self, model: str, arrival: Arrival, flight: str) -> None:
        try:
            self.items.update(_pk(model), _arrival_sk(arrival), {"flight": flight}, "attribute_not_exists(flight)")
        except ConditionFailed:
            return  # another flight saw it first: it stays that one's

    # ---- the flight

    def flight(self, model: str) -> Flight | None:
        """The flight under way, or None."""
        item = self.items.get(_pk(model), FLIGHT)
        if item is None:
            return None
        return Flight(
            **{name: item[name] for name in ("id", "model", "seen", "latest", "settle_seconds", "reason", "at")}
        )

    def take_off(
        self, model: str, *, seen: int, latest: int, settle_seconds: int, reason: str, at: datetime
    ) -> Flight | None:
        """Take the model's one flight; None when another was faster.

        The number in the id counts the model's flights. The digest keeps a new environment of the same name from
        reusing execution names, which Step Functions remembers for 90 days.
        """
        head = self.items.get(_pk(model), "HEAD")
        flights = int(head["flights"]) if head else 0
        digest = hashlib.sha256(f"{model} {flights + 1} {reason} {at.isoformat()}".encode()).hexdigest()[:8]
        flight = Flight(
            f"{model}-{flights + 1:06d}-{digest}", model, seen, latest, settle_seconds, reason, at.isoformat()
        )
        counted = ("flights = :flights", {":flights": flights}) if head else (ABSENT, None)
        try:
            self.items.transact(
                self.items.put_action({"pk": _pk(model), "sk": FLIGHT, **flight.__dict__}, ABSENT),
                self.items.update_action(_pk(model), "HEAD", {"flights": flights + 1}, *counted),
            )
        except ConditionFailed:
            return None
        return flight

    def land(self, model: str, flight: str) -> bool:
        """Release the flight of this id; False when it was not (or no longer) the one under way."""
        try:
            self.items.delete(_pk(model), FLIGHT, "id = :id", {":id": flight})
        except ConditionFailed:
            return False
        return True

    # ---- what was trained

    def trained(self, model: str) -> int:
        """How many dataset versions the last finished training saw; 0 before the first."""
        item = self.items.get(_pk(model), TRAINED)
        return int(item["versions"]) if item else 0

    def set_trained(self, model: str, versions: int, flight: str) -> None:
        """Remember how many dataset versions a finished training saw; the number never goes back."""
        changes = {"versions": versions, "flight": flight}
        try:
            self.items.update(
                _pk(model), TRAINED, changes, "attribute_not_exists(versions) OR versions < :new", {":new": versions}
            )
        except ConditionFailed:
            return


def _pk(model: str) -> str:
    return f"MODEL#{model}"


def _arrival_sk(arrival: Arrival) -> str:
    return f"ARRIVAL#{arrival.dataset}#{arrival.version:08d}"


def _arrival_item(model: str, arrival: Arrival) -> dict[str, Any]:
    return {"pk": _pk(model), "sk": _arrival_sk(arrival), **arrival.__dict__}
