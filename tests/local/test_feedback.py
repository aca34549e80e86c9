"""What became of predictions comes back: by request and by file, through the deployed API and its rule."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest

from perennial.outcomes import Outcomes, join_outcomes, read_outcomes
from perennial.outcomes.store import OUTCOMES
from perennial.serving.log import read_records, rows_of
from perennial.storage.objects import Objects
from tests.local.grants import REASONS, Roles, told
from tests.local.made import name
from tests.local.shop import Shop, eventually, tensors

pytestmark = [pytest.mark.xdist_group("main-job"), pytest.mark.timeout(600)]
FEEDBACK = "/v2/models/returns/feedback"


def predict(shop: Shop, *sizes: str) -> list[str]:
    """The ids of as many predictions."""
    rows: dict[str, list[Any]] = {
        "price": [10.0] * len(sizes),
        "größe": list(sizes),
        "first_order": [True] * len(sizes),
    }
    answer = shop.api.json("POST", "/v2/models/returns/infer", tensors(**rows))
    ids: list[str] = next(one["data"] for one in answer["outputs"] if one["name"] == "prediction_id")
    return ids


def known(shop: Shop) -> Outcomes:
    """All outcomes of the model."""
    data = Objects(shop.json("status")["data_bucket"])
    return read_outcomes(data, "returns", *days(data))


def days(data: Objects) -> tuple[date, date]:
    """The first and the last day of outcomes, by the cloud's clock, which other tests move on."""
    found = sorted(key.split("date=")[1][:10] for key in data.list(f"{OUTCOMES}returns/"))
    return date.fromisoformat(found[0]), date.fromisoformat(found[-1])


def of(shop: Shop, ids: list[str]) -> dict[str, tuple[Any, float | None]]:
    return {one.prediction_id: (one.outcome, one.amount) for one in known(shop) if one.prediction_id in ids}


def test_by_request(served: Shop) -> None:
    ids = predict(served, "S", "M")
    said = {
        "outcomes": [
            {"prediction_id": ids[0], "outcome": True, "amount": -9.5},
            {"prediction_id": ids[1], "outcome": False},
        ]
    }
    assert served.api.json("POST", FEEDBACK, said) == {"accepted": 2, "duplicates": 0}
    assert served.api.json("POST", FEEDBACK, said) == {"accepted": 0, "duplicates": 2}
    assert of(served, ids) == {ids[0]: (True, -9.5), ids[1]: (False, None)}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (FEEDBACK, b'{"outcomes": [', 400, "the body is not JSON"),
        (FEEDBACK, b'{"outcomes": [{"prediction_id": "x", "outcome": NaN}]}', 400, "NaN is not JSON"),
        (
            FEEDBACK,
            b'{"outcomes": [{"prediction_id": "x", "outcome": true}]}',
            400,
            "outcomes[0].prediction_id: pattern",
        ),
        ("/v2/models/nobody/feedback", b'{"outcomes": []}', 404, "there is no model 'nobody'"),
    ],
)
def test_a_wrong_request_is_told(served: Shop, path: str, body: bytes, status: int, message: str) -> None:
    found, reply = served.api.request("POST", path, body)
    assert (found, message in json.loads(reply)["error"]) == (status, True)


def test_an_unsigned_request_is_forbidden(served: Shop) -> None:
    request = Request(served.environment["PERENNIAL_API_URL"] + FEEDBACK, data=b"{}", method="POST")
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=30)
    assert refused.value.code == 403


def test_by_file(served: Shop) -> None:
    ids, who = predict(served, "S", "M", "L"), name("size")
    path = served.workdir / "returned.csv"
    path.write_text("prediction_id,outcome,amount\n" + f"{ids[0]},true,5\n{ids[1]},maybe,\n{ids[2]},false,\n")
    found = served.json("feedback", "returns", str(path), "--wait")
    assert (found["status"], found["outcomes"], found["quarantined"]) == ("accepted", 2, 1)
    assert of(served, ids) == {ids[0]: (True, 5.0), ids[2]: (False, None)}
    (report,) = [one for one in served.json("quarantine", "_feedback/returns") if one["batch"] == found["batch"]]
    assert [(one["row"], one["column"], one["rule"]) for one in report["problems"]] == [(2, "outcome", "type")]
    before = known(served)
    assert served.json("feedback", "returns", str(path), "--wait")["batch"] == found["batch"]
    path = served.workdir / "who.jsonl"
    (asked,) = predict(served, who)
    happened = (max(one.received_at for one in before) + timedelta(minutes=5)).isoformat()
    path.write_text(json.dumps({"größe": who, "event_time": happened, "outcome": True, "amount": 2.5}) + "\n")
    assert "Recorded 1 outcomes, 0 rows in quarantine" in served.run("feedback", "returns", str(path), "--wait")
    assert len(known(served)) == len(before) + 1

    served.run("tick", "30m")  # Firehose delivers what it holds
    first, last = days(Objects(found["bucket"]))
    span = ("--since", str(first), "--until", str(last + timedelta(days=1)))
    eventually(lambda: joined(served, found["bucket"], asked) == (True, 2.5))
    counted = served.json("outcomes", "returns", *span)
    assert counted["outcomes"] == len(before) + 1
    assert 3 <= counted["with_outcome"] <= counted["predictions"]
    assert (counted["amount"] is not None, counted["amount_unit"]) == (True, "EUR")
    assert "predictions have one" in served.run("outcomes", "returns", *span)


def joined(shop: Shop, bucket: str, prediction_id: str) -> tuple[Any, float | None] | None:
    """What became of a prediction, found in the delivered log by what it was about."""
    data = Objects(bucket)
    first, last = days(data)
    records = read_records(data, "returns", first - timedelta(days=1), last + timedelta(days=1))
    pairs = join_outcomes((row for record in records for row in rows_of(record)), known(shop), ["größe"])
    (found,) = [outcome for row, outcome in pairs if row.id == prediction_id] or [None]
    return None if found is None else (found.outcome, found.amount)


def test_a_file_that_is_none_is_refused_with_its_tags(served: Shop) -> None:
    path = served.workdir / "none.csv"
    path.write_text("who,what\n1,2\n")
    found = json.loads(served.run("feedback", "returns", str(path), "--wait", "--json", expect=1))
    assert (found["status"], "wrong columns" in found["reason"]) == ("refused", True)
    assert "no model 'nobody'" in served.run("feedback", "nobody", str(path), expect=1)
    s3, bucket = boto3.client("s3"), found["bucket"]
    s3.put_object(Bucket=bucket, Key="feedback/returns/tagged.csv", Body=b"who,what\n1,2\n", Tagging="scan=clean")

    def quarantined() -> str | None:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/_feedback/").get("Contents", [])
        return next((each["Key"] for each in listed if each["Key"].endswith("tagged.csv")), None)

    tags = s3.get_object_tagging(Bucket=bucket, Key=eventually(quarantined))["TagSet"]
    assert tags == [{"Key": "scan", "Value": "clean"}]


def test_stage_feedback_uses_what_it_is_granted(served: Shop) -> None:
    decisions = Path(served.environment["PERENNIAL_WORKDIR"]) / "decisions.jsonl"
    mine = [one for one in Roles.read(boto3.client("iam"), decisions).unused() if one.role == "FeedbackRole"]
    surprising = told(mine, REASONS)
    assert not surprising, "\n".join(surprising)
