"""Trainings under way, from outside: what arrives meanwhile, what cannot be trained, what keeps arriving."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import boto3
import pytest

from infra.workflows.lifecycle import LOOKS
from perennial.datasets.versions import list_versions
from scripts.cli import local
from scripts.cli.deployment import Deployment
from scripts.cli.local import free_port
from tests.local.shop import (
    GOOD,
    HEADER,
    Shop,
    eventually,
    new_shop,
    orders,
    tensors,
    write_catalog,
    write_orders,
)
from tests.local.small_functions import until

pytestmark = [pytest.mark.xdist_group("flights-in-flight"), pytest.mark.timeout(600)]


class Flights(Shop):
    """The shop whose data settles for an hour of a clock that the test drives."""

    def deploy(self, change: Callable[[str, str], str] = lambda _, text: text) -> None:
        """Deploy the catalog with its files changed: `change(name, text)`."""
        catalog = write_catalog(self.workdir / "catalog")
        for path in catalog.glob("*/*.yaml"):
            text = path.read_text("utf-8").replace("settle: 1s", "settle: 1h")
            path.write_text(change(path.stem, text), encoding="utf-8")
        self.json("up", "--detach", "--port", self.environment["PORT"], "--catalog", str(catalog))

    def aws(self, service: str) -> Any:
        factory: Any = boto3.client
        return factory(service)

    @property
    def bucket(self) -> str:
        found: str = self.aws("ssm").get_parameter(Name="/perennial/dev/data-bucket")["Parameter"]["Value"]
        return found

    def upload(self, month: int, *further: str) -> None:
        """A file of one month as any S3 client sends it, with `further` columns all true; nobody waits for it."""
        rows = [row + ["true"] * len(further) for row in orders(month)]
        path = write_orders(self.workdir / f"{month}.csv", rows, [*HEADER, *further])
        self.aws("s3").upload_file(str(path), self.bucket, f"raw/orders/{month}.csv")

    @cached_property
    def machine(self) -> str:
        """ARN of the state machine lifecycle."""
        found: str = self.aws("ssm").get_parameter(Name="/perennial/dev/lifecycle-workflow")["Parameter"]["Value"]
        return found

    def execution(self, name: str) -> dict[str, Any]:
        arn = f"{self.machine.replace(':stateMachine:', ':execution:')}:{name}"
        found: dict[str, Any] = self.aws("stepfunctions").describe_execution(executionArn=arn)
        return found

    def executions(self) -> list[str]:
        """Every execution of lifecycle, oldest first."""
        found = self.aws("stepfunctions").list_executions(stateMachineArn=self.machine)["executions"]
        return [one["name"] for one in sorted(found, key=lambda one: (one["startDate"], one["name"]))]

    def entered(self, execution: str) -> list[str]:
        """The states that an execution has entered."""
        arn = self.execution(execution)["executionArn"]
        pages = self.aws("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
        events = sorted((event for page in pages for event in page["events"]), key=lambda event: event["id"])
        return [one["stateEnteredEventDetails"]["name"] for one in events if "stateEnteredEventDetails" in one]

    def started(self, known: int) -> str:
        """Name of the execution after the `known` ones, once it waits for its data to settle."""
        eventually(lambda: len(self.executions()) > known)
        (name,) = self.executions()[known:]
        eventually(lambda: "Settle" in self.entered(name))
        return name

    def looked(self, execution: str, times: int) -> bool:
        """Whether an execution has looked so often at what arrived."""
        return self.entered(execution).count("Settled") == times

    def ended(self, execution: str) -> dict[str, Any]:
        eventually(lambda: self.execution(execution)["status"] != "RUNNING")
        return self.execution(execution)

    def wait_an_hour(self) -> None:
        local.control(self.environment["AWS_ENDPOINT_URL"], "tick", {"seconds": 3601})

    def settle(self, execution: str) -> None:
        """An hour passes, and the execution looks and trains."""
        self.wait_an_hour()
        eventually(lambda: "Train" in self.entered(execution))

    def served(self) -> str:
        """The version that answers."""
        version: str = self.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD))["model_version"]
        return version

    def request(self, flight: str) -> dict[str, Any]:
        """What a training was asked to train on."""
        body = self.aws("s3").get_object(Bucket=self.bucket, Key=f"staging/{flight}/request.json")["Body"].read()
        found: dict[str, Any] = json.loads(body)
        return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flights]:
    made = new_shop(tmp_path_factory.mktemp("flights"))
    shop, environment = Flights(made.workdir, made.environment), made.environment
    environment["PORT"] = str(free_port())
    shop.deploy()
    try:
        variables = shop.json("env")
        environment.update(variables)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(boto3, "DEFAULT_SESSION", None)
            yield shop
    finally:
        shop.run("down")


@pytest.fixture(scope="module")
def trained(shop: Flights) -> tuple[str, str]:
    """The first flight, during whose training two files arrived; and the flight that they started."""
    shop.upload(1)
    first = shop.started(0)
    shop.settle(first)
    for month in (2, 3):
        shop.upload(month)
    items = Deployment("dev").items
    eventually(lambda: len(list_versions(items, "orders")) == 3)
    assert shop.execution(first)["status"] == "RUNNING"
    assert shop.executions() == [first]
    assert shop.ended(first)["status"] == "SUCCEEDED"
    second = shop.started(1)
    shop.settle(second)
    assert shop.ended(second)["status"] == "SUCCEEDED"
    return first, second


def test_what_arrives_during_a_training_starts_exactly_one_more(shop: Flights, trained: tuple[str, str]) -> None:
    first, second = trained
    assert shop.executions() == [first, second]
    assert [one["version"] for one in shop.request(first)["versions"]] == [1]
    assert [one["version"] for one in shop.request(second)["versions"]] == [1, 2, 3]
    assert shop.served() == "2"


def _new_label(name: str, text: str) -> str:
    """The team adds a column to its contract, and makes it the label."""
    if name == "returns":
        return text.replace("label: {column: returned}", "label: {column: kept}")
    column = "{name: kept, logicalType: boolean, customProperties: [{property: availableAtPrediction, value: false}]}"
    return f"{text.rstrip()}\n      - {column}\n"


def _many_rows(name: str, text: str) -> str:
    """The team asks for more rows than there are."""
    return text.replace("  min_rows: 50", "  min_rows: 100000")


def test_a_label_that_no_contract_declares_is_refused_by_file_and_column(
    shop: Flights, trained: tuple[str, str]
) -> None:
    catalog = write_catalog(shop.workdir / "wrong")
    path = catalog / "models/returns.yaml"
    path.write_text(_new_label("returns", path.read_text("utf-8")), encoding="utf-8")
    words = ("up", "--detach", "--port", shop.environment["PORT"], "--catalog", str(catalog))
    said = shop.run(*words, expect=1)
    assert "returns.yaml" in said
    assert "'kept'" in said
    assert shop.served() == "2"


@pytest.mark.parametrize(
    ("month", "change", "further", "cause"),
    [
        (4, _many_rows, [], "at least 100000 are needed"),
        (5, _new_label, ["kept"], "has no column 'kept'"),
    ],
    ids=["too few rows", "label missing"],
)
def test_a_training_that_cannot_work_fails_by_name_and_the_champion_keeps_serving(
    shop: Flights,
    trained: tuple[str, str],
    month: int,
    change: Callable[[str, str], str],
    further: list[str],
    cause: str,
) -> None:
    shop.deploy(change)
    known = len(shop.executions())
    shop.upload(month, *further)
    flight = shop.started(known)
    shop.settle(flight)
    told = shop.ended(flight)
    assert (told["status"], told["error"]) == ("FAILED", "TrainingDataInvalid")
    assert cause in told["cause"]
    assert "\n" not in told["cause"]
    assert not told["cause"].startswith("{")
    assert len(shop.executions()) == known + 1
    assert shop.served() == "2"


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_flight_whose_data_keeps_arriving_goes_on_as_a_new_execution(shop: Flights, trained: tuple[str, str]) -> None:
    # given a flight
    shop.deploy()
    known = len(shop.executions())
    shop.upload(6)
    flight = shop.started(known)
    # when a version is committed before each of its looks (the rows of the first one again: ingesting takes longer)
    versions = Committed(shop)
    for look in range(1, LOOKS + 1):
        versions.commit()
        shop.wait_an_hour()
        until(partial(shop.looked, flight, look), 60)
    # then the execution ends and another goes on under the same flight, which freezes all of it, and trains once
    assert shop.ended(flight)["status"] == "SUCCEEDED"
    further = shop.started(known + 1)
    assert further == f"{flight}-2"
    assert "Train" not in shop.entered(flight)
    shop.settle(further)
    assert shop.ended(further)["status"] == "SUCCEEDED"
    assert shop.executions()[known:] == [flight, further]
    assert shop.entered(further).count("Train") == 1
    assert len(shop.request(flight)["versions"]) == versions.number
    assert shop.served() == "3"
    told = {one["name"]: one["continued_as"] for one in shop.json("status")["executions"]}
    assert (told[flight], told[further]) == (further, None)


class Committed:
    """Versions of the dataset that hold the rows of the first one."""

    def __init__(self, shop: Flights) -> None:
        name = shop.aws("ssm").get_parameter(Name="/perennial/dev/registry-table")["Parameter"]["Value"]
        self.table: Any = boto3.resource("dynamodb").Table(name)
        self.first = self.table.get_item(Key={"pk": "DATASET#orders", "sk": "VERSION#00000001"})["Item"]
        self.number = len(shop.json("datasets"))

    def commit(self) -> None:
        self.number += 1
        self.table.put_item(Item=self.first | {"sk": f"VERSION#{self.number:08d}", "version": self.number})
