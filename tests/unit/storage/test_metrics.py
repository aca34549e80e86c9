"""Sums of CloudWatch metrics over whole minutes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perennial.errors import StorageUnavailable
from perennial.storage import metrics
from perennial.storage.metrics import Total, totals
from tests.aws import Account, fresh_account

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEN_PAST = NOON + timedelta(minutes=10)


@pytest.fixture
def account() -> Iterator[Account]:
    with fresh_account() as account:
        yield account


def counted(account: Account, version: str, *minutes: int) -> None:
    """A request in each of these minutes after noon."""
    dimensions = [{"Name": "ExecutedVersion", "Value": version}]
    account.client("cloudwatch").put_metric_data(
        Namespace="AWS/Lambda",
        MetricData=[
            {
                "MetricName": "Invocations",
                "Dimensions": dimensions,
                "Timestamp": NOON + timedelta(minutes=minute),
                "Value": 1.0,
                "Unit": "Count",
            }
            for minute in minutes
        ],
    )


def asked(version: str, since: datetime = NOON, until: datetime = TEN_PAST) -> Total:
    return Total("AWS/Lambda", "Invocations", {"ExecutedVersion": version}, since, until)


def test_the_last_minute_is_not_counted_and_the_first_is(account: Account) -> None:
    counted(account, "1", -1, 0, 0, 9, 10)
    counted(account, "2", 5)
    assert totals([asked("1"), asked("2"), asked("3")]) == [3, 1, 0]


def test_every_question_has_its_own_span(account: Account) -> None:
    counted(account, "1", *range(20))
    assert totals([asked("1"), asked("1", TEN_PAST, TEN_PAST + timedelta(minutes=5)), asked("1", NOON, NOON)]) == [
        10,
        5,
        0,
    ]


def test_an_answer_that_is_none_is_no_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    class Paginator:
        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return [{"MetricDataResults": [{"Id": "m0", "StatusCode": "InternalError", "Values": []}]}]

    class Client:
        def get_paginator(self, _: str) -> Paginator:
            return Paginator()

    monkeypatch.setattr(metrics, "client", lambda service: Client())
    with pytest.raises(StorageUnavailable, match="InternalError"):
        totals([asked("1")])
