"""The main job from outside: the command line, S3 and signed HTTP against the deployed template on the local cloud."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.local.grants import ELSEWHERE, REASONS, Roles, told
from tests.local.shop import (
    GOOD,
    HEADER,
    Shop,
    eventually,
    orders,
    tensors,
    write_orders,
)

pytestmark = [pytest.mark.xdist_group("main-job"), pytest.mark.timeout(600)]


def test_a_dropped_file_becomes_a_served_model(served: Shop) -> None:
    first = served.json("datasets")[0]
    assert (first["dataset"], first["version"], first["rows"]) == ("orders", 1, 400)
    [model] = served.json("models")
    assert model["name"] == "returns"
    assert model["metrics"]["auc"] > 0.6
    [serving] = [one for one in served.json("versions", "returns") if one["version"] == model["champion"]]
    assert serving["state"] == "deployed"
    answer = served.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD))
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert answer["model_version"] == str(model["champion"])
    assert outputs["probability"]["shape"] == [2, 2]
    assert all(0 <= value <= 1 for value in outputs["probability"]["data"])


def test_the_ledger_tells_the_story_and_holds(served: Shop) -> None:
    facts = [record["fact"] for record in served.json("ledger", "show", "model/returns")]
    # what other tests have the shop do comes after it
    assert facts[:5] == ["requested", "trained", "gated", "registered", "deployed"]
    assert served.json("ledger", "verify")["ok"] is True
    [chain] = served.json("ledger", "verify", "model/returns")["chains"]
    assert chain["records"] >= 5


@pytest.mark.parametrize("verb", ["show", "verify"])
def test_the_ledger_knows_no_subject_without_a_record(served: Shop, verb: str) -> None:
    assert "the ledger has no subject 'model/retruns'" in served.run("ledger", verb, "model/retruns", expect=1)


def test_predict_scores_a_file(served: Shop) -> None:
    path = write_orders(served.workdir / "ask.csv", orders(5, 30))
    found = served.json("predict", "returns", str(path))
    assert len({row["prediction_id"] for row in found}) == 30


def test_metadata_lists_and_health_answer(served: Shop) -> None:
    api = served.api
    assert api.json("GET", "/v2/health/live") == {"live": True}
    assert api.json("GET", "/v2/health/ready") == {"ready": True}
    assert [one["name"] for one in api.json("GET", "/v2/models/returns")["inputs"]] == ["price", "größe", "first order"]
    by_version = api.json("POST", "/v2/models/returns/versions/1/infer", tensors(**GOOD))
    assert by_version["model_version"] == "1"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{not json", 400, "JSON"),
        (json.dumps(tensors(price=[1.0], größe=["S"])).encode(), 400, "first order"),
        (json.dumps(tensors(**GOOD) | {"inputs": [*tensors(**GOOD)["inputs"], {
            "name": "extra", "datatype": "FP64", "shape": [2], "data": [1, 2]}]}).encode(), 400, "extra"),
        (json.dumps(tensors(**(GOOD | {"price": ["dear", 1]}))).encode(), 400, "price"),
        (json.dumps(tensors(**GOOD)).replace("10.0", "NaN").encode(), 400, "NaN"),
        (b'{"inputs": "' + b"x" * 11_000_000 + b'"}', 413, ""),
    ],
)  # fmt: skip
def test_a_bad_request_gets_a_clear_4xx(served: Shop, body: bytes, status: int, words: str) -> None:
    found, reply = served.api.request("POST", "/v2/models/returns/infer", body, {"content-type": "application/json"})
    assert found == status, reply
    assert words in reply.decode()


def test_an_unknown_model_or_version_is_a_404(served: Shop) -> None:
    for path in ("/v2/models/nobody/infer", "/v2/models/returns/versions/99/infer"):
        status, reply = served.api.request("POST", path, json.dumps(tensors(**GOOD)).encode())
        assert status == 404
        assert "error" in json.loads(reply)


def test_an_unsigned_request_is_forbidden(served: Shop) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(served.environment["PERENNIAL_API_URL"] + "/v2", timeout=30)
    assert refused.value.code == 403


def test_bad_rows_go_to_quarantine_and_the_good_ones_on(served: Shop) -> None:
    rows = orders(6, 50)
    rows[7][2] = "-5"
    rows[9][4] = "perhaps"
    found = served.drop("june.csv", rows)
    assert (found["status"], found["rows"], found["quarantined"]) == ("accepted", 48, 2)
    [report] = [one for one in served.json("quarantine", "orders") if one["batch"] == found["batch"]]
    named = {(problem["row"], problem["column"]) for problem in report["problems"]}
    assert named == {(8, "price"), (10, "first order")}


def test_the_same_file_twice_is_one_version(served: Shop) -> None:
    before = len(served.json("datasets"))
    first = served.drop("july.csv", orders(7, 20))
    again = served.drop("july.csv", orders(7, 20))
    assert first["version"] == again["version"]
    assert len(served.json("datasets")) == before + 1


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("empty.csv", b""),
        ("liar.parquet", b"this,is,no\nparquet,file,!\n"),
        ("torn.csv.gz", b"\x1f\x8b\x08\x00torn"),
        ("columns.csv", b"who,what\n1,2\n"),
    ],
)
def test_a_bad_file_is_quarantined_with_a_report(served: Shop, name: str, body: bytes) -> None:
    path = served.workdir / name
    path.write_bytes(body)
    found = json.loads(served.run("drop", str(path), "--dataset", "orders", "--wait", "--json", expect=1))
    assert found["status"] == "refused"
    reports = [one for one in served.json("quarantine", "orders") if one["batch"] == found["batch"]]
    assert reports
    assert reports[0]["problems"]


def test_a_refused_file_keeps_its_tags_in_quarantine(served: Shop) -> None:
    """Malware scanners and transfer services tag what they put; S3 copies tags along, which takes rights of its own."""
    import boto3

    s3, bucket = boto3.client("s3"), served.json("status")["data_bucket"]
    s3.put_object(Bucket=bucket, Key="raw/orders/tagged.csv", Body=b"who,what\n1,2\n", Tagging="scan=clean")

    def quarantined() -> str | None:
        found = s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/orders/").get("Contents", [])
        return next((each["Key"] for each in found if each["Key"].endswith("tagged.csv")), None)

    tags = s3.get_object_tagging(Bucket=bucket, Key=eventually(quarantined))["TagSet"]
    assert tags == [{"Key": "scan", "Value": "clean"}]


def test_a_dataset_without_a_contract_is_quarantined(served: Shop) -> None:
    path = write_orders(served.workdir / "stray.csv", orders(8, 5), HEADER)
    found = json.loads(served.run("drop", str(path), "--dataset", "nobody-knows", "--wait", "--json", expect=1))
    assert "nobody-knows" in found["reason"]


def test_a_training_that_cannot_work_fails_by_name_and_the_champion_keeps_serving(served: Shop) -> None:
    known, serving = len(served.lifecycles()), served.json("models")[0]["champion"]
    # a file after everything else in time, so that all held-out rows have one class
    served.drop("december.csv", orders(12, 2000, returned=False))
    ended = eventually(lambda: [one for one in served.lifecycles() if one["status"] == "FAILED"])
    assert len(served.lifecycles()) == known + 1
    import boto3

    client: Any = boto3.client("stepfunctions")
    machine = client.list_state_machines()["stateMachines"]
    arn = next(one["stateMachineArn"] for one in machine if one["name"].endswith("-lifecycle"))
    failed = client.list_executions(stateMachineArn=arn, statusFilter="FAILED")["executions"][0]
    told = client.describe_execution(executionArn=failed["executionArn"])
    assert ended
    assert told["error"] == "TrainingDataInvalid"
    assert "one class" in told["cause"]
    assert served.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD))["model_version"] == str(serving)


def test_every_grant_is_used_or_has_its_reason(served: Shop) -> None:
    """Least privilege, measured: without any action of any Allow statement, something that was done would be denied."""
    import boto3

    served.drop("grants.csv", orders(9, 20))
    served.api.json("GET", "/v2/models/returns/versions")
    served.api.json("POST", "/v2/models/returns/versions/1/infer", tensors(**GOOD))
    decisions = Path(served.environment["PERENNIAL_WORKDIR"]) / "decisions.jsonl"
    served.run("tick", "6m")  # Firehose delivers what it holds
    eventually(lambda: re.search(r"RecordsWriterRole.*s3:PutObject", decisions.read_text(encoding="utf-8")))
    roles = Roles.read(boto3.client("iam"), decisions)
    surprising = told([grant for grant in roles.unused() if grant.role not in ELSEWHERE], REASONS)
    assert not surprising, "\n".join(surprising)
