"""Stage score from outside: a file in; parts, a manifest, facts and reports out, each row once."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from functions.register.handler import lambda_handler as register
from functions.score.handler import lambda_handler
from perennial.errors import BundleInvalid, ModelUnknown, NothingServes, PlanLost, ScoringFailed
from perennial.registry import Registry
from perennial.registry.models import Carrier
from perennial.scoring.events import ScoreInput
from perennial.scoring.part import open_predictor
from tests.crash import crash_at
from tests.functions.conftest import EVENTS, World
from tests.runs import leave
from tests.unit.serving.bundles import MODEL, bundle_files
from tests.unit.serving.requests import Server, outputs, request

AT = "2026-03-01T12:00:00+00:00"
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: flights
version: 1.0.0
status: active
schema:
  - name: flights
    properties:
      - {name: flight, logicalType: string, required: true, unique: true}
      - {name: at, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
      - {name: distance, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: hour, logicalType: integer}
      - {name: night, logicalType: boolean}
      - {name: carrier, logicalType: string, required: true}
      - {name: late, logicalType: boolean, customProperties: [{property: availableAtPrediction, value: false}]}
"""
SPEC = f"{{name: {MODEL}, dataset: flights, task: binary, label: {{column: late}}, features: [distance]}}"
COUNT = 8
NAMES = ["flight", "at", "distance", "hour", "night", "carrier", "unasked"]


def flights() -> pa.Table:
    """Eight flights; a carrier, a distance and an hour are missing."""
    return pa.table(
        {
            "flight": [f"f{index}" for index in range(COUNT)],
            "at": pa.array([datetime(2026, 3, 1, index, tzinfo=UTC) for index in range(COUNT)], pa.timestamp("us")),
            "distance": [None, 733.5, -1.0, 200.0, 1e30, 5.5, 6.0, 7.25],
            "hour": pa.array([7, None, 9, 10, 2**53 + 1, 12, 13, 14]),
            "night": [False, True, None, True, False, False, True, True],
            "carrier": ["UA", "AA", "never seen", "UA", None, "AA", "é", "UA"],
            "unasked": range(COUNT),
        }
    )


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pc.write_csv(table, sink)
    return sink.getvalue()


def jsonl(table: pa.Table) -> bytes:
    return b"".join(json.dumps(row, default=str).encode() + b"\n" for row in table.to_pylist())


def serve(world: World, run: str, **more: Any) -> int:
    """A run becomes the champion."""
    leave(world.data, run, **more)
    version = int(register({"model": MODEL, "run": run, "as_of": AT}, None)["version"])
    registry = Registry(world.registry)
    former = registry.champion(MODEL)
    carrier = Carrier(lambda_version=str(version + 6), code_sha256=f"code of {run}")
    at = datetime(2026, 3, 1, tzinfo=UTC)
    registry.set_champion(MODEL, version, former.version if former else None, at=at, why="test", carrier=carrier)
    return version


@pytest.fixture
def ready(world: World) -> World:
    """The world with version 1 of a model as champion; ranges have three rows."""
    open_predictor.cache_clear()
    world.deploy_catalog(None, {"contracts/flights.yaml": CONTRACT, f"models/{MODEL}.yaml": SPEC})
    serve(world, "r1")
    return world


def plan(world: World, name: str, body: bytes, model: str = MODEL) -> dict[str, Any]:
    return lambda_handler({"action": "plan", **world.drop(f"score/{model}/in/{name}", body)}, None)


def follow(world: World, planned: dict[str, Any], *, rows: Callable[[int], bool] = lambda _: True) -> dict[str, Any]:
    """The workflow after Plan; `rows` says which ranges are scored."""
    about = {name: planned[name] for name in ("batch", "plan", "output")} | {"as_of": AT}
    for place, one in enumerate(world.data.get_json(planned["ranges"])):
        if rows(place):
            lambda_handler({"action": "rows", "range": one, **about}, None)
    return lambda_handler({"action": "commit", **about}, None)


def score(world: World, name: str, body: bytes) -> dict[str, Any]:
    return follow(world, plan(world, name, body))


def read(world: World, output: str) -> pa.Table:
    keys = [key for key in world.data.list(output) if key.endswith(".parquet")]
    return pa.concat_tables([pq.ParquetFile(pa.BufferReader(world.data.get(key))).read() for key in keys])


def manifest(world: World, output: str) -> dict[str, Any]:
    found: dict[str, Any] = world.data.get_json(f"{output}_SUCCESS")
    return found


def under(world: World, *prefixes: str) -> dict[str, str]:
    """Keys and ETags."""
    return {one.key: one.etag for prefix in prefixes for one in world.data.entries(prefix)}


@pytest.mark.parametrize("sample", ["score", "score-rows", "score-commit"])
def test_the_sample_events_are_steps_of_a_batch(sample: str) -> None:
    ScoreInput.model_validate_json((EVENTS / f"{sample}.json").read_text("utf-8"))


def test_each_row_is_scored_once_and_as_over_https(ready: World, tmp_path: Path) -> None:
    planned = plan(ready, "march/flights.parquet", parquet(flights()))
    assert (planned["status"], planned["version"], planned["rows"], planned["quarantined"]) == ("planned", 1, 8, 0)
    done = follow(ready, planned)
    assert (done["status"], done["rows"], done["report_key"]) == ("scored", 8, None)
    assert done["output"] == f"score/{MODEL}/out/march/flights.parquet/{done['batch']}/"
    found = read(ready, done["output"])
    assert found.column_names == [
        "row", "flight", "at", "prediction", "probability", "model", "version", "prediction_id",
    ]  # fmt: skip
    assert found["row"].to_pylist() == list(range(1, COUNT + 1))
    assert found["flight"].to_pylist() == [f"f{index}" for index in range(COUNT)]
    assert found["at"][3].as_py() == datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert set(found["model"].to_pylist()) == {MODEL}
    assert set(found["version"].to_pylist()) == {1}
    assert found["prediction_id"][2].as_py() == f"2013-02-01-{done['batch']}-3"
    _, reply = Server(tmp_path, bundle_files("binary", [False, True])).infer(request(*flights().to_pylist()))
    assert found["prediction"].to_pylist() == outputs(reply)["prediction"]
    ours, theirs = np.array(found["probability"].to_pylist(), np.float32), outputs(reply)["probability"]
    assert np.array_equal(ours.ravel(), np.array(theirs, np.float32))


def test_the_manifest_says_what_was_scored_by_what_and_so_do_ledger_and_bus(ready: World) -> None:
    done = score(ready, "flights.csv", csv(flights()))
    found = manifest(ready, done["output"])
    champion = Registry(ready.registry).champion(MODEL)
    assert champion
    assert (found["version"], found["sha256"]) == (1, champion.sha256)
    assert (found["lambda_version"], found["code_sha256"]) == ("7", "code of r1")
    assert (found["rows"], found["scored"], found["quarantined"], found["classes"]) == (8, 8, 0, [False, True])
    assert [(part["first"], part["last"], part["rows"]) for part in found["parts"]] == [(1, 3, 3), (4, 6, 3), (7, 8, 2)]
    assert found["parts"][0]["key"] == f"{done['output']}part-000000001-000000003.parquet"
    assert set(ready.data.list(done["output"])) == {
        *(part["key"] for part in found["parts"]), f"{done['output']}_SUCCESS",
    }  # fmt: skip
    assert ready.ledger_facts(f"model/{MODEL}") == ["registered", "scored"]
    (fact,) = ready.facts("Batch Scored")
    assert (fact["detail"]["rows"], fact["detail"]["output"]) == (8, done["output"])
    # what was staged is gone, but for the list of ranges
    (left,) = ready.data.list(f"staging/score/{done['batch']}/")
    assert "/ranges-" in left
    assert not list(ready.data.list("quarantine/"))


def test_every_kind_of_file_gives_the_same_answers(ready: World) -> None:
    table, text = flights(), csv(flights())
    files = {"a.parquet": parquet(table), "b.csv": text, "c.csv.gz": gzip.compress(text), "d.jsonl": jsonl(table)}
    tables = [read(ready, score(ready, name, body)["output"]).drop(["prediction_id"]) for name, body in files.items()]
    assert tables[0].num_rows == COUNT
    # a missing text in a CSV is an empty one or none: the same to the model, and no column that is carried
    assert [one.to_pylist() for one in tables] == [tables[0].to_pylist()] * 4


def test_the_same_file_again_adds_nothing(ready: World) -> None:
    message = ready.drop(f"score/{MODEL}/in/flights.csv", csv(flights()))
    done = follow(ready, lambda_handler({"action": "plan", **message}, None))
    before = under(ready, "")
    serve(ready, "r2")
    again = lambda_handler({"action": "plan", **message}, None)
    assert again == done | {"status": "duplicate"}
    after = under(ready, "")
    new = [key for key in set(after) - set(before) if not key.startswith(("models/", "staging/r2/"))]
    assert new == []
    assert {key: after[key] for key in before} == before
    assert ready.ledger_facts(f"model/{MODEL}").count("scored") == 1
    assert len(ready.facts("Batch Scored")) == 1


def test_a_changed_file_of_the_same_name_is_another_batch(ready: World) -> None:
    first, second = (score(ready, "flights.csv", csv(flights().slice(0, rows))) for rows in (4, 5))
    assert first["output"] != second["output"]
    assert [read(ready, one["output"]).num_rows for one in (first, second)] == [4, 5]


def test_the_champion_of_the_start_scores_every_row(ready: World) -> None:
    planned = plan(ready, "flights.csv", csv(flights()))
    serve(ready, "r2", task="multiclass")
    done = follow(ready, planned)
    assert set(read(ready, done["output"])["version"].to_pylist()) == {1}
    assert manifest(ready, done["output"])["classes"] == [False, True]
    assert set(read(ready, score(ready, "next.csv", csv(flights()))["output"])["version"].to_pylist()) == {2}


def test_rows_that_cannot_be_scored_go_to_quarantine_and_the_others_do_not_wait(ready: World) -> None:
    lines = csv(flights()).splitlines()
    lines[3] = lines[3].replace(b"-1", b"far")  # row 3
    lines[5] = lines[5].replace(b"1e+30", b"1e39")  # row 5
    lines[7] = b"f6,just this"  # row 7
    done = score(ready, "flights.csv", b"\n".join(lines) + b"\n")
    assert (done["rows"], done["quarantined"]) == (5, 3)
    assert read(ready, done["output"])["row"].to_pylist() == [1, 2, 4, 6, 8]
    found = manifest(ready, done["output"])
    assert (found["rows"], found["scored"], found["quarantined"]) == (8, 5, 3)
    assert done["report_key"] == f"quarantine/_score/{MODEL}/{done['batch']}/report.json"
    report = ready.data.get_json(done["report_key"])
    assert (report["file"], report["model"]) == (f"score/{MODEL}/in/flights.csv", MODEL)
    assert [(one["row"], one["column"], one["rule"], one["value"]) for one in report["problems"]] == [
        (3, "distance", "type", "far"),
        (5, "distance", "maximum", "1e39"),
        (7, None, "fields", "f6,just this"),
    ]
    rejects = pq.ParquetFile(pa.BufferReader(ready.data.get(done["report_key"].replace("report.json", "rows.parquet"))))
    assert rejects.read()["__row__"].to_pylist() == [3, 5, 7]


FLIGHTS = flights()
BAD: dict[str, tuple[str, bytes, str]] = {
    "broken gzip": ("f.csv.gz", gzip.compress(csv(FLIGHTS))[:-20], "truncated: "),
    "a column is missing": ("f.csv", csv(FLIGHTS.drop(["hour"])), "columns: wrong columns; missing: 'hour'"),
    "a column is missing in parquet": ("f.parquet", parquet(FLIGHTS.drop(["hour"])), "columns: wrong columns; missing"),
    "no row has the key": ("f.jsonl", jsonl(FLIGHTS.drop(["hour"])), "columns: wrong columns; missing: 'hour'"),
    "a column of another type": (
        "f.parquet",
        parquet(FLIGHTS.set_column(3, "hour", FLIGHTS["at"])),
        "columns: column hour: the file holds timestamp",
    ),
    "nothing to score": ("f.csv", csv(FLIGHTS.slice(0, 0)), "empty: the file has no rows"),
    "an empty file": ("f.csv", b"", "empty: the file is empty"),
    "no good row": (
        "f.csv",
        csv(FLIGHTS.set_column(2, "distance", pa.array(["far"] * COUNT))),
        "noGoodRows: none of 8 rows can be scored",
    ),
    "another kind": ("f.csv", parquet(FLIGHTS), "kind: 'f.csv' holds Parquet"),
    "an unknown ending": ("f.xlsx", b"PK\x03\x04", "kind: 'f.xlsx': the name must end in"),
    "not UTF-8": ("f.csv", csv(FLIGHTS).replace(b"never seen", b"\xff\xfe"), "encoding: "),
    "damaged parquet": ("f.parquet", parquet(FLIGHTS)[:-60] + b"PAR1", "unreadable: "),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_goes_to_quarantine_with_its_reason(ready: World, what: str) -> None:
    name, body, reason = BAD[what]
    found = plan(ready, name, body)
    assert (found["status"], found["rows"]) == ("refused", 0)
    assert found["reason"].startswith(reason)
    folder = f"quarantine/_score/{MODEL}/{found['batch']}/"
    assert ready.data.get(folder + name) == body
    report = ready.data.get_json(found["report_key"])
    assert (report["file"], report["reason"]) == (f"score/{MODEL}/in/{name}", found["reason"])
    assert report["counts"]
    assert not list(ready.data.list(f"score/{MODEL}/out/"))
    assert not list(ready.data.list(f"staging/score/{found['batch']}/"))
    assert ready.ledger_facts(f"model/{MODEL}") == ["registered", "refused"]
    (fact,) = ready.facts("Batch Refused")
    assert fact["detail"]["reason"] == found["reason"]
    # the file itself stays where it was dropped
    assert ready.data.get(f"score/{MODEL}/in/{name}") == body


def test_a_refused_column_is_named_in_the_report(ready: World) -> None:
    found = plan(ready, "f.csv", csv(FLIGHTS.drop(["hour", "carrier"])))
    problems = ready.data.get_json(found["report_key"])["problems"]
    assert [(one["column"], one["rule"]) for one in problems] == [("hour", "columns"), ("carrier", "columns")]


def test_the_same_bad_file_again_is_judged_again_and_recorded_once(ready: World) -> None:
    message = {"action": "plan", **ready.drop(f"score/{MODEL}/in/f.csv", b"")}
    assert lambda_handler(message, None) == lambda_handler(message, None)
    assert ready.ledger_facts(f"model/{MODEL}") == ["registered", "refused"]


def test_a_file_too_large_is_refused_unread(ready: World) -> None:
    message = ready.drop(f"score/{MODEL}/in/f.csv", b"a\n1\n")
    message["detail"]["object"]["size"] = 2 * 1024**3
    found = lambda_handler({"action": "plan", **message}, None)
    assert found["reason"].startswith("tooLarge: 2,147,483,648 bytes")


def test_an_unknown_model_fails_by_name_and_the_file_stays(ready: World) -> None:
    with pytest.raises(ModelUnknown, match="no model 'other'"):
        plan(ready, "f.csv", csv(FLIGHTS), model="other")
    assert ready.data.get("score/other/in/f.csv") == csv(FLIGHTS)
    assert not list(ready.data.list("quarantine/"))


def test_a_model_that_nothing_serves_fails_by_name_and_is_scored_once_something_does(world: World) -> None:
    open_predictor.cache_clear()
    world.deploy_catalog(None, {"contracts/flights.yaml": CONTRACT, f"models/{MODEL}.yaml": SPEC})
    message = {"action": "plan", **world.drop(f"score/{MODEL}/in/f.csv", csv(FLIGHTS))}
    with pytest.raises(NothingServes, match="no version that serves yet"):
        lambda_handler(message, None)
    serve(world, "r1")
    assert follow(world, lambda_handler(message, None))["rows"] == COUNT


def test_a_champion_that_is_not_the_registered_one_scores_nothing(ready: World) -> None:
    planned = plan(ready, "f.csv", csv(FLIGHTS))
    ready.data.put(f"models/{MODEL}/00000001/model.onnx", b"another")
    with pytest.raises(BundleInvalid, match=r"model\.onnx"):
        follow(ready, planned)
    with pytest.raises(BundleInvalid):
        plan(ready, "g.csv", csv(FLIGHTS))


def test_a_model_that_answers_no_number_leaves_no_answers(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = bundle_files("regression", None, fault=True)
    monkeypatch.setattr("tests.runs.graph", lambda *_, **__: _Graph(faulty["model.onnx"]))
    monkeypatch.setattr("tests.runs.golden", lambda _: {"rows": [], "outputs": [], "tolerance": 1})
    serve(ready, "r2", task="regression")
    planned = plan(ready, "f.csv", csv(FLIGHTS.set_column(2, "distance", pa.array([0.0] * COUNT))))
    with pytest.raises(ScoringFailed, match=r"in/f\.csv, rows 1 to 3: .* row 0 with no finite number"):
        follow(ready, planned)
    assert not list(ready.data.list(f"score/{MODEL}/out/"))


class _Graph:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def SerializeToString(self) -> bytes:
        return self._content


def test_a_batch_goes_on_where_it_was_left(ready: World) -> None:
    """Parts that are there stay as they are; a commit without the others does nothing."""
    message = {"action": "plan", **ready.drop(f"score/{MODEL}/in/f.csv", csv(FLIGHTS))}
    planned = lambda_handler(message, None)
    with pytest.raises(PlanLost, match="part-000000004-000000006 is not scored"):
        follow(ready, planned, rows=lambda place: place == 0)
    assert not [key for key in ready.data.list(f"score/{MODEL}/out/") if key.endswith("_SUCCESS")]
    s3 = ready.client("s3")

    def written() -> dict[str, int]:
        versions = s3.list_object_versions(Bucket=ready.data.bucket, Prefix=f"staging/score/{planned['batch']}/")[
            "Versions"
        ]
        return {one["Key"]: sum(other["Key"] == one["Key"] for other in versions) for one in versions}

    first = written()
    again = lambda_handler(message, None)  # the event again: another execution
    assert again == planned
    assert follow(ready, again)["rows"] == COUNT
    assert {key: count for key, count in written().items() if key in first} == first


def test_an_execution_that_comes_late_to_a_committed_batch_changes_nothing(ready: World) -> None:
    planned = plan(ready, "f.csv", csv(FLIGHTS))
    done = follow(ready, planned)
    before = under(ready, "")
    assert follow(ready, planned) == done
    assert under(ready, "") == before


def test_a_plan_whose_rows_have_expired_says_so_and_is_made_again(ready: World) -> None:
    message = {"action": "plan", **ready.drop(f"score/{MODEL}/in/f.csv", csv(FLIGHTS))}
    planned = lambda_handler(message, None)
    rows = [key for key in ready.data.list(f"staging/score/{planned['batch']}/") if "/rows/" in key]
    ready.data.delete(rows[0])
    with pytest.raises(PlanLost, match="part-000000001-000000003"):
        follow(ready, planned)
    assert follow(ready, lambda_handler(message, None))["rows"] == COUNT


def test_two_tries_by_different_plans_leave_the_parts_of_one(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first died while it was committed, and its plan expired; ranges are of another size since then."""
    message = {"action": "plan", **ready.drop(f"score/{MODEL}/in/f.csv", csv(FLIGHTS))}
    first = lambda_handler(message, None)
    with crash_at(3, "after-call", "s3.CopyObject") as death:
        follow(ready, first)
    assert death.happened
    left = set(ready.data.list(first["output"]))
    assert left
    for key in list(ready.data.list(f"staging/score/{first['batch']}/")):
        ready.data.delete(key)
    monkeypatch.setenv("RANGE_ROWS", "5")
    again = lambda_handler(message, None)
    assert again["output"] == first["output"]
    assert follow(ready, again)["rows"] == COUNT
    parts = {part["key"] for part in manifest(ready, again["output"])["parts"]}
    assert left - parts
    assert set(ready.data.list(again["output"])) == parts | {again["output"] + "_SUCCESS"}
    assert len(read(ready, again["output"])) == COUNT


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f"score/{MODEL}/out/f.csv", "lies outside score/<model>/in/"),
        (f"score/{MODEL}/in/march/", "a folder marker"),
        (f"score/{MODEL}/in/_SUCCESS", "a hidden name (begins with . or _)"),
        (f"score/{MODEL}/in/.march/f.csv", "a hidden name (begins with . or _)"),
    ],
)
def test_what_is_no_file_to_score_is_passed_over(ready: World, key: str, reason: str) -> None:
    found = lambda_handler({"action": "plan", **ready.drop(key, b"")}, None)
    assert (found["status"], found["reason"]) == ("ignored", reason)


def test_a_file_that_is_gone_or_anothers_is_passed_over(ready: World) -> None:
    message = {"action": "plan", **ready.drop(f"score/{MODEL}/in/f.csv", csv(FLIGHTS))}
    foreign = json.loads(json.dumps(message))
    foreign["detail"]["bucket"]["name"] = "another"
    assert lambda_handler(foreign, None)["reason"] == "another bucket's event"
    stale = json.loads(json.dumps(message))
    stale["detail"]["object"] |= {"version-id": None, "etag": "0" * 32}
    assert lambda_handler(stale, None)["reason"] == "the object was overwritten; its own event follows"
    ready.client("s3").delete_object(
        Bucket=ready.data.bucket, Key=f"score/{MODEL}/in/f.csv", VersionId=message["detail"]["object"]["version-id"]
    )
    assert lambda_handler(message, None)["reason"] == "the object is gone"


def test_a_name_as_long_as_a_key_can_be_has_its_answers_too(ready: World) -> None:
    room = 1024 - len(f"score/{MODEL}/in/") - len(".csv")
    done = score(ready, "é" * (room // 2) + ".csv", csv(FLIGHTS))
    assert len(f"{done['output']}part-000000001-000000003.parquet".encode()) <= 1024
    assert read(ready, done["output"]).num_rows == COUNT
