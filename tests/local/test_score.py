"""A file is scored as a batch on the local cloud: by the distributed map, each row once, as over HTTPS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.local.grants import Roles, told
from tests.local.shop import Shop, eventually, orders, write_orders

pytestmark = pytest.mark.xdist_group("main-job")

COUNT = 3500
HEADER = ["order id", "ordered_at", "price", "größe", "first order"]
# What one batch need not use, beyond what holds for every role (tests/local/grants.py).
REASONS = {
    ("*", "s3:AbortMultipartUpload"): "an upload in parts that fails is taken back",
    ("*", "xray:PutTelemetryRecords"): "traces are not imitated",
    ("*", "xray:GetSamplingRules"): "traces are not imitated",
    ("*", "xray:GetSamplingTargets"): "traces are not imitated",
    ("*", "xray:PutTraceSegments"): "traces are not imitated",
    ("ScoreRole", "s3:GetObjectTagging"): "S3's guide asks for it beside the right on the version that is copied",
    ("ScoreRole", "s3:GetObjectVersionTagging"): "only a refused file with tags needs it",
    ("ScoreRole", "s3:PutObjectTagging"): "only a refused file with tags needs it",
    ("ScoreWorkflowRole", "states:DescribeExecution"): "executions of a map are not executions of their own locally",
    ("ScoreWorkflowRole", "states:StopExecution"): "executions of a map are not executions of their own locally",
    ("ScoreWorkflowRole", "states:RedriveExecution"): "nothing is redriven locally",
}


@pytest.fixture(scope="module")
def rows() -> list[list[Any]]:
    """Orders of a month without their label, the second with a price that is none."""
    found = [row[:-1] for row in orders(5, COUNT)]
    found[1][2] = "dear"
    return found


@pytest.fixture(scope="module")
def scored(served: Shop, rows: list[list[Any]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the verb says of the file once it is scored; `folder` is where its answers were downloaded to."""
    file = write_orders(served.workdir / "may.csv", rows, HEADER)
    folder = tmp_path_factory.mktemp("answers")
    found: dict[str, Any] = served.json("score", "returns", str(file), "--wait", "--output", str(folder))
    return {**found, "file": file, "folder": folder}


def executions(shop: Shop, key: str) -> list[dict[str, Any]]:
    """Executions of the workflow over a file, each with its input parsed."""
    states = boto3.client("stepfunctions")
    arn = boto3.client("ssm").get_parameter(Name="/perennial/dev/score-workflow")["Parameter"]["Value"]
    found = [
        states.describe_execution(executionArn=one["executionArn"])
        for one in states.list_executions(stateMachineArn=arn)["executions"]
    ]
    return [one for one in found if json.loads(one["input"])["detail"]["object"]["key"] == key]


def answers(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.ParquetFile(path).read().to_pylist()]


def test_each_row_is_in_one_range_and_scored_once(scored: dict[str, Any], rows: list[list[Any]]) -> None:
    assert (scored["status"], scored["rows"], scored["scored"], scored["quarantined"]) == (
        "scored",
        COUNT,
        COUNT - 1,
        1,
    )
    manifest = json.loads((scored["folder"] / "_SUCCESS").read_text())
    assert [part["rows"] for part in manifest["parts"]] == [1000, 1000, 1000, 499]
    found = answers(scored["folder"])
    assert [row["row"] for row in found] == [1, *range(3, COUNT + 1)]
    assert [row["order id"] for row in found] == [row[0] for number, row in enumerate(rows, 1) if number != 2]
    assert len({row["prediction_id"] for row in found}) == COUNT - 1
    assert manifest["lambda_version"]


def test_the_answers_are_those_of_https(served: Shop, scored: dict[str, Any], rows: list[list[Any]]) -> None:
    good = [row for number, row in enumerate(rows, 1) if number != 2]
    asked = served.json("predict", "returns", str(write_orders(served.workdir / "good.csv", good, HEADER)))
    found = answers(scored["folder"])
    assert [row["prediction"] for row in found] == [row["prediction"] for row in asked]
    ours = np.array([row["probability"] for row in found], np.float32)
    theirs = np.array([[row["probability_false"], row["probability_true"]] for row in asked], np.float32)
    assert np.array_equal(ours, theirs)


def test_what_could_not_be_scored_is_reported(served: Shop, scored: dict[str, Any]) -> None:
    (report,) = [one for one in served.json("quarantine") if one["report_key"] == scored["report_key"]]
    assert [(one["row"], one["column"], one["rule"], one["value"]) for one in report["problems"]] == [
        (2, "price", "type", "dear")
    ]


def test_the_same_file_again_adds_nothing(served: Shop, scored: dict[str, Any]) -> None:
    s3 = boto3.client("s3")

    def written() -> set[tuple[str, str]]:
        found = s3.list_object_versions(Bucket=scored["bucket"], Prefix="score/returns/out/")["Versions"]
        return {(one["Key"], one["VersionId"]) for one in found}

    before = written()
    again = served.json("score", "returns", str(scored["file"]), "--wait")
    assert (again["batch"], again["output"], again["scored"]) == (scored["batch"], scored["output"], scored["scored"])
    eventually(lambda: len(executions(served, scored["key"])) == 2)
    eventually(lambda: all(one["status"] == "SUCCEEDED" for one in executions(served, scored["key"])))
    told_of = {json.loads(one["output"])["status"] for one in executions(served, scored["key"])}
    assert told_of == {"scored", "duplicate"}
    assert written() == before


def test_a_bad_file_is_quarantined_whole(served: Shop, rows: list[list[Any]]) -> None:
    file = write_orders(served.workdir / "bad.csv", [row[:2] for row in rows[:5]], HEADER[:2])
    found = json.loads(served.run("score", "returns", str(file), "--wait", "--json", expect=1).partition("\nper")[0])
    assert found["status"] == "refused"
    assert found["reason"].startswith("columns: wrong columns; missing: 'price'")


def test_a_model_that_is_none_is_refused_before_the_upload(served: Shop, scored: dict[str, Any]) -> None:
    assert "no model 'nothing'" in served.run("score", "nothing", str(scored["file"]), expect=1)


def test_rights_of_scoring_are_used(served: Shop, scored: dict[str, Any]) -> None:
    decisions = served.workdir / "state" / "decisions.jsonl"
    unused = Roles.read(boto3.client("iam"), decisions).unused()
    mine = [grant for grant in unused if grant.role in ("ScoreRole", "ScoreWorkflowRole")]
    assert told(mine, REASONS) == []
