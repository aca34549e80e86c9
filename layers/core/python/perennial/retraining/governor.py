"""Decides about trainings: at most one per model at a time, none forgotten, and every trigger answered once.

The order of writes is what makes this hold whatever crashes, repeats or comes late (of flights: see flights.py):
- a decision to start takes the flight, counts it for the budget and records the trigger in one transaction; any other
  decision is one conditional write: so a trigger is decided once, whoever hears of it and however often;
- what was decided is told (ledger, bus, execution) before its record says so: a repetition tells what a crash left;
- an arrival is recorded before the flight is tried, and the flight is released before pending arrivals are looked for:
  so of an arrival and an ending flight, at least one sees the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from perennial.catalog.model import ModelSpec
from perennial.errors import StorageUnavailable
from perennial.events import RETRAIN_DECLINED, RetrainDeclined
from perennial.governance.failures import Failure
from perennial.retraining.decisions import (
    AGAIN,
    Arrival,
    Decision,
    Decline,
    Start,
    Wait,
    behind,
    held_back,
    is_alarm,
    learned_already,
    new_outcomes,
    on_alarm,
    on_arrival,
    on_schedule,
    switched_off,
)
from perennial.retraining.flights import Flights
from perennial.retraining.records import Record, Trigger, arrived, record_of
from perennial.retraining.triggers import Flight, Head, flight_id
from perennial.storage.bus import Bus

# Each failed attempt means that a flight took off, or that the very trigger was decided: few are a livelock.
ATTEMPTS = 20


@dataclass(frozen=True)
class Governor(Flights):
    """Decides about the trainings of all models."""

    bus: Bus

    def arrive(self, spec: ModelSpec, arrival: Arrival, at: datetime) -> str | None:
        """A dataset version of the model arrived: the id of the flight that this started, or None."""
        self.triggers.record(spec.name, arrival, at)
        trigger = arrived(spec.name, arrival, at)
        again = self.triggers.latest(spec.name, trigger.key) is not None
        record = self.ask(spec, trigger)
        # one that comes again is no trigger any more, but an occasion to look
        return self._start_if_due(spec, at) if again else record.flight

    def ask(self, spec: ModelSpec, trigger: Trigger) -> Record:
        """What is decided about a trigger; of one that came before, what was.

        Raises StorageUnavailable when flights took off and ended again and again at the same moment.
        """
        for _ in range(ATTEMPTS):
            latest = self.triggers.latest(spec.name, trigger.key)
            if latest is not None and not latest.over(trigger.at):
                return self._made_good(spec, latest)
            decided = self._decide(spec, trigger, latest)
            if decided is not None:
                return self._told(decided)
        raise StorageUnavailable(f"model {spec.name}: trigger {trigger.key} was not decided in {ATTEMPTS} attempts")

    def finish(
        self, spec: ModelSpec, flight: str, leg: int, failure: Mapping[str, Any] | None, at: datetime
    ) -> tuple[Failure | None, str | None]:
        """The flight ended: why it failed (None: it did not), and the flight started for what came meanwhile."""
        explained, room = self.end(spec, flight, leg, failure, at)
        return explained, self._start_if_due(spec, at) if room else None

    # ---- deciding

    def _decide(self, spec: ModelSpec, trigger: Trigger, before: Record | None) -> Record | None:
        """The decision, as recorded; None when somebody was faster, so that it has to be made anew."""
        flight = self._found(spec, trigger)
        head = self.triggers.head(spec.name) if flight is None else Head()
        decision = self._decision(spec, trigger, flight, head)
        if isinstance(decision, Start):
            return self._take_off(spec, decision, head, trigger.at, trigger, before)[1]
        waits = isinstance(decision, Wait)
        record = record_of(
            trigger,
            "waiting" if waits else "declined",
            decision.reason,
            before=before,
            not_before=decision.not_before,
            told=waits,
        )
        return record if self.triggers.create(record) else None

    def _found(self, spec: ModelSpec, trigger: Trigger) -> Flight | None:
        """The flight under way.

        An alarm takes the table's word for a day, after which it may ask again: so a storm of alarms asks Step
        Functions nothing, who answers ten such calls a second.
        """
        if is_alarm(trigger.reason):
            flight = self.triggers.flight(spec.name)
            if flight is None or trigger.at < datetime.fromisoformat(flight.at) + AGAIN:
                return flight
        return self.in_the_air(spec, trigger.at)

    def _decision(self, spec: ModelSpec, trigger: Trigger, flight: Flight | None, head: Head) -> Decision:
        when, reason, at = spec.train.when, trigger.reason, trigger.at
        if off := switched_off(when, reason):
            return off
        if flight is not None:
            return behind(when, reason, flight.id, datetime.fromisoformat(flight.at), at)
        held = held_back(when, head.starts, at, person=reason == "person")
        if held and reason != "data":
            return held
        arrivals = self.triggers.arrivals(spec.name)
        due = on_arrival(when, arrivals)
        if reason == "data":
            return _taken(trigger, arrivals) or (held if held and isinstance(due, Start) else due)
        own = self._own(spec, trigger, head)
        # what could not start when it came starts with whoever comes first when it can
        return Start(f"{due.reason} that waited") if isinstance(own, Decline) and isinstance(due, Start) else own

    def _own(self, spec: ModelSpec, trigger: Trigger, head: Head) -> Start | Decline:
        """What a trigger that is not data comes to by itself."""
        known = len(self.versions(spec))
        if trigger.reason == "schedule" or not known:
            return on_schedule(known, self.triggers.trained(spec.name))
        if trigger.reason == "person":
            return Start(trigger.told)
        when, last = spec.train.when, max(head.starts, default=None)
        outcomes = int(trigger.evidence["outcomes"])
        if when.outcomes and last is not None:
            outcomes = new_outcomes(self.data.find_json(trigger.evidence["report_key"]), outcomes, last)
        decision = on_alarm(when, trigger.told, outcomes, last, trigger.at)
        if isinstance(decision, Decline):
            return decision
        trained = self.triggers.trained(spec.name)
        return learned_already(known, trained, spec.train.maturity, trigger.at) or decision

    # ---- starting

    def _start_if_due(self, spec: ModelSpec, at: datetime) -> str | None:
        """The id of a flight that was started now for pending arrivals, or None."""
        if self.in_the_air(spec, at) is not None:
            return None
        head, when = self.triggers.head(spec.name), spec.train.when
        decision = on_arrival(when, self.triggers.arrivals(spec.name))
        if isinstance(decision, Decline) or held_back(when, head.starts, at):
            return None
        return self._take_off(spec, decision, head, at)[0]

    def _take_off(
        self,
        spec: ModelSpec,
        decision: Start,
        head: Head,
        at: datetime,
        trigger: Trigger | None = None,
        before: Record | None = None,
    ) -> tuple[str | None, Record | None]:
        """The id of a flight that took off and was launched, and the trigger's record; (None, None) when another was
        faster.
        """
        versions = self.versions(spec)
        flight = Flight(
            flight_id(spec.name, head.flights + 1, decision.reason, at),
            spec.name,
            seen=len(versions),
            latest=max((one.version for one in versions), default=0),
            settle_seconds=spec.train.when.settle,
            reason=decision.reason,
            at=at.isoformat(),
            cause=trigger.cause() if trigger else {"reason": "data"},
        )
        why = decision.reason
        record = record_of(trigger, "started", why, before=before, flight=flight.id) if trigger else None
        if not self.triggers.take_off(flight, head, at, record):
            return None, None
        self.launch(flight)
        return flight.id, record

    # ---- telling

    def _made_good(self, spec: ModelSpec, record: Record) -> Record:
        """A record that was found, once everybody knows of it."""
        if record.told:
            return record
        if record.decided == "started":
            self.in_the_air(spec, datetime.fromisoformat(record.at))
        return self._told(record)

    def _told(self, record: Record) -> Record:
        if record.told:
            return record
        if record.decided == "declined":
            self._decline(record)
        self.triggers.set_told(record)
        return replace(record, told=True)

    def _decline(self, record: Record) -> None:
        at = datetime.fromisoformat(record.at)
        asked = {"reason": record.reason, "key": record.key, "evidence": record.evidence}
        evidence = {"reason": record.why, "not_before": record.not_before, "trigger": asked}
        self.record(record.model, "declined", f"declined/{record.id}", at, evidence)
        declined = RetrainDeclined(
            model=record.model,
            reason=record.why,
            trigger=record.reason,
            key=record.key,
            not_before=datetime.fromisoformat(record.not_before) if record.not_before else None,
            as_of=at,
        )
        self.bus.put(RETRAIN_DECLINED, declined)


def _taken(trigger: Trigger, arrivals: list[Arrival]) -> Wait | None:
    """Whether the arrival was seen by a training before it was heard of."""
    known = trigger.evidence
    for one in arrivals:
        if (one.dataset, one.version) == (known["dataset"], known["version"]) and not one.pending:
            return Wait(f"{one.flight} has seen it already")
    return None
