"""A dataset of 500 columns through the stages: ingested, trained on, exported, served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from functions.ingest.handler import lambda_handler as ingest
from functions.train.handler import main as train
from perennial.serving.bundle import manifest
from tests.functions.conftest import World
from tests.functions.test_predict import CONTEXT, event, started
from tests.functions.trips import csv, request

COLUMNS, ROWS = 500, 400
TEXTS = [f"t{n}" for n in range(50)]
PATH = "/v2/models/wide-late/infer"
FEATURES = [*(f"n{n}" for n in range(COLUMNS - len(TEXTS))), *TEXTS]


def catalog() -> dict[str, str]:
    columns = [{"name": name, "logicalType": "string" if name in TEXTS else "number"} for name in FEATURES]
    contract = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "wide",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "wide", "properties": [*columns, {"name": "late", "logicalType": "integer"}]}],
    }
    model = {
        "name": "wide-late",
        "dataset": "wide",
        "task": "binary",
        "label": {"column": "late"},
        "features": FEATURES,
        "train": {"params": {"max_iter": 10}, "min_rows": 100},
    }
    return {"contracts/wide.yaml": yaml.safe_dump(contract), "models/wide-late.yaml": yaml.safe_dump(model)}


def table() -> pa.Table:
    """Rows whose label follows from one number and one text of the 500 columns, but for a tenth of them."""
    rng = np.random.default_rng(5)
    made: dict[str, Any] = {name: rng.normal(size=ROWS).round(3) for name in FEATURES}
    made |= {name: rng.choice(["a", "b", "c"], size=ROWS) for name in TEXTS}
    late = (made["n7"] + 2 * (made["t3"] == "a") > 0.7) ^ (rng.random(ROWS) < 0.1)
    return pa.table(made | {"late": late.astype(int)})


def test_a_model_of_500_columns_answers_as_it_did_in_training(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy_catalog(None, catalog())
    world.make_table("wide")
    found = ingest(world.drop("raw/wide/a.csv", csv(table())), None)
    assert (found["status"], found["rows"], found["quarantined"]) == ("accepted", ROWS, 0)
    request(world, "r1", model="wide-late", dataset="wide")
    assert train() == 0, world.data.find_json("staging/r1/error.json")
    assert world.data.get_json("staging/r1/training.json")["metrics"]["auc"] > 0.7

    files = {name: world.data.get(f"staging/r1/{name}") for name in ("model.onnx", "signature.json")}
    for name, content in (files | {"manifest.json": manifest("wide-late", 1, files)}).items():
        (tmp_path / name).write_bytes(content)
    handler = started(tmp_path, monkeypatch)
    golden = world.data.get_json("staging/r1/golden.json")
    inputs = json.loads(files["signature.json"])["inputs"]
    assert len(inputs) == COLUMNS
    body = {"inputs": [_column(one, golden["rows"]) for one in inputs]}
    reply = handler.lambda_handler(event("predict") | {"rawPath": PATH, "body": json.dumps(body)}, CONTEXT)
    assert reply["statusCode"] == 200, reply["body"]
    (scores,) = (one for one in json.loads(reply["body"])["outputs"] if one["name"] == "probability")
    outputs = np.array(golden["outputs"])
    assert scores["shape"] == list(outputs.shape)
    assert np.abs(np.reshape(scores["data"], outputs.shape) - outputs).max() <= golden["tolerance"]


def _column(one: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    data = [row[one["name"]] for row in rows]
    return {"name": one["name"], "datatype": one["datatype"], "shape": [len(rows), 1], "data": data}
