"""Stage train from outside: a request in S3 in; a workspace, a ledger fact or error.json, and an exit status out."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.train.handler import main
from perennial.evaluation.holdout import DAY, LABEL, TIME
from perennial.monitoring.profile import Profile
from perennial.serving.bundle import manifest, verify
from perennial.serving.predictor import Predictor
from perennial.training.request import TrainRequest
from tests.crash import crash_at
from tests.functions.conftest import EVENTS, World
from tests.functions.trips import deploy, drop, request, trips

FILES = [
    "golden.json",
    "holdout.parquet",
    "model.onnx",
    "profile.json.gz",
    "request.json",
    "signature.json",
    "training.json",
]


def workspace(world: World, run: str) -> dict[str, bytes]:
    prefix = f"staging/{run}/"
    return {key.removeprefix(prefix): world.data.get(key) for key in world.data.list(prefix)}


def failed(world: World, run: str) -> dict[str, str]:
    assert main() == 1
    found: dict[str, str] = world.data.get_json(f"staging/{run}/error.json")
    assert set(found) == {"error", "cause"}
    assert "model.onnx" not in workspace(world, run)
    assert world.ledger_facts("model/late-trips") == []
    return found


@pytest.fixture
def ready(world: World) -> World:
    """The world with two versions of trips."""
    deploy(world)
    drop(world, trips(range(10)), "first")
    drop(world, trips(range(10, 20)), "second")
    return world


def test_the_sample_event_is_a_request() -> None:
    TrainRequest.model_validate_json((EVENTS / "train.json").read_text("utf-8"))


def test_a_request_becomes_a_candidate_in_its_workspace(ready: World) -> None:
    given = request(ready, "r1")
    assert main() == 0
    files = workspace(ready, "r1")
    assert sorted(files) == FILES
    record = json.loads(files["training.json"])
    assert record["rows"]["train"] + record["rows"]["holdout"] == 1600
    assert record["split"] == {
        "by": "time", "holdout_from": "2024-01-17", "holdout_share": 0.2, "last_day": "2024-01-20",
    }  # fmt: skip
    assert record["datasets"] == [
        {"dataset": "trips", **{name: one[name] for name in ("version", "content_sha256", "rows")}}
        for one in given["versions"]
    ]
    assert 0.6 < record["metrics"]["auc"] < 0.95
    assert record["parity"]["worst"] <= record["parity"]["tolerance"]
    assert {"code_sha256", "catalog_sha256", "libraries", "python", "blas", "seed", "params"} <= record.keys()
    held = pq.ParquetFile(pa.BufferReader(files["holdout.parquet"])).read()
    assert set(held.column_names) == {"amount", "city", "sunny", "noise", LABEL, DAY, TIME}
    assert ready.ledger_facts("model/late-trips") == ["trained"]
    reference = Profile.from_bytes(files["profile.json.gz"])
    assert set(reference.columns) == {"amount", "city", "sunny", "__score__", "__confidence__"}
    assert (int(reference.rows.sum()), len(reference.days)) == (1600, 20)
    # a model is surer of rows that it has learnt: scores are of the held-out ones
    by_day = reference.columns["__score__"].counts.sum(axis=1)
    assert by_day.sum() == 320 and not by_day[:16].any()
    assert reference.grid.by_name["sunny"].kind == "boolean"


def test_the_candidate_serves(ready: World, tmp_path: Any) -> None:
    request(ready, "r1")
    assert main() == 0
    files = {name: body for name, body in workspace(ready, "r1").items() if name in {"model.onnx", "signature.json"}}
    for name, body in {**files, "manifest.json": manifest("late-trips", 1, files)}.items():
        (tmp_path / name).write_bytes(body)
    predictor = Predictor(verify(tmp_path))
    golden = ready.data.get_json("staging/r1/golden.json")
    for row, output in zip(golden["rows"], golden["outputs"], strict=True):
        feeds = {one.tensor: one.many([row[one.name]], one.datatype) for one in predictor.inputs}
        assert predictor.score(feeds, 1).values == [output]


def test_the_same_request_again_writes_the_same_bytes_and_one_ledger_fact(ready: World) -> None:
    request(ready, "r1")
    assert main() == 0
    before = workspace(ready, "r1")
    assert main() == 0
    after = workspace(ready, "r1")
    for files in (before, after):
        record = json.loads(files["training.json"])
        record.pop("seconds")
        files["training.json"] = json.dumps(record).encode()
    assert before == after
    assert ready.ledger_facts("model/late-trips") == ["trained"]


def test_the_order_in_which_a_request_names_versions_changes_nothing(ready: World) -> None:
    given = request(ready, "r1")
    assert main() == 0
    request(ready, "r2", versions=given["versions"][::-1])
    assert main() == 0
    one, other = workspace(ready, "r1"), workspace(ready, "r2")
    assert one["model.onnx"] == other["model.onnx"]
    assert one["holdout.parquet"] == other["holdout.parquet"]


def test_another_seed_is_another_graph(ready: World) -> None:
    deploy(ready, algorithm="random_forest")
    digests = set()
    for seed in (1, 2):
        request(ready, f"r{seed}", seed=seed)
        assert main() == 0
        digests.add(hashlib.sha256(workspace(ready, f"r{seed}")["model.onnx"]).hexdigest())
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("label", "cause"),
    [(9.0, "one class only: 1"), (-9.0, "one class only: 0"), (None, "0 of 800 rows have a label")],
)
def test_a_label_that_cannot_train_is_named(world: World, label: float | None, cause: str) -> None:
    deploy(world)
    table = trips(range(10), late=label)
    drop(world, table if label is not None else table.set_column(5, "late", pa.nulls(800, pa.float64())), "only")
    request(world, "r1")
    found = failed(world, "r1")
    assert found["error"] == "TrainingDataInvalid"
    assert cause in found["cause"]


def test_too_few_rows_are_named(world: World) -> None:
    deploy(world, min_rows=2000)
    drop(world, trips(range(10)), "only")
    request(world, "r1")
    found = failed(world, "r1")
    assert found["error"] == "TrainingDataInvalid"
    assert "at least 2000 are needed" in found["cause"]


def test_a_column_that_a_version_lacks_is_named(ready: World) -> None:
    given = request(ready, "r1")
    (key,) = given["versions"][1]["files"]
    sink = pa.BufferOutputStream()
    file = pq.ParquetFile(pa.BufferReader(ready.data.get(key)))
    pq.write_table(file.read().drop_columns(["city"]), sink)
    ready.data.put(key, sink.getvalue().to_pybytes())
    found = failed(ready, "r1")
    assert found == {"error": "TrainingDataInvalid", "cause": f"version 2 ({key}) has no column 'city'"}


def test_rows_that_are_not_the_recorded_ones_are_refused(ready: World) -> None:
    given = request(ready, "r1")
    (first,), (second,) = (one["files"] for one in given["versions"])
    ready.data.put(second, ready.data.get(first))
    found = failed(ready, "r1")
    assert found == {
        "error": "TrainingDataInvalid", "cause": "version 2 does not hold the rows that were recorded for it",
    }  # fmt: skip


def test_an_algorithm_that_does_not_fit_is_named(ready: World) -> None:
    ready.deploy_catalog(None, _changed(ready, "algorithm: logistic_regression", "params: {max_leaf: 3}"))
    request(ready, "r1")
    found = failed(ready, "r1")
    assert found["error"] == "CatalogInvalid"
    assert "max_leaf" in found["cause"]


def test_a_model_that_the_catalog_lacks_is_named(ready: World) -> None:
    request(ready, "r1", model="unheard-of")
    assert failed(ready, "r1")["error"] == "ModelUnknown"


def test_an_attempt_that_succeeds_takes_back_what_the_one_before_said(ready: World) -> None:
    given = request(ready, "r1")
    (key,) = given["versions"][0]["files"]
    body = ready.data.get(key)
    ready.data.delete(key)
    assert failed(ready, "r1")["error"] == "ObjectMissing"
    ready.data.put(key, body)
    assert main() == 0
    assert sorted(workspace(ready, "r1")) == sorted([*FILES, "error.json"])
    assert ready.data.get_json("staging/r1/error.json") == {}


def test_an_attempt_that_is_killed_is_not_explained_by_the_one_before(ready: World) -> None:
    given = request(ready, "r1")
    missing = given["versions"][0]["files"][0]
    body = ready.data.get(missing)
    ready.data.delete(missing)
    failed(ready, "r1")
    ready.data.put(missing, body)
    # when the next attempt dies as it reads its request, with no time to say so
    with crash_at(3, "before-send", "s3."):
        main()
    assert ready.data.get_json("staging/r1/error.json") == {}


def test_a_file_that_is_gone_is_named(ready: World) -> None:
    given = request(ready, "r1")
    ready.data.delete(given["versions"][0]["files"][0])
    assert failed(ready, "r1")["error"] == "ObjectMissing"


def test_what_nobody_expected_is_reported_by_its_class(ready: World) -> None:
    ready.data.put("staging/r1/request.json", b"{}")
    ready.setenv(RUN_REQUEST="staging/r1/request.json")
    found = failed(ready, "r1")
    assert found["error"] == "ValidationError"
    assert "model" in found["cause"]


def _changed(world: World, line: str, other: str) -> dict[str, str]:
    from tests.functions.trips import CONTRACT, MODEL

    text = MODEL.format(features="[amount]", algorithm="hist_gradient_boosting", gates="{}", min_rows=50, when="{}")
    return {
        "contracts/trips.yaml": CONTRACT,
        "models/late-trips.yaml": text.replace("seed: 3", f"seed: 3, {other}"),
    }
