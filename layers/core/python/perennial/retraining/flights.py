"""The flight of a model: launched, settled, frozen, handed over, ended; and put right after a crash.

The order of writes is what makes this hold whatever crashes, repeats or comes late:
- a flight is taken in the table before its execution starts, under a name in the table: so whoever finds a flight
  without an execution starts that very execution, and starting it twice is starting it once;
- a flight goes on in its next leg in the table before that leg's execution starts: from then on the execution before
  can neither freeze nor release it;
- whoever finds a flight whose execution has ended without releasing it (aborted by a person, lost) finishes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.catalog.model import ModelSpec
from perennial.datasets.versions import DatasetVersion, list_versions
from perennial.errors import FlightUnknown, fault_of
from perennial.governance.failures import Failure, explain, is_task
from perennial.governance.ledger import Ledger
from perennial.governance.records import Fact
from perennial.retraining.decisions import Arrival, settled
from perennial.retraining.triggers import Flight, Triggers
from perennial.storage.items import Items
from perennial.storage.objects import Objects, canonical_json
from perennial.storage.workflows import RUNNING, Workflow

ACTOR = "retrain"


@dataclass(frozen=True)
class Look:
    """What a look at a settling flight found; `run` is set when the versions are frozen."""

    seen: int
    run: str | None = None
    request_key: str | None = None


@dataclass(frozen=True)
class Flights:
    """The flights of all models; `catalog` is where the deployed catalog lies (bucket, key)."""

    triggers: Triggers
    registry: Items
    ledger: Ledger
    workflow: Workflow
    data: Objects
    catalog: tuple[str, str]

    def freeze(self, spec: ModelSpec, flight: str, leg: int, seen: int, at: datetime) -> Look:
        """Once no dataset version came since the last look: write the run's request and see its arrivals as taken.

        Raises FlightUnknown for a flight that is not under way in this leg.
        """
        current = self._under_way(spec, flight, leg)
        key = request_key(flight)
        request = self.data.find_json(key)
        if request is None:
            versions = self.versions(spec)
            if not settled(len(versions), seen):
                return Look(len(versions))
            # the first look to settle decides: a repeated one finds its request
            self.data.create(key, canonical_json(self._request(spec, current, versions, at)))
            request = self.data.get_json(key)
        self.triggers.take_into_account(spec.name, _in_request(request), flight, at)
        return Look(len(request["versions"]), flight, key)

    def hand_over(self, spec: ModelSpec, flight: str, leg: int, seen: int) -> str:
        """The flight goes on in a new execution, whose first look compares with `seen`: that execution's name.

        Raises FlightUnknown for a flight that is not under way in this leg or the next.
        """
        current = self.triggers.flight(spec.name)
        if current is not None and (current.id, current.leg) == (flight, leg):
            # when another is faster it may be this very call
            current = self.triggers.hand_over(current, seen) or self.triggers.flight(spec.name)
        if current is None or (current.id, current.leg) != (flight, leg + 1):
            raise FlightUnknown(f"{flight} is not the training of {spec.name} that is under way in leg {leg}")
        self.launch(current)
        return current.execution

    def end(
        self, spec: ModelSpec, flight: str, leg: int, failure: Mapping[str, Any] | None, at: datetime
    ) -> tuple[Failure | None, bool]:
        """The flight ended: why it failed (None: it did not), and whether that leaves room for the next one.

        A leg that fails although the next one has begun ends nothing.
        """
        explained = self._explain(flight, failure) if failure else None
        current = self.triggers.flight(spec.name)
        if current is not None and current.id == flight and current.leg != leg:
            return explained, False
        self._finish(spec, flight, leg, explained, at)
        return explained, True

    def launch(self, flight: Flight) -> None:
        """Start the execution of a flight that is in the table, and say who asked for it."""
        if flight.leg == 1:
            evidence: dict[str, Any] = {"flight": flight.id, "reason": flight.reason, "dataset_versions": flight.seen}
            evidence |= {"trigger": flight.cause} if flight.cause else {}
            at = datetime.fromisoformat(flight.at)
            self.record(flight.model, "requested", f"requested/{flight.id}", at, evidence)
        self.workflow.start(flight.execution, flight.request())

    def in_the_air(self, spec: ModelSpec, at: datetime) -> Flight | None:
        """The flight under way, after putting right what a crash left: not launched yet, or ended and not released."""
        flight = self.triggers.flight(spec.name)
        if flight is None:
            return None
        status = self.workflow.status(flight.execution)
        if status is None:
            self.launch(flight)
        elif status not in (RUNNING, "PENDING_REDRIVE"):
            now = self.triggers.flight(spec.name)
            if now != flight:
                return now  # it went on, or ended, while we looked
            self._finish(spec, flight.id, flight.leg, _ended(flight, status), at)
            return self.triggers.flight(spec.name)
        return flight

    def versions(self, spec: ModelSpec) -> list[DatasetVersion]:
        """The versions of the model's dataset."""
        return list_versions(self.registry, spec.dataset)

    def record(self, model: str, fact: Fact, key: str, at: datetime, evidence: dict[str, Any]) -> None:
        """Append to the model's chain of the ledger."""
        self.ledger.append(f"model/{model}", fact, key=key, at=at, actor=ACTOR, evidence=evidence)

    def _under_way(self, spec: ModelSpec, flight: str, leg: int) -> Flight:
        current = self.triggers.flight(spec.name)
        if current is None or (current.id, current.leg) != (flight, leg):
            raise FlightUnknown(f"{flight} is not the training of {spec.name} that is under way in leg {leg}")
        return current

    def _finish(self, spec: ModelSpec, flight: str, leg: int, failure: Failure | None, at: datetime) -> None:
        """Everything but what comes next. Of a flight that failed, what it saw is marked before it is released: else a
        flight that fails before it froze anything would be started again by the arrivals that started it.
        """
        request = self.data.find_json(request_key(flight))
        if failure is not None:
            seen, fault = self._seen_by(spec, flight, request), fault_of(failure.error)
            self.triggers.take_into_account(spec.name, seen, flight, at)
            if fault == "surroundings":
                self.triggers.give_back(spec.name, seen, flight)
            evidence = {"flight": flight, "error": failure.error, "cause": failure.cause, "fault": fault}
            self.record(spec.name, "failed", f"failed/{flight}", at, evidence)
        elif request is not None:
            self.triggers.set_trained(spec.name, len(request["versions"]), flight)
        self.triggers.land(spec.name, flight, leg)

    def _seen_by(self, spec: ModelSpec, flight: str, request: Mapping[str, Any] | None) -> list[Arrival]:
        """What a flight froze; or what it was started for, if it is under way and froze nothing."""
        if request is not None:
            return _in_request(request)
        current = self.triggers.flight(spec.name)
        if current is None or current.id != flight:
            return []
        return [
            Arrival(one.dataset, one.version, one.rows) for one in self.versions(spec) if one.version <= current.latest
        ]

    def _explain(self, run: str, failure: Mapping[str, Any]) -> Failure:
        """The failure in the stage's own words; a task's lie in its workspace."""
        named = self.data.find_json(f"staging/{run}/error.json") if is_task(failure) else None
        return Failure(str(named["error"]), str(named["cause"])) if named else explain(failure)

    def _request(
        self, spec: ModelSpec, flight: Flight, versions: Sequence[DatasetVersion], at: datetime
    ) -> dict[str, Any]:
        bucket, key = self.catalog
        return {
            "model": spec.name,
            "run": flight.id,
            "flight": flight.id,
            "dataset": spec.dataset,
            "versions": [
                {
                    "version": one.version,
                    "content_sha256": one.content_sha256,
                    "rows": one.rows,
                    "files": list(one.files),
                    "first_event_time": one.first_event_time,
                    "last_event_time": one.last_event_time,
                }
                for one in versions
            ],
            "seed": spec.train.seed,
            "as_of": at.isoformat(),
            "catalog": {"bucket": bucket, "key": key},
            "reason": flight.reason,
            "trigger": flight.cause,
        }


def request_key(run: str) -> str:
    """S3 key of the request of a run."""
    return f"staging/{run}/request.json"


def _in_request(request: Mapping[str, Any]) -> list[Arrival]:
    return [Arrival(request["dataset"], one["version"], one["rows"]) for one in request["versions"]]


def _ended(flight: Flight, status: str) -> Failure | None:
    if status == "SUCCEEDED":
        return None
    return Failure("ExecutionEnded", f"execution {flight.execution} ended as {status} without saying why")
