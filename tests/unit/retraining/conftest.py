from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from perennial.catalog.model import ModelSpec
from perennial.governance.ledger import Ledger
from perennial.monitoring.events import AlarmRaised
from perennial.retraining.decisions import Arrival
from perennial.retraining.governor import Governor
from perennial.retraining.records import Record, alarmed, asked_by, scheduled
from perennial.retraining.triggers import Triggers
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.storage.workflows import Workflow
from tests.aws import Account, fresh_account
from tests.runs import commit_version

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPORT = "reports/late/2026-02-01_2026-02-28/monitor.json"


def spec_of(name: str, dataset: str, min_rows: int = 50, **when: Any) -> ModelSpec:
    """A model spec; `when` are further fields of train.when."""
    return ModelSpec.model_validate(
        {
            "name": name,
            "dataset": dataset,
            "task": "binary",
            "label": {"column": "late"},
            "features": ["distance"],
            "train": {"when": {"min_rows": min_rows, "settle": 30, **when}, "seed": 7},
        }
    )


@dataclass
class Tower:
    """A governor with everything around it, and a model whose dataset versions arrive."""

    governor: Governor
    account: Account
    queue: str
    spec: ModelSpec = field(default_factory=lambda: spec_of("late", "flights"))
    versions: int = 0

    def commit(self, rows: int) -> Arrival:
        """A batch becomes the next dataset version; nobody has told the governor yet."""
        self.versions += 1
        number, dataset = self.versions, self.spec.dataset
        commit_version(self.governor.registry, dataset, number, rows)
        return Arrival(dataset, number, rows)

    def govern(self, **when: Any) -> None:
        """Give the model these fields of train.when."""
        self.spec = spec_of(self.spec.name, self.spec.dataset, **when)

    def drop(self, rows: int, at: datetime = AT) -> str | None:
        """A batch arrives and the governor hears of it."""
        return self.governor.arrive(self.spec, self.commit(rows), at)

    def schedule(self, at: datetime) -> Record:
        """A schedule asks."""
        return self.governor.ask(self.spec, scheduled(self.spec.name, at))

    def alarm(
        self, at: datetime, key: str = "1/a", reason: Literal["drift", "performance"] = "performance", outcomes: int = 0
    ) -> Record:
        """The monitor tells of an alarm."""
        told = AlarmRaised(
            model=self.spec.name,
            version=1,
            reason=reason,
            key=key,
            outcomes=outcomes,
            summary="worse since Monday",
            report_key=REPORT,
            as_of=at,
        )
        return self.governor.ask(self.spec, alarmed(told, at))

    def person(self, at: datetime, request: str = "r1") -> Record:
        """A person asks."""
        trigger = asked_by(self.spec.name, "arn:aws:iam::123456789012:user/ana", "AIDA1", "new tariff", request, at)
        return self.governor.ask(self.spec, trigger)

    def records(self) -> list[Record]:
        """Every trigger's record, oldest first."""
        return sorted(self.governor.triggers.records(self.spec.name), key=lambda one: (one.at, one.id))

    def train(self, flight: str | None, at: datetime = AT) -> None:
        """The flight freezes, and ends well."""
        assert flight is not None
        self.fly(flight)
        assert self.governor.finish(self.spec, flight, 1, None, at)[0] is None
        self.end(flight)

    def fly(self, flight: str) -> None:
        """Settle and freeze."""
        look = self.governor.freeze(self.spec, flight, 1, self.versions, AT)
        assert look.run == flight

    def end(self, flight: str, status: str = "succeeded") -> None:
        """The execution of a flight ends."""
        self.account.client("stepfunctions").stop_execution(
            executionArn=self.governor.workflow.execution_arn(flight), error=status
        )

    def executions(self) -> dict[str, str]:
        """Status of every execution by name."""
        found = self.account.client("stepfunctions").list_executions(stateMachineArn=self.governor.workflow.arn)
        return {one["name"]: one["status"] for one in found["executions"]}

    def input(self, flight: str) -> dict[str, Any]:
        """Input of an execution."""
        states, arn = self.account.client("stepfunctions"), self.governor.workflow.execution_arn(flight)
        found: dict[str, Any] = json.loads(states.describe_execution(executionArn=arn)["input"])
        return found

    def facts(self) -> list[str]:
        """What the ledger says of the model."""
        return [record.fact for record in self.governor.ledger.read(f"model/{self.spec.name}")]


def tower_in(account: Account) -> Tower:
    registry = Items(account.table("registry"))
    queue = account.bus("bus")
    governor = Governor(
        triggers=Triggers(Items(account.table("triggers"))),
        registry=registry,
        ledger=Ledger(Objects(account.bucket("ledger")), registry),
        bus=Bus("bus"),
        workflow=Workflow(account.machine("lifecycle")),
        data=Objects(account.bucket("data")),
        catalog=("assets", "catalog.zip"),
    )
    return Tower(governor, account, queue)


@pytest.fixture
def tower() -> Iterator[Tower]:
    with fresh_account() as account:
        yield tower_in(account)
