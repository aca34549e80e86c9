"""AWS in this process (moto), an account of its own per use.

moto keeps its state per process, and a session-wide local cloud may live in the same one: so nothing is reset; instead
each use assumes a role in an account that nobody else has, its buckets have names that nobody else has, and at the end
that account is forgotten.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import SystemRandom
from typing import Any

import boto3
import boto3.s3.inject
import boto3.s3.transfer
import botocore.session
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.loaders import create_loader
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber
from moto.s3.models import FakeKey, s3_backends

from perennial.storage import translate
from tests.crash import calls

REGION = "eu-west-1"
_loader = create_loader()
_numbers = count(SystemRandom().randrange(10**11, 9 * 10**11))


@dataclass(frozen=True)
class Account:
    """A fresh AWS account; `suffix` makes bucket names unique."""

    id: str
    suffix: str

    def client(self, service: str) -> Any:
        """The client that the library uses too."""
        return translate.client(service)

    def empty(self) -> None:
        """Forget everything that was made in this account; its clients go on."""
        for backends in BackendDict._instances:
            if backends.service_name not in ("iam", "sts"):
                dict.pop(backends, self.id, None)
        for bucket, (_, owner) in list(s3_backends.bucket_accounts.items()):
            if owner == self.id:
                del s3_backends.bucket_accounts[bucket]
        mine = [key for key in FakeKey.instances_tracked if key.account_id == self.id]
        for key in mine:
            key.dispose()
        FakeKey.instances_tracked[:] = [key for key in FakeKey.instances_tracked if not key.disposed]

    def bucket(self, name: str) -> str:
        """Make a bucket `<name>-<suffix>`, versioned as in the template, and return its name."""
        bucket = f"{name}-{self.suffix}"
        s3 = self.client("s3")
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return bucket

    def table(self, name: str) -> str:
        """Make a table with string keys pk and sk, as in the template, and return its name."""
        self.client("dynamodb").create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return name

    def bus(self, name: str) -> str:
        """Make an event bus whose Perennial events all go to a queue; returns the queue's URL."""
        sqs, events = self.client("sqs"), self.client("events")
        url: str = sqs.create_queue(QueueName=f"{name}-events")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.create_event_bus(Name=name)
        events.put_rule(Name="all", EventBusName=name, EventPattern=json.dumps({"source": ["perennial"]}))
        events.put_targets(Rule="all", EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
        return url

    def machine(self, name: str) -> str:
        """Make a state machine whose executions stay RUNNING until they are stopped (moto does not execute it here)."""
        definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}}
        reply = self.client("stepfunctions").create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=f"arn:aws:iam::{self.id}:role/{name}"
        )
        return str(reply["stateMachineArn"])


@contextmanager
def fresh_account(number: str | None = None) -> Iterator[Account]:
    """Every boto3 client made inside talks to a new, empty account in this process; no sockets.

    With a `number` of its own a test gets the same names, and so the same bytes, each time.
    """
    number = number or str(next(_numbers))
    mock = mock_aws()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN", "MOTO_ACCOUNT_ID"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_REGION", REGION)
        _make_calls_atomic(patch)
        _make_transfers_serial(patch)
        mock.start(reset=False)
        try:
            role = f"arn:aws:iam::{number}:role/test"
            keys = _session().client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
            patch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
            patch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
            patch.setattr(boto3, "DEFAULT_SESSION", _session())
            translate.client.cache_clear()
            account = Account(number, number[-8:])
            yield account
            account.empty()
        finally:
            translate.client.cache_clear()
            mock.stop(remove_data=False)


def _session() -> boto3.Session:
    """A session of its own, but with the process's service models: reading them takes most of a short test."""
    session = botocore.session.Session()
    session.register_component("data_loader", _loader)
    for event in calls.EVENTS:
        session.get_component("event_emitter").register_first(event, calls.announce)
    return boto3.Session(botocore_session=session)


def _make_calls_atomic(patch: pytest.MonkeyPatch) -> None:
    """moto looks at a condition, then writes: two threads may both find it true. AWS's writes are atomic."""
    lock, original = threading.RLock(), BotocoreStubber.__call__

    def call(self: BotocoreStubber, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return original(self, *args, **kwargs)

    patch.setattr(BotocoreStubber, "__call__", call)


def _make_transfers_serial(patch: pytest.MonkeyPatch) -> None:
    """Uploads and copies make their calls one after the other in the thread that asks: the same order every time."""
    for module in (boto3.s3.inject, boto3.s3.transfer):
        patch.setattr(module, "TransferConfig", partial(TransferConfig, use_threads=False))
