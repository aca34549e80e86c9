"""Stage ingest from outside: an S3 event in; versions, quarantine, ledger and events out."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.ingest.handler import lambda_handler
from perennial.datasets.versions import DatasetVersion, get_version, list_versions
from perennial.errors import StagingLost, VersionUnknown
from perennial.monitoring.grid import Grid
from perennial.monitoring.profile import Profile
from scripts.flights import months
from tests.crash import Crash, When, crash_at
from tests.crash.calls import heard_by
from tests.functions.conftest import EVENTS, World

TINY = """
apiVersion: v3.1.0
kind: DataContract
id: tiny
version: 1.0.0
status: active
schema:
  - name: tiny
    properties:
      - {name: id, logicalType: integer, required: true, unique: true}
      - name: grade
        logicalType: string
        quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [a, b]}}]
      - name: at
        logicalType: timestamp
        required: true
        customProperties: [{property: eventTime, value: true}]
"""
GOOD = b"id,grade,at\n1,a,2013-01-01T10:00:00Z\n2,b,2013-01-02T10:00:00Z\n3,,2013-01-02T11:00:00Z\n"


@pytest.fixture
def ready(world: World) -> World:
    """The world with a second, tiny dataset, and the Glue tables that the template makes."""
    world.deploy_catalog(extra={"contracts/tiny.yaml": TINY})
    for name in ("flights", "tiny"):
        world.make_table(name)
    return world


def drop(world: World, key: str, body: bytes) -> dict[str, Any]:
    return lambda_handler(world.drop(key, body), None)


def rows_of(world: World, version: DatasetVersion) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key in version.files:
        found += pq.ParquetFile(io.BytesIO(world.data.get(key))).read().to_pylist()
    return found


def state(world: World) -> dict[str, Any]:
    """Everything that an ingestion may leave behind, ledger and events included."""
    items = world.client("dynamodb").scan(TableName=world.registry.table)["Items"]
    return {
        "objects": {key: world.data.get(key) for key in world.data.list("")},
        "items": sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"])),
        "partitions": [
            partition["Values"]
            for table in ("flights", "tiny")
            for partition in world.client("glue").get_partitions(DatabaseName="perennial_dev", TableName=table)[
                "Partitions"
            ]
        ],
        "ledger": {key: world.records.get(key) for key in world.records.list("")},
    }


def test_a_month_of_flights_becomes_a_version(ready: World, tmp_path: Path) -> None:
    january = months(tmp_path)[0]

    output = drop(ready, "raw/flights/flights-2013-01.csv", january.read_bytes())

    assert (output["status"], output["version"], output["rows"], output["quarantined"]) == ("accepted", 1, 27004, 0)
    version = get_version(ready.registry, "flights", 1)
    assert version.files == ("curated/flights/version=00000001/part-00000.parquet",)
    assert version.first_event_time == "2013-01-01T10:00:00Z"
    table = pq.ParquetFile(io.BytesIO(ready.data.get(version.files[0]))).read()
    assert table.num_rows == 27004
    assert table.schema.field("time_hour").type == pa.timestamp("us", "UTC")
    profile = ready.data.get_json("profiles/flights/version=00000001.json")
    assert profile["days"]["2013-01-01"] == 709
    assert profile["columns"]["arr_delay"] == {
        "type": "integer", "count": 26398, "nulls": 606, "min": -70, "max": 1272,
    }  # fmt: skip
    grid = Grid.from_json(ready.data.get_json("profiles/flights/grid.json"))
    assert Profile.from_json(profile["histograms"], grid).rows.sum() == 27004
    assert len(ready.data.get("profiles/flights/version=00000001.json")) <= 64 * 1024
    assert list(ready.data.list("staging/")) == []
    assert list(ready.data.list("quarantine/")) == []


def test_all_versions_are_counted_on_the_first_ones_grid_even_when_two_made_one(
    ready: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *lines = months(tmp_path)[0].read_bytes().splitlines(keepends=True)
    parts = [lines[:700], lines[700:1600], lines[1600:3000]]
    drop(ready, "raw/flights/a.csv", header + b"".join(parts[0]))
    drop(ready, "raw/flights/b.csv", header + b"".join(parts[1]))
    # the third did not see the grid yet when it counted
    monkeypatch.setattr("perennial.datasets.ingest.find_grid", lambda data, contract: None)
    drop(ready, "raw/flights/c.csv", header + b"".join(parts[2]))

    grid = Grid.from_json(ready.data.get_json("profiles/flights/grid.json"))
    stored = [ready.data.get_json(f"profiles/flights/version=0000000{n}.json")["histograms"] for n in (1, 2, 3)]
    first, second, third = (Profile.from_json(one, grid) for one in stored)
    assert first.merge(third, second).rows.sum() == 3000


def test_an_accepted_batch_is_recorded_told_and_seen_by_athena(ready: World) -> None:
    output = drop(ready, "raw/tiny/a.csv", GOOD)

    (fact,) = ready.facts("Dataset Version Accepted")
    assert fact["detail"] == {
        "dataset": "tiny", "version": 1, "batch": output["batch"], "rows": 3, "quarantined": 0,
        "as_of": "2013-02-01T05:00:07Z",
    }  # fmt: skip
    (record,) = ready.ledger.read("dataset/tiny")
    assert (record.fact, record.at, record.evidence["version"]) == ("accepted", "2013-02-01T05:00:07+00:00", 1)
    partition = ready.client("glue").get_partition(
        DatabaseName="perennial_dev", TableName="tiny", PartitionValues=["00000001"]
    )["Partition"]
    assert partition["StorageDescriptor"]["Location"] == f"s3://{ready.data.bucket}/curated/tiny/version=00000001/"
    assert list(ready.data.list("raw/")) == ["raw/tiny/a.csv"]


@pytest.mark.parametrize("name", ["ingest.json", "ingest-multipart.json"])
def test_sample_events_are_understood(ready: World, name: str) -> None:
    event = json.loads((EVENTS / name).read_text("utf-8"))

    output = lambda_handler({"detail": event["detail"], "as_of": event["time"]}, None)

    assert output["status"] == "ignored"
    assert "another bucket" in output["reason"]


def test_the_same_content_as_csv_gzip_jsonl_and_parquet_is_the_same_content(ready: World) -> None:
    rows = [json.dumps(dict(zip(("id", "grade", "at"), line.split(","), strict=True))) for line in
            GOOD.decode().splitlines()[1:]]  # fmt: skip
    jsonl = "\n".join(rows).replace('"grade": ""', '"grade": null')
    parquet = io.BytesIO()
    version = get_version_of(ready, drop(ready, "raw/tiny/a.csv", GOOD))
    pq.write_table(pq.ParquetFile(io.BytesIO(ready.data.get(version.files[0]))).read(), parquet)

    others = [
        get_version_of(ready, drop(ready, key, body))
        for key, body in (
            ("raw/tiny/b.csv.gz", gzip.compress(GOOD)),
            ("raw/tiny/c.jsonl", jsonl.encode()),
            ("raw/tiny/d.parquet", parquet.getvalue()),
        )
    ]

    assert [other.version for other in others] == [2, 3, 4]
    assert {other.content_sha256 for other in others} == {version.content_sha256}


def get_version_of(world: World, output: dict[str, Any]) -> DatasetVersion:
    assert output["status"] == "accepted", output
    return get_version(world.registry, output["dataset"], output["version"])


def test_one_bad_row_costs_one_row(ready: World) -> None:
    lines = ["id,grade,at", *(f"{n},a,2013-01-01T10:00:00Z" for n in range(1, 10_001))]
    lines[5001] = "5001,c,2013-01-01T10:00:00Z"

    output = drop(ready, "raw/tiny/a.csv", "\n".join(lines).encode() + b"\n")

    assert (output["status"], output["rows"], output["quarantined"]) == ("accepted", 9_999, 1)
    report = ready.data.get_json(output["report_key"])
    assert report["file"] == "raw/tiny/a.csv"
    assert report["problems"] == [{"row": 5001, "line": 5002, "column": "grade", "rule": "invalidValues", "value": "c"}]
    assert report["counts"] == [{"column": "grade", "rule": "invalidValues", "count": 1}]
    key = f"quarantine/tiny/{output['batch']}/rows.parquet"
    rows = pq.ParquetFile(io.BytesIO(ready.data.get(key))).read().to_pylist()
    assert rows == [
        {"__row__": 5001, "id": "5001", "grade": "c", "at": "2013-01-01T10:00:00Z", "__text__": None,
         "__reasons__": "grade: invalidValues"}
    ]  # fmt: skip


REFUSALS: dict[str, tuple[str, bytes, str]] = {
    "not what its name says": ("a.csv", gzip.compress(GOOD), "kind"),
    "a spreadsheet": ("a.csv", b"PK\x03\x04 and so on", "kind"),
    "parquet in name only": ("a.parquet", GOOD, "kind"),
    "an unknown kind": ("a.xlsx", b"PK\x03\x04", "kind"),
    "no suffix": ("flights", GOOD, "kind"),
    "empty": ("a.csv", b"", "empty"),
    "header only": ("a.csv", GOOD.splitlines(keepends=True)[0], "empty"),
    "truncated gzip": ("a.csv.gz", gzip.compress(GOOD * 1000)[:-9], "truncated"),
    "cut inside a row": ("a.csv", GOOD + b"4,a", "truncated"),
    "cut inside the last value": ("a.csv", GOOD + b"4,a,2013-01", "truncated"),
    "truncated parquet": ("a.parquet", b"PAR1" + bytes(100), "truncated"),
    "latin-1": ("a.csv", GOOD.replace(b"1,a", b"1,\xe9"), "encoding"),
    "a column missing": ("a.csv", b"id,at\n1,2013-01-01T10:00:00Z\n", "columns"),
    "a column unexpected": ("a.csv", GOOD.replace(b"grade", b"grade,x"), "columns"),
    "a column twice": ("a.csv", GOOD.replace(b"grade", b"id"), "columns"),
    "an open quote": ("a.csv", GOOD + b'4,"a,2013-01-01T10:00:00Z\n', "unreadable"),
    "no good row": ("a.csv", b"id,grade,at\nx,y,z\n", "noGoodRows"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_bad_file_goes_to_quarantine_whole(ready: World, case: str) -> None:
    name, body, rule = REFUSALS[case]

    output = drop(ready, f"raw/tiny/{name}", body)

    assert (output["status"], output["version"], output["rows"]) == ("refused", None, 0)
    assert output["reason"].startswith(f"{rule}: ")
    prefix = f"quarantine/tiny/{output['batch']}/"
    assert ready.data.get(prefix + name) == body
    report = ready.data.get_json(prefix + "report.json")
    assert report["file"] == f"raw/tiny/{name}"
    assert rule in {count["rule"] for count in report["counts"]}
    (fact,) = ready.facts()
    assert fact["detail-type"] == "Dataset Batch Refused"
    assert fact["detail"]["report_key"] == prefix + "report.json"
    assert ready.ledger_facts("dataset/tiny") == ["refused"]
    assert list_versions(ready.registry, "tiny") == []
    # and the loop goes on
    assert drop(ready, "raw/tiny/good.csv", GOOD)["version"] == 1


@pytest.mark.parametrize(
    ("key", "dataset"),
    [
        ("raw/nobody/a.csv", "nobody"),
        ("raw/loose.csv", "_unknown"),
        ("raw/Tiny Set/a.csv", "_unknown"),
        ("raw/../tiny/a.csv", "_unknown"),
        ("raw/tiny\u2028/é\U0001f600.csv", "_unknown"),
    ],
)
def test_a_file_for_no_dataset_goes_to_quarantine(ready: World, key: str, dataset: str) -> None:
    output = drop(ready, key, GOOD)

    assert (output["status"], output["dataset"]) == ("refused", dataset)
    assert output["reason"].startswith("datasetUnknown: ")
    assert list(ready.data.list(f"quarantine/{dataset}/{output['batch']}/"))
    assert ready.ledger_facts(f"dataset/{dataset}") == ["refused"]
    assert len(ready.facts("Dataset Batch Refused")) == 1


@pytest.mark.parametrize(
    "key", ["raw/tiny/", "raw/tiny/2013/", "raw/tiny_$folder$", "raw/tiny/_SUCCESS", "raw/tiny/.x"]
)
def test_markers_are_no_data(ready: World, key: str) -> None:
    before = list(ready.data.list(""))

    output = drop(ready, key, b"")

    assert output["status"] == "ignored"
    assert list(ready.data.list("")) == [*before, key]
    assert ready.facts() == []


def test_a_repeated_event_makes_no_second_version(ready: World) -> None:
    event = ready.drop("raw/tiny/a.csv", GOOD)
    first = lambda_handler(event, None)
    before = state(ready)

    second = lambda_handler(event, None)

    assert (first["status"], second["status"]) == ("accepted", "duplicate")
    assert {**second, "status": "accepted"} == first
    assert state(ready) == before
    assert len(ready.facts()) == 1


def test_a_repeated_event_of_a_refused_file_says_so_again(ready: World) -> None:
    event = ready.drop("raw/tiny/a.csv", b"")
    first = lambda_handler(event, None)
    before = state(ready)

    assert lambda_handler(event, None) == first
    assert state(ready) == before


def test_a_refused_file_is_judged_again_under_a_new_contract(ready: World) -> None:
    event = ready.drop("raw/tiny/a.csv", GOOD.replace(b",b,", b",c,").replace(b",a,", b",c,").replace(b",,", b",c,"))
    assert lambda_handler(event, None)["status"] == "refused"
    ready.deploy_catalog(extra={"contracts/tiny.yaml": TINY.replace("[a, b]", "[a, b, c]")})

    output = lambda_handler(event, None)

    assert (output["status"], output["version"], output["rows"]) == ("accepted", 1, 3)
    assert ready.ledger_facts("dataset/tiny") == ["refused", "accepted"]


def test_an_object_that_is_gone_or_overwritten_is_left_to_its_successor(ready: World) -> None:
    event = ready.drop("raw/tiny/a.csv", GOOD)
    del event["detail"]["object"]["version-id"]
    ready.drop("raw/tiny/a.csv", GOOD + b"4,a,2013-01-02T11:00:00Z\n")
    overwritten = lambda_handler(event, None)
    ready.data.delete("raw/tiny/a.csv")
    gone = lambda_handler(event, None)

    assert (overwritten["status"], gone["status"]) == ("ignored", "ignored")
    assert "overwritten" in overwritten["reason"]
    assert "gone" in gone["reason"]
    assert list_versions(ready.registry, "tiny") == []


def test_drops_at_once_get_versions_without_gaps(ready: World) -> None:
    bodies = [GOOD + f"{n},a,2013-01-02T11:00:00Z\n".encode() for n in range(4, 10)]
    events = [ready.drop(f"raw/tiny/{n}.csv", body) for n, body in enumerate(bodies)]
    # each event twice, as S3 may deliver it
    outputs = at_once([partial(lambda_handler, event, None) for event in events + events])

    assert {output["status"] for output in outputs} <= {"accepted", "duplicate"}
    versions = list_versions(ready.registry, "tiny")
    assert [version.version for version in versions] == [1, 2, 3, 4, 5, 6]
    assert {version.batch for version in versions} == {output["batch"] for output in outputs}
    assert all(len(rows_of(ready, version)) == 4 for version in versions)
    assert ready.ledger_facts("dataset/tiny") == ["accepted"] * 6
    assert list(ready.data.list("staging/")) == []


def at_once(calls: list[Callable[[], dict[str, Any]]]) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []

    def run(call: Callable[[], dict[str, Any]]) -> None:
        outputs.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outputs) == len(calls)
    return outputs


def test_a_claim_outlives_its_staged_files(ready: World) -> None:
    event = ready.drop("raw/tiny/a.csv", GOOD)
    claimed(ready, event)
    ready.client("s3").delete_objects(
        Bucket=ready.data.bucket, Delete={"Objects": [{"Key": key} for key in ready.data.list("staging/")]}
    )
    with pytest.raises(VersionUnknown):
        get_version(ready.registry, "tiny", 1)
    assert list_versions(ready.registry, "tiny") == []

    output = lambda_handler(event, None)

    assert (output["status"], output["version"]) == ("accepted", 1)
    assert len(rows_of(ready, get_version(ready.registry, "tiny", 1))) == 3


def test_a_delivery_under_another_contract_does_not_overwrite_what_was_staged(ready: World) -> None:
    event = ready.drop("raw/tiny/a.csv", GOOD)
    rivals: list[bool] = []

    def rival(when: When, operation: str) -> None:
        """As the claim is about to be made, the same event is staged under a stricter contract, and goes no further."""
        if (when, operation, rivals) == ("before-send", "dynamodb.TransactWriteItems", []):
            rivals.append(True)
            ready.deploy_catalog(extra={"contracts/tiny.yaml": TINY.replace("[a, b]", "[a]")})
            with crash_at(1, "before-send", "dynamodb.TransactWriteItems") as death:
                lambda_handler(event, None)
            assert death.happened

    with heard_by(rival):
        output = lambda_handler(event, None)

    version = get_version(ready.registry, "tiny", 1)
    assert (rivals, output["rows"], [row["id"] for row in rows_of(ready, version)]) == ([True], 3, [1, 2, 3])
    assert version.file_sha256 == tuple(hashlib.sha256(ready.data.get(key)).hexdigest() for key in version.files)
    assert list(ready.data.list("staging/")) == []


def test_a_key_as_long_as_s3_allows_gets_its_verdict(ready: World) -> None:
    key = "raw/tiny/" + "x" * (1024 - len("raw/tiny/.csv")) + ".csv"

    output = drop(ready, key, b"what,is,this\n")

    assert output["status"] == "refused"
    assert ready.data.get_json(output["report_key"])["file"] == key
    (original,) = [one for one in ready.data.list("quarantine/tiny/") if one.endswith(".csv")]
    assert len(original) <= 1024
    assert ready.data.get(original) == b"what,is,this\n"


def test_a_dead_claim_resumes_with_its_number(ready: World) -> None:
    event = ready.drop("raw/tiny/a.csv", GOOD)
    claimed(ready, event)
    assert drop(ready, "raw/tiny/b.csv", GOOD + b"4,a,2013-01-02T11:00:00Z\n")["version"] == 2
    assert [version.version for version in list_versions(ready.registry, "tiny")] == [2]

    assert lambda_handler(event, None)["version"] == 1

    assert [version.version for version in list_versions(ready.registry, "tiny")] == [1, 2]
    assert [version.version for version in list_versions(ready.registry, "tiny", after=1)] == [2]


def test_a_claim_whose_files_and_drop_are_gone_fails_by_name(ready: World) -> None:
    event = ready.drop("raw/tiny/a.csv", GOOD)
    claimed(ready, event)
    ready.client("s3").delete_object(
        Bucket=ready.data.bucket, Key="raw/tiny/a.csv", VersionId=event["detail"]["object"]["version-id"]
    )
    for key in list(ready.data.list("staging/")):
        ready.data.delete(key)

    with pytest.raises(StagingLost, match="tiny version 1"):
        lambda_handler(event, None)


def claimed(world: World, event: dict[str, Any]) -> None:
    """Die right after the claim."""
    client = world.client("dynamodb")

    def die(**_: Any) -> None:
        raise Crash

    client.meta.events.register_last("after-call.dynamodb.TransactWriteItems", die)
    try:
        with pytest.raises(Crash):
            lambda_handler(event, None)
    finally:
        client.meta.events.unregister("after-call.dynamodb.TransactWriteItems", die)
