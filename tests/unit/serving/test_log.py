"""The prediction log, read back as the predict function wrote it and Firehose delivered it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from perennial.serving.log import read_records, rows_of
from perennial.storage.objects import Objects
from tests.aws import fresh_account
from tests.unit.serving.requests import ROW, Server, outputs, request

DAY = date(2013, 4, 1)


@pytest.fixture(scope="module")
def objects() -> Iterator[Objects]:
    with fresh_account() as account:
        yield Objects(account.bucket("data"))


def deliver(objects: Objects, model: str, day: str, name: str, lines: list[str]) -> None:
    objects.put(f"predictions/{model}/date={day}/{name}.jsonl.gz", gzip.compress("\n".join(lines).encode()))


def test_rows_are_those_of_the_reply(objects: Objects, server: Server) -> None:
    reply = outputs(server.infer(request(ROW, {**ROW, "hour": None}))[1])
    deliver(objects, "m", "2013-04-01", "a", [json.dumps(one) for one in server.records])
    (record,) = read_records(objects, "m", DAY, DAY)
    rows = list(rows_of(record))
    assert [row.id for row in rows] == reply["prediction_id"]
    assert [row.prediction for row in rows] == reply["prediction"]
    assert [share for row in rows for share in row.probability or []] == reply["probability"]
    assert [(row.inputs or {})["hour"] for row in rows] == [7, None]
    assert {(row.at, row.version, row.lambda_version) for row in rows} == {
        (datetime(2013, 4, 1, 12, tzinfo=UTC), 3, "7")
    }


def test_a_regression_has_no_probability_and_a_shortened_record_no_inputs(objects: Objects, regression: Server) -> None:
    regression.records.clear()
    regression.infer(request())
    (record,) = regression.records
    (row,) = rows_of(record | {"inputs": None, "shortened": True})
    assert row.probability is None
    assert row.inputs is None


def test_a_record_counts_once_and_what_is_none_never(objects: Objects, server: Server) -> None:
    server.infer(request(ROW))
    line = json.dumps(server.records[-1])
    later = json.dumps(server.records[-1] | {"first": 1})
    refusal = json.dumps(server.records[-1] | {"record": "smoke", "ids": "other"})
    deliver(objects, "twice", "2013-04-01", "a", [line, "", "  ", refusal, line])
    deliver(objects, "twice", "2013-04-02", "b", [line, later])
    deliver(objects, "twice", "2013-04-03", "c", [json.dumps(server.records[-1] | {"ids": "too late"})])
    deliver(objects, "twice-more", "2013-04-01", "d", [json.dumps(server.records[-1] | {"ids": "another model's"})])
    found = list(read_records(objects, "twice", DAY, date(2013, 4, 2)))
    assert found == [json.loads(line), json.loads(later)]


def test_objects_of_several_gzip_members_are_read_whole(objects: Objects, server: Server) -> None:
    server.infer(request(ROW))
    parts = [json.dumps(server.records[-1] | {"first": number}) + "\n" for number in range(2)]
    body = b"".join(gzip.compress(part.encode()) for part in parts)
    objects.put("predictions/members/date=2013-04-01/a.jsonl.gz", body)
    assert [one["first"] for one in read_records(objects, "members", DAY, DAY)] == [0, 1]
