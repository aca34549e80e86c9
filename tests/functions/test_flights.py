"""The shipped example on its real data: trained, judged, and asked about the month after."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.evaluate.handler import lambda_handler as evaluate
from functions.ingest.handler import lambda_handler as ingest
from functions.register.handler import lambda_handler as register
from functions.train.handler import main as train
from perennial.datasets.versions import get_version, list_versions
from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.metrics import Scored, points
from perennial.evaluation.scoring import Graph
from perennial.registry import Registry
from scripts.flights import months
from tests.functions.conftest import CATALOG, EVENTS, World

MODEL = "flight-delays"
AT = "2013-05-01T00:00:00+00:00"
HONEST = (0.55, 0.80)  # above means a leak


def drop(world: World, path: Path) -> None:
    assert ingest(world.drop(f"raw/flights/{path.name}", path.read_bytes()), None)["status"] == "accepted"


def judged(world: World, run: str) -> dict[str, Any]:
    """Train on all versions, evaluate, register, let serve; the evaluation."""
    message = {"model": MODEL, "run": run, "as_of": AT}
    record = trained_and_evaluated(world, message)
    version, registry = register(message, None)["version"], Registry(world.registry)
    former = registry.champion(MODEL)
    at = datetime(2013, 5, 1, tzinfo=UTC)
    registry.set_champion(MODEL, version, former.version if former else None, at=at, why="test")
    return record


def trained_and_evaluated(world: World, message: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = json.loads((EVENTS / "train.json").read_text("utf-8"))
    given |= {
        "run": message["run"],
        "as_of": "2013-05-02T00:00:00+00:00",
        "versions": [one.model_dump(mode="json") for one in list_versions(world.registry, "flights")],
        "catalog": {"bucket": os.environ["CATALOG_BUCKET"], "key": os.environ["CATALOG_KEY"]},
    }
    world.data.put_json(f"staging/{message['run']}/request.json", given)
    world.setenv(RUN_REQUEST=f"staging/{message['run']}/request.json")
    assert train() == 0
    record: dict[str, Any] = world.data.get_json(evaluate(message, None)["evaluation_key"])
    return record


def auc_of(world: World, run: str, version: int) -> float:
    """The AUC of a run's graph on the rows of a dataset version."""
    (key,) = get_version(world.registry, "flights", version).files
    table = pq.ParquetFile(pa.BufferReader(world.data.get(key))).read()
    table = table.filter(table.column("arr_delay").is_valid())
    columns = {
        one["tensor"]: table.column(one["name"]).to_numpy().astype(object if one["element"] == "string" else np.float32)
        for one in world.data.get_json(f"staging/{run}/signature.json")["inputs"]
    }
    answers = Graph(world.data.get(f"staging/{run}/model.onnx")).score(columns)
    late = (table.column("arr_delay").to_numpy() > 15).astype(int)
    return points("binary", Scored(late, answers, blocks_of(None, len(late))))["auc"]


def make_table(world: World) -> None:
    table = {
        "Name": "flights",
        "PartitionKeys": [{"Name": "version", "Type": "string"}],
        "StorageDescriptor": {"Location": f"s3://{world.data.bucket}/curated/flights/"},
    }
    world.client("glue").create_table(DatabaseName=os.environ["GLUE_DATABASE"], TableInput=table)


@pytest.mark.full
def test_three_months_train_a_model_that_holds_on_the_fourth_and_is_retrained(world: World, tmp_path: Path) -> None:
    make_table(world)
    paths = months(tmp_path)
    for path in paths[:3]:
        drop(world, path)
    first = judged(world, "r1")
    assert first["passed"], first["gates"]
    assert HONEST[0] < first["metrics"]["auc"]["value"] < HONEST[1]
    assert first["blocks"]["kind"] == "day"
    drop(world, paths[3])
    assert HONEST[0] < auc_of(world, "r1", 4) < HONEST[1]
    second = judged(world, "r2")
    assert second["passed"], second["gates"]
    assert second["comparison"]["comparable"]


def changed(*, leak: bool = False) -> dict[str, str]:
    """The shipped files of flights with a window and a refit; `leak` lets the model ask for the delay at departure."""
    contract = (CATALOG / "contracts" / "flights.yaml").read_text("utf-8")
    model = (CATALOG / "models" / "flight-delays.yaml").read_text("utf-8")
    model = model.replace("train:\n", "train:\n  window: 90d\n  refit: true\n", 1)
    if leak:
        before, found, after = contract.partition("- name: dep_delay")
        after = after.replace("availableAtPrediction, value: false", "availableAtPrediction, value: true", 1)
        contract = before + found + after
        model = model.replace("features: [", "features: [dep_delay, ").replace("    max: 0.80\n", "")
    return {"contracts/flights.yaml": contract, "models/flight-delays.yaml": model}


@pytest.mark.full
def test_a_refitted_champion_is_replaced_by_an_honest_model_and_not_by_a_leak(world: World, tmp_path: Path) -> None:
    world.deploy_catalog(None, changed())
    make_table(world)
    paths = months(tmp_path)
    for path in paths[:3]:
        drop(world, path)
    first = judged(world, "r1")
    assert first["deployed"]["refitted"], first["refit"]
    drop(world, paths[3])
    world.deploy_catalog(None, changed(leak=True))
    message = {"model": MODEL, "run": "leak", "as_of": AT}
    leak = trained_and_evaluated(world, message)
    failed = [gate for gate in leak["gates"] if not gate["passed"]]
    assert [(gate["name"], gate["column"]) for gate in failed] == [("auc.plausible", "dep_delay")]
    world.deploy_catalog(None, changed())
    second = judged(world, "r2")
    assert second["passed"], second["gates"]
    assert second["deployed"]["refitted"]
    rows = second["comparison"]["rows"]
    assert (rows["champion_trained_until"], rows["days"]) == ("2013-04-01", 18)
