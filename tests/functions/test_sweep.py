"""Sweeping: what was dropped and never judged is found, and ingested as if its event had come."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.ingest.handler import lambda_handler
from perennial.datasets.sweep import Unsettled, ingest_again, unsettled
from perennial.datasets.versions import list_versions
from perennial.storage.workflows import Workflow
from tests.crash import crash_at
from tests.functions.conftest import World
from tests.functions.test_ingest import GOOD, ready

__all__ = ["ready"]

SOON = datetime.now(UTC) + timedelta(hours=1)


def found(world: World, before: datetime = SOON) -> list[Unsettled]:
    return [one for one in unsettled(world.data, world.registry, before=before) if one is not None]


def swept(world: World) -> list[dict[str, Any]]:
    """Start what is found, and do what the workflow would: call the stage with the input of the execution."""
    machine = world.account.machine("perennial-dev-ingest")
    states = world.client("stepfunctions")
    results = []
    for one in found(world):
        name = ingest_again(Workflow(machine), world.data.bucket, one.drop, SOON)
        told = states.describe_execution(executionArn=Workflow(machine).execution_arn(name))
        given = json.loads(told["input"])
        results.append(lambda_handler({"detail": given["detail"], "as_of": given["time"]}, None))
    return results


def test_a_file_whose_event_was_lost_is_found_and_ingested(ready: World) -> None:
    ready.drop("raw/tiny/lost.csv", GOOD)
    lambda_handler(ready.drop("raw/tiny/heard.csv", GOOD.replace(b"3,,", b"4,,")), None)
    ready.data.put("raw/tiny/_SUCCESS", b"")

    assert [(one.drop.key, one.state) for one in found(ready)] == [("raw/tiny/lost.csv", "unseen")]
    assert [result["status"] for result in swept(ready)] == ["accepted"]
    assert found(ready) == []
    assert [version.version for version in list_versions(ready.registry, "tiny")] == [1, 2]


def test_an_event_that_comes_after_the_sweep_adds_nothing(ready: World) -> None:
    late = ready.drop("raw/tiny/late.csv", GOOD)
    swept(ready)

    assert lambda_handler(late, None)["status"] == "duplicate"
    assert len(list_versions(ready.registry, "tiny")) == 1


def test_an_ingestion_that_died_after_its_claim_is_finished(ready: World) -> None:
    event = ready.drop("raw/tiny/died.csv", GOOD)
    with crash_at(1, "before-send", "eventbridge.PutEvents"):
        lambda_handler(event, None)

    assert [one.state for one in found(ready)] == ["unfinished"]
    assert [result["status"] for result in swept(ready)] == ["accepted"]
    assert found(ready) == []


def test_a_refused_file_and_a_young_one_are_left_alone(ready: World) -> None:
    lambda_handler(ready.drop("raw/tiny/bad.csv", b"what,is,this\n1,2,3\n"), None)
    ready.drop("raw/tiny/young.csv", GOOD)

    assert found(ready, before=datetime.now(UTC) - timedelta(minutes=15)) == []
    assert [one.drop.key for one in found(ready)] == ["raw/tiny/young.csv"]


def test_a_file_of_no_dataset_is_judged_too(ready: World) -> None:
    ready.drop("raw/nobody/stray.csv", GOOD)

    assert [result["status"] for result in swept(ready)] == ["refused"]
    assert found(ready) == []
