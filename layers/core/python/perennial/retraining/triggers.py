"""The governor's memory (the triggers table): triggers and what was decided about them, arrivals, the flight of each
model, and what was trained.

Records of triggers lie in a partition of their own: a storm of them takes no throughput from the flight's items.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from perennial.errors import ConditionFailed
from perennial.retraining.decisions import MONTH, Arrival
from perennial.retraining.records import Record, record_id
from perennial.storage.items import ABSENT, Item, Items

FLIGHT = "FLIGHT"
TRAINED = "TRAINED"
HEAD = "HEAD"

# How many starts are remembered: an item holds 400 KB, and nobody's budget is more than this in 30 days.
STARTS = 1000


@dataclass(frozen=True)
class Flight:
    """The one training of a model that is under way. When it was asked for, dataset versions up to number `latest` were
    known; `seen` were when its present leg began.

    `id` names the run and its workspace. A flight that settles for long goes on in further executions, its legs.
    `cause` says which trigger started it.
    """

    id: str
    model: str
    seen: int
    latest: int
    settle_seconds: int
    reason: str
    at: str
    leg: int = 1
    cause: dict[str, Any] = field(default_factory=dict)

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
class Head:
    """How many flights a model has had, and when those of the last 30 days took off (and the last one, in any case)."""

    flights: int = 0
    starts: tuple[datetime, ...] = ()

    def further(self, at: datetime) -> Item:
        """What is remembered once one more took off at `at`."""
        starts = sorted([*(one for one in self.starts if one > at - MONTH), at])
        return {"flights": self.flights + 1, "starts": [one.isoformat() for one in starts[-STARTS:]]}


@dataclass(frozen=True)
class Triggers:
    """The triggers table."""

    items: Items

    # ---- what was asked, and decided

    def latest(self, model: str, key: str) -> Record | None:
        """The last record of a trigger's key, or None."""
        found = self.items.query(_records(model), record_id(key), newest_first=True, limit=1)
        return next((_record(item) for item in found), None)

    def create(self, record: Record) -> bool:
        """Record a decision; False when there is one of this id."""
        return self.items.create(_record_item(record))

    def set_told(self, record: Record) -> None:
        """Remember that everybody was told who has to know."""
        self.items.update(_records(record.model), record.id, {"told": True})

    def records(self, model: str) -> Iterator[Record]:
        """Every record of a model."""
        yield from map(_record, self.items.query(_records(model)))

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

    def head(self, model: str) -> Head:
        """How many flights there were, and when."""
        item = self.items.get(_pk(model), HEAD)
        if item is None:
            return Head()
        return Head(int(item["flights"]), tuple(datetime.fromisoformat(one) for one in item.get("starts", [])))

    def take_off(self, flight: Flight, head: Head, at: datetime, record: Record | None) -> bool:
        """Take the model's one flight, and record the decision that it started by; False when another was faster.

        All of it or nothing: a budget that `head` allows is not overdrawn, and a trigger starts one flight at most.
        """
        counted = ("flights = :flights", {":flights": head.flights}) if head.flights else (ABSENT, None)
        recorded = [self.items.put_action(_record_item(record), ABSENT)] if record else []
        try:
            self.items.transact(
                self.items.put_action({"pk": _pk(flight.model), "sk": FLIGHT, **asdict(flight)}, ABSENT),
                self.items.update_action(_pk(flight.model), HEAD, head.further(at), *counted),
                *recorded,
            )
        except ConditionFailed:
            return False
        return True

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


def flight_id(model: str, number: int, reason: str, at: datetime) -> str:
    """Id of a model's flight of that number.

    The digest keeps a new environment of the same name from reusing execution names, which Step Functions remembers
    for 90 days.
    """
    digest = hashlib.sha256(f"{model} {number} {reason} {at.isoformat()}".encode()).hexdigest()[:8]
    return f"{model}-{number:06d}-{digest}"


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


def _records(model: str) -> str:
    return f"TRIGGERS#{model}"


def _record_item(record: Record) -> Item:
    item = asdict(record)
    return {"pk": _records(record.model), "sk": item.pop("id"), **item}


def _record(item: Item) -> Record:
    known = {one.name: item[one.name] for one in fields(Record) if one.name in item}
    return Record(id=item["sk"], **known)


def _arrival_sk(arrival: Arrival) -> str:
    return f"ARRIVAL#{arrival.dataset}#{arrival.version:08d}"


def _arrival_item(model: str, arrival: Arrival) -> dict[str, Any]:
    return {"pk": _pk(model), "sk": _arrival_sk(arrival), **arrival.__dict__}
