"""The governor's memory: arrivals, the flight of each model, and what was trained (the triggers table)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from perennial.errors import ConditionFailed
from perennial.retraining.decisions import Arrival
from perennial.storage.items import ABSENT, Items

FLIGHT = "FLIGHT"
TRAINED = "TRAINED"


@dataclass(frozen=True)
class Flight:
    """The one training of a model that is under way. When it was asked for, dataset versions up to number `latest` were
    known; `seen` were when its present leg began.

    `id` names the run and its workspace. A flight that settles for long goes on in further executions, its legs.
    """

    id: str
    model: str
    seen: int
    latest: int
    settle_seconds: int
    reason: str
    at: str
    leg: int = 1

    @property
    def execution(self) -> str:
        """Name of the execution of the present leg: always the same, so that starting it twice is starting it once."""
        return self.id if self.leg == 1 else f"{self.id}-{self.leg}"

    def request(self) -> dict[str, Any]:
        """Input of the workflow `lifecycle`; `seen` is what its first look compares with."""
        return {
            "model": self.model,
            "flight": self.id,
            "leg": self.leg,
            "settle_seconds": self.settle_seconds,
            "seen": self.seen,
        }


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
            Arrival(item["dataset"], int(item["version"]), int(item["rows"]), item.get("flight"), item.get("returned"))
            for item in self.items.query(_pk(model), "ARRIVAL#")
        ]

    def take_into_account(self, model: str, arrivals: Iterable[Arrival], flight: str, at: datetime) -> None:
        """Mark `arrivals` as seen by a flight, those too whose events are still on their way."""
        known = {(one.dataset, one.version): one for one in self.arrivals(model)}
        for arrival in arrivals:
            before = known.get((arrival.dataset, arrival.version))
            if before is None:
                self.record(model, Arrival(arrival.dataset, arrival.version, arrival.rows, flight), at)
            if before is None or before.pending:
                # an earlier flight that comes late takes nothing back from a later one: ids count up
                later = "attribute_not_exists(flight) OR (flight = returned AND flight < :later)"
                self._change(model, arrival, {"flight": flight}, later, {":later": flight})

    def give_back(self, model: str, arrivals: Iterable[Arrival], flight: str) -> None:
        """Unmark `arrivals`, which no training saw although this flight took them into account."""
        for arrival in arrivals:
            self._change(model, arrival, {"returned": flight}, "flight = :own", {":own": flight})

    def _change(
        self, model: str, arrival: Arrival, changes: dict[str, Any], condition: str, values: dict[str, Any]
    ) -> None:
        try:
            self.items.update(_pk(model), _arrival_sk(arrival), changes, condition, values)
        except ConditionFailed:
            return  # it is another flight's: it stays that one's

    # ---- the flight

    def flight(self, model: str) -> Flight | None:
        """The flight under way, or None."""
        item = self.items.get(_pk(model), FLIGHT)
        if item is None:
            return None
        return Flight(**{field.name: item[field.name] for field in fields(Flight) if field.name in item})

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

    def hand_over(self, flight: Flight, seen: int) -> Flight | None:
        """The flight in its next leg, which knows `seen` dataset versions; None when it is no longer in this one."""
        further = replace(flight, leg=flight.leg + 1, seen=seen)
        changes = {"leg": further.leg, "seen": further.seen}
        try:
            self.items.update(_pk(flight.model), FLIGHT, changes, *_in_leg(flight.id, flight.leg))
        except ConditionFailed:
            return None
        return further

    def land(self, model: str, flight: str, leg: int) -> bool:
        """Release the flight of this id; False when it is not (or no longer) under way in this leg."""
        try:
            self.items.delete(_pk(model), FLIGHT, *_in_leg(flight, leg))
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


def continued_as(execution: str) -> str:
    """Name of the execution that goes on where `execution` ends, when it ends before its training began."""
    match = re.fullmatch(r"(?P<flight>.+-\d{6,}-[0-9a-f]{8})(?:-(?P<leg>\d+))?", execution)
    if match is None:
        return ""
    return f"{match['flight']}-{int(match['leg'] or 1) + 1}"


def _in_leg(flight: str, leg: int) -> tuple[str, dict[str, Any]]:
    return "id = :id AND leg = :leg", {":id": flight, ":leg": leg}


def _pk(model: str) -> str:
    return f"MODEL#{model}"


def _arrival_sk(arrival: Arrival) -> str:
    return f"ARRIVAL#{arrival.dataset}#{arrival.version:08d}"


def _arrival_item(model: str, arrival: Arrival) -> dict[str, Any]:
    return {"pk": _pk(model), "sk": _arrival_sk(arrival), **arrival.__dict__}
