"""`world`: everything a stage needs of AWS, in this process, empty but for the deployed catalog."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from perennial.governance.ledger import Ledger
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from tests.aws import Account, fresh_account

CATALOG = Path(__file__).parents[2] / "infra" / "catalog"
EVENTS = Path(__file__).parents[2] / "events"
ENVIRONMENT = "dev"


@dataclass
class World:
    """Buckets, tables, bus, lifecycle machine and stage variables of environment dev."""

    account: Account
    patch: pytest.MonkeyPatch
    data: Objects
    records: Objects
    assets: Objects
    registry: Items
    triggers: Items
    bus: str
    lifecycle: str
    _queue: str
    _taken: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        """The ledger of this world."""
        return Ledger(self.records, self.registry)

    def client(self, service: str) -> Any:
        """The boto3 client that the library uses too."""
        return self.account.client(service)

    def setenv(self, **variables: str) -> None:
        """Set variables of the stage's environment."""
        for name, value in variables.items():
            self.patch.setenv(name, value)

    def facts(self, detail_type: str | None = None) -> list[dict[str, Any]]:
        """Events on the bus so far (detail-type, source, detail…), oldest first, optionally of one detail-type."""
        sqs = self.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._taken.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return [event for event in self._taken if detail_type in (None, event["detail-type"])]

    def ledger_facts(self, subject: str) -> list[str]:
        """The facts recorded about a subject, oldest first."""
        return [record.fact for record in self.ledger.read(subject)]

    def executions(self) -> list[dict[str, Any]]:
        """Executions of the lifecycle machine, oldest first, each with its parsed `input`."""
        states = self.client("stepfunctions")
        found = states.list_executions(stateMachineArn=self.lifecycle)["executions"]
        described = [states.describe_execution(executionArn=one["executionArn"]) for one in found]
        return sorted(
            ({**one, "input": json.loads(one["input"])} for one in described), key=lambda one: one["startDate"]
        )

    def deploy_catalog(self, directory: Path | None = CATALOG, extra: dict[str, str] | None = None) -> None:
        """Deploy the YAML files of `directory` (None: none) and of `extra`, e.g. {"models/late.yaml": text}."""
        files = dict(extra or {})
        for path in sorted(directory.glob("*/*.yaml")) if directory else []:
            files.setdefault(str(path.relative_to(directory or path)), path.read_text("utf-8"))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                # with a date of its own: the same files are the same bytes
                archive.writestr(zipfile.ZipInfo(name), text)
        # named by content, as CDK names an asset: processes keep the catalog of a key that they have read
        key = f"{hashlib.sha256(buffer.getvalue()).hexdigest()}.zip"
        self.assets.put(key, buffer.getvalue())
        self.setenv(CATALOG_BUCKET=self.assets.bucket, CATALOG_KEY=key)

    def make_table(self, name: str) -> None:
        """Make the Glue table of a dataset, as the template does, unless it is there."""
        glue, database = self.client("glue"), os.environ["GLUE_DATABASE"]
        if name in {table["Name"] for table in glue.get_tables(DatabaseName=database)["TableList"]}:
            return
        location = {"Location": f"s3://{self.data.bucket}/curated/{name}/"}
        keys = [{"Name": "version", "Type": "string"}]
        glue.create_table(
            DatabaseName=database, TableInput={"Name": name, "PartitionKeys": keys, "StorageDescriptor": location}
        )

    def drop(self, key: str, body: bytes) -> dict[str, Any]:
        """Put an object under raw/; the input that the workflow makes of its event."""
        reply = self.client("s3").put_object(Bucket=self.data.bucket, Key=key, Body=body)
        event: dict[str, Any] = json.loads((EVENTS / "ingest.json").read_text("utf-8"))
        event["detail"]["bucket"]["name"] = self.data.bucket
        event["detail"]["object"] |= {
            "key": key, "size": len(body), "etag": reply["ETag"].strip('"'), "version-id": reply["VersionId"],
        }  # fmt: skip
        return {"detail": event["detail"], "as_of": event["time"]}


@contextmanager
def world_in(account: Account) -> Iterator[World]:
    """A world in an empty account, with the shipped catalog deployed and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        data, records, assets = (Objects(account.bucket(name)) for name in ("data", "ledger", "assets"))
        registry, triggers = (
            Items(account.table(f"perennial-{ENVIRONMENT}-{name}")) for name in ("registry", "triggers")
        )
        bus = f"perennial-{ENVIRONMENT}"
        lifecycle = account.machine(f"perennial-{ENVIRONMENT}-lifecycle")
        world = World(account, patch, data, records, assets, registry, triggers, bus, lifecycle, account.bus(bus))
        world.setenv(
            ENVIRONMENT=ENVIRONMENT,
            DATA_BUCKET=data.bucket,
            LEDGER_BUCKET=records.bucket,
            REGISTRY_TABLE=registry.table,
            TRIGGERS_TABLE=triggers.table,
            BUS=bus,
            LIFECYCLE_WORKFLOW=lifecycle,
            GLUE_DATABASE=_glue(account, f"perennial_{ENVIRONMENT}"),
            PREDICT_PREFIX=f"perennial-{ENVIRONMENT}-predict-",
            KEPT_VERSIONS="10",
            APPROVAL_REQUIRED="false",
            APPROVAL_DAYS="7",
            APPROVALS_TABLE=account.table(f"perennial-{ENVIRONMENT}-approvals"),
            RANGE_ROWS="3",
            PREDICTION_LOG_DAYS="90",
            ALERTS_TOPIC=account.client("sns").create_topic(Name=f"perennial-{ENVIRONMENT}-alerts")["TopicArn"],
            PROMOTION_WORKFLOW=account.machine(f"perennial-{ENVIRONMENT}-promotion"),
            POWERTOOLS_SERVICE_NAME="test",
            POWERTOOLS_METRICS_NAMESPACE="Perennial",
        )
        world.deploy_catalog()
        yield world


@pytest.fixture
def world() -> Iterator[World]:
    """A fresh world with the shipped catalog deployed."""
    with fresh_account() as account, world_in(account) as world:
        yield world


def _glue(account: Account, name: str) -> str:
    account.client("glue").create_database(DatabaseInput={"Name": name})
    return name
