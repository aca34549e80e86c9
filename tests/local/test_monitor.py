"""A model is watched on the running cloud: its schedule fires as days pass, and what moved is told."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from perennial.storage.objects import Objects
from tests.local.grants import REASONS, Roles, told
from tests.local.shop import Shop, eventually, tensors

pytestmark = [pytest.mark.xdist_group("main-job"), pytest.mark.timeout(900)]
DAYS = 9
ROWS = 60
# What these looks need not use, beyond what holds for every role.
UNUSED = REASONS | {
    ("MonitorScheduleRole", "sqs:SendMessage"): "a look that cannot be asked for goes to the dead letters",
    ("MonitorRole", "xray:PutTelemetryRecords"): "traces are not imitated",
    ("MonitorRole", "xray:PutTraceSegments"): "traces are not imitated",
    ("MonitorRole", "s3:AbortMultipartUpload"): "reports and days are small",
}


def listening() -> str:
    """A queue that hears every alarm of the monitor; its URL."""
    sqs, events = boto3.client("sqs"), boto3.client("events")
    url: str = sqs.create_queue(QueueName="alarms-heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn,
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = json.dumps({"source": ["perennial"], "detail-type": ["Drift Detected"]})
    events.put_rule(Name="alarms-heard", EventBusName="perennial-dev", EventPattern=pattern)
    events.put_targets(Rule="alarms-heard", EventBusName="perennial-dev", Targets=[{"Id": "queue", "Arn": arn}])
    return url


def predict(shop: Shop, number: int) -> list[str]:
    """A day's requests for dear orders, as training never saw them; the ids of the predictions."""
    rng = np.random.default_rng(number)
    rows = tensors(
        price=rng.normal(400, 30, ROWS).round(2).tolist(),
        größe=rng.choice(["S", "M", "L", "XL"], ROWS).tolist(),
        first_order=(rng.random(ROWS) < 0.3).tolist(),
    )
    answer = shop.api.json("POST", "/v2/models/returns/infer", rows)
    found: list[str] = next(one["data"] for one in answer["outputs"] if one["name"] == "prediction_id")
    return found


@pytest.fixture(scope="module")
def watched(served: Shop) -> dict[str, Any]:
    """Days of dear orders, with outcomes; `time` is what the clock then reads, `queue` hears alarms."""
    queue, time = listening(), ""
    for number in range(DAYS):
        ids = predict(served, number)
        said = [{"prediction_id": one, "outcome": place % 3 == 0} for place, one in enumerate(ids)]
        assert served.api.json("POST", "/v2/models/returns/feedback", {"outcomes": said})["accepted"] == ROWS
        time = served.json("tick", "1d")["time"]
    return {"queue": queue, "time": time}


def alarmed(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.json("ledger", "show", "model/returns")
    return [one for one in found if one["fact"] == "alarmed"]


def test_its_schedule_finds_what_moved_and_tells_it_once(served: Shop, watched: dict[str, Any]) -> None:
    (record,) = eventually(lambda: [one for one in alarmed(served) if one["evidence"]["reason"] == "drift"])
    evidence = record["evidence"]
    assert "price" in evidence["what"]
    assert evidence["how_much"].startswith("price: mean ")
    assert "train.when.drift of model returns is false" in evidence["next"]
    told_of = json.loads(received(watched["queue"]))
    assert (told_of["detail-type"], told_of["detail"]["key"]) == ("Drift Detected", evidence["key"])
    data = Objects(served.json("status")["data_bucket"])
    report = data.get_json(told_of["detail"]["report_key"])
    assert (report["state"], report["champion"]) == ("watched", told_of["detail"]["version"])
    moved = {one["name"] for one in report["drift"]["columns"] if one["moved"]}
    assert "price" in moved
    assert "größe" not in moved
    assert b"Drift detected" in data.get(evidence["report_key"].replace("monitor.json", "report.html"))


def received(queue: str) -> str:
    sqs = boto3.client("sqs")

    def first() -> str | None:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1).get("Messages")
        return messages[0]["Body"] if messages else None

    found: str = eventually(first)
    return found


def test_a_person_may_look_too(served: Shop, watched: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "seen.html"
    told_to = served.run("monitor", "returns", "--report", str(page))
    assert "Drift" in told_to
    assert "price" in told_to
    assert "next: " in told_to
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    last = datetime.fromisoformat(watched["time"]).date() - timedelta(days=1)
    days = ("--from", str(last - timedelta(days=6)), "--to", str(last))
    found = served.json("monitor", "returns", *days)
    assert found["window"] == {"from": days[1], "to": days[3], "days": 7}
    assert found["predictions"] >= 6 * ROWS
    before = len(alarmed(served))
    assert "nobody was told" in served.run("monitor", "returns", *days)
    assert len(alarmed(served)) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing",), "no model 'nothing'"),
        (("returns", "--to", "2200-01-01"), "2200-01-01 has not been yet"),
        (("returns", "--from", "2013-02-10", "--to", "2013-02-01"), "cannot begin on 2013-02-10 and end on 2013-02-01"),
        (("returns", "--from", "2013-02-01", "--to", "2013-02-10"), "WindowInvalid: predictions are kept for 90 days"),
        (("returns", "--from", "yesterday"), "yesterday"),
    ],
)
def test_what_cannot_be_looked_at_is_said(served: Shop, words: tuple[str, ...], message: str) -> None:
    status = 2 if words[-1] == "yesterday" else 1
    assert message in served.run("monitor", *words, expect=status)


def test_stage_monitor_uses_what_it_is_granted(served: Shop, watched: dict[str, Any]) -> None:
    decisions = Path(served.environment["PERENNIAL_WORKDIR"]) / "decisions.jsonl"
    unused = Roles.read(boto3.client("iam"), decisions).unused()
    mine = [one for one in unused if one.role in {"MonitorRole", "MonitorScheduleRole"}]
    surprising = told(mine, UNUSED)
    assert not surprising, "\n".join(surprising)
