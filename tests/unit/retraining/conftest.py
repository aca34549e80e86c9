from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.catalog.model import ModelSpec
from perennial.governance.ledger import Ledger
from perennial.retraining.decisions import Arrival
from perennial.retraining.governor import Governor
from perennial.retraining.triggers import Triggers
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.storage.workflows import Workflow
from tests.aws import Account, fresh_account
from tests.runs import commit_version

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def spec_of(name: str, dataset: str, min_rows: int = 50) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": name,
            "dataset": dataset,
            "task": "binary",
            "label": {"column": "late"},
            "features": ["distance"],
            "train": {"when": {"min_rows": min_rows, "settle": 30}, "seed": 7},
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

    def drop(self, rows: int) -> str | None:
        """A batch arrives and the governor hears of it."""
        return self.governor.arrive(self.spec, self.commit(rows), AT)

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
