"""The model that is deployed is fitted on all rows; what is registered of it is its own, from graph to golden rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from functions.evaluate.handler import lambda_handler as evaluate
from functions.register.handler import lambda_handler as register
from perennial.errors import BundleInvalid, ObjectMissing
from perennial.evaluation.holdout import read_holdout
from perennial.evaluation.scoring import Graph
from perennial.registry import ModelVersion, Registry
from perennial.registry.fetch import fetch
from perennial.registry.promotion import workspace_of
from perennial.serving.predictor import Predictor
from tests.functions.conftest import World
from tests.functions.trips import deploy, drop, trained, trips

MESSAGE = {"model": "late-trips", "run": "r1", "as_of": "2024-06-01T00:00:00+00:00"}
STAGING = "staging/r1/"


@pytest.fixture
def ready(world: World) -> World:
    """Run r1 is trained on twenty days, and again on all of them."""
    deploy(world, train="refit: true")
    drop(world, trips(range(20)), "first")
    trained(world, "r1")
    return world


def sha256(world: World, key: str) -> str:
    return hashlib.sha256(world.data.get(key)).hexdigest()


def registered(world: World) -> tuple[dict[str, Any], ModelVersion]:
    record: dict[str, Any] = world.data.get_json(evaluate(MESSAGE, None)["evaluation_key"])
    return record, Registry(world.registry).get("late-trips", register(MESSAGE, None)["version"])


def test_both_models_are_recorded_and_the_refitted_one_is_deployed(ready: World, tmp_path: Path) -> None:
    record, version = registered(ready)
    training = ready.data.get_json(f"{STAGING}training.json")
    evaluated, refitted = (sha256(ready, STAGING + name) for name in ("model.onnx", "refitted.onnx"))
    assert evaluated != refitted
    assert (training["sha256"], training["refit"]["sha256"]) == (evaluated, refitted)
    assert training["refit"]["rows"] == 1600
    assert training["refit"]["parity"]["worst"] <= 1e-6
    assert (record["refit"]["evaluated"], record["refit"]["refitted"], record["refit"]["passed"]) == (
        evaluated, refitted, True,
    )  # fmt: skip
    assert record["deployed"] == {
        "refitted": True, "sha256": refitted, "trained_until": "2024-01-20T08:00:00Z",
        "reason": "fitted again on all 1600 rows",
    }  # fmt: skip
    assert training["trained_until"] == "2024-01-16T08:00:00Z"
    assert version.trained_until == "2024-01-20T08:00:00Z"
    manifest = ready.data.get_json(f"{version.prefix}manifest.json")
    assert manifest["files"]["model.onnx"]["sha256"] == refitted
    assert "refitted.onnx" not in manifest["files"]
    gated = next(one for one in ready.ledger.read("model/late-trips") if one.fact == "gated")
    assert gated.evidence["deployed"] == record["deployed"]
    predictor = Predictor(fetch(version, ready.data, tmp_path))
    golden = ready.data.get_json(f"{version.prefix}golden.json")
    for row, output in zip(golden["rows"], golden["outputs"], strict=True):
        feeds = {one.tensor: one.many([row[one.name]], one.datatype) for one in predictor.inputs}
        assert predictor.score(feeds, 1).values == [output]


def test_metrics_are_of_the_model_that_had_not_seen_the_rows_and_scores_of_the_deployed_one(ready: World) -> None:
    record, version = registered(ready)
    training = ready.data.get_json(f"{STAGING}training.json")
    assert version.metrics["auc"] == pytest.approx(training["metrics"]["auc"])
    holdout = read_holdout(ready.data.get(f"{STAGING}holdout.parquet"))
    columns = {name: holdout.columns[name] for name in ("amount", "city", "sunny")}
    scores = Graph(ready.data.get(f"{version.prefix}model.onnx")).score(columns)[:, 1]
    assert (record["scores"]["low"], record["scores"]["high"]) == (scores.min(), scores.max())


def test_one_that_does_not_pass_is_kept_as_it_was_evaluated(ready: World) -> None:
    deploy(ready, train="refit: true", gates="{auc: {min: 0.99}}")
    record, version = registered(ready)
    assert (version.state, record["deployed"]["reason"]) == ("refused", "as evaluated: it did not pass")
    assert sha256(ready, f"{version.prefix}model.onnx") == sha256(ready, f"{STAGING}model.onnx")


def test_without_refit_nothing_is_fitted_twice(ready: World) -> None:
    deploy(ready)
    trained(ready, "r2")
    assert ready.data.get_json("staging/r2/training.json")["refit"] is None
    assert not [key for key in ready.data.list("staging/r2/") if "refitted" in key]
    record: dict[str, Any] = ready.data.get_json(evaluate(MESSAGE | {"run": "r2"}, None)["evaluation_key"])
    assert (record["refit"], record["deployed"]["reason"]) == (None, "as evaluated")


def test_a_class_that_only_held_out_rows_have_is_not_fitted_in_unseen(world: World) -> None:
    deploy(world, train="refit: true", gates="{}")
    files = _multiclass(world)
    world.deploy_catalog(None, files)
    drop(world, trips(range(10)), "first")
    table = trips(range(10, 20))
    cities = ["Dover" if place >= 640 and place % 4 == 0 else city for place, city in enumerate(
        table.column("city").to_pylist()
    )]  # fmt: skip
    drop(world, table.set_column(2, "city", [cities]), "second")
    trained(world, "r1")
    record, version = registered(world)
    assert record["deployed"]["reason"] == "as evaluated: the held-out rows have a class that the other rows lack"
    assert json.loads(world.data.get(f"{version.prefix}signature.json"))["classes"] == ["Basel", "Cork", "Ålesund"]


def _multiclass(world: World) -> dict[str, str]:
    from tests.functions.trips import CONTRACT, MODEL

    model = MODEL.format(
        features="[amount, sunny]", algorithm="logistic_regression", gates="{}", min_rows=50, when="{}"
    )
    model = model.replace("task: binary", "task: multiclass").replace("{column: late, above: 0.5}", "{column: city}")
    return {
        "contracts/trips.yaml": CONTRACT,
        "models/late-trips.yaml": model.replace("seed: 3", "seed: 3, refit: true"),
    }


def test_a_promoted_version_is_registered_as_what_it_is(ready: World) -> None:
    record, version = registered(ready)
    at = version.at
    for name, body in workspace_of(version, ready.data, environment="dev", by="arn:aws:iam::1:role/x", at=at).items():
        ready.data.put(f"staging/promoted/{name}", body)
    again = Registry(ready.registry).get("late-trips", register(MESSAGE | {"run": "promoted"}, None)["version"])
    assert again.trained_until == version.trained_until
    assert sha256(ready, f"{again.prefix}model.onnx") == record["deployed"]["sha256"]


def test_a_graph_that_was_changed_after_its_evaluation_is_not_registered(ready: World) -> None:
    evaluate(MESSAGE, None)
    ready.data.put(f"{STAGING}refitted.onnx", ready.data.get(f"{STAGING}model.onnx"))
    with pytest.raises(BundleInvalid, match="does not have the digest that evaluation found fit"):
        register(MESSAGE, None)


def test_a_refitted_graph_that_is_not_the_training_s_is_not_evaluated(ready: World) -> None:
    ready.data.put(f"{STAGING}refitted.onnx", ready.data.get(f"{STAGING}model.onnx"))
    with pytest.raises(ObjectMissing, match="is not the model that the training recorded"):
        evaluate(MESSAGE, None)
