"""A team's own estimator through the stages: the catalog's code is trained, judged, and served as a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from functions.evaluate.handler import lambda_handler as evaluate
from functions.train.handler import main
from perennial.serving.bundle import manifest, verify
from perennial.serving.predictor import Predictor
from tests.functions.conftest import World
from tests.functions.trips import deploy, drop, request, trips
from tests.unit.training.own import SOURCES


def deploy_own(world: World, **changed: str) -> None:
    sources = {f"estimators/{name}": text for name, text in (SOURCES | changed).items()}
    deploy(world, algorithm="nearest:NearestMean", gates="{auc: {min: 0.6}}", extra=sources)


def test_an_own_estimator_is_trained_judged_and_served(world: World, tmp_path: Path) -> None:
    deploy_own(world)
    drop(world, trips(range(10)), "first")
    given = request(world, "r1")
    assert main() == 0, world.data.find_json("staging/r1/error.json")
    record = world.data.get_json("staging/r1/training.json")
    assert record["algorithm"] == "nearest:NearestMean"
    assert record["params"] == {"temperature": 1.0}
    assert record["parity"]["worst"] <= 1e-6
    message = {"model": "late-trips", "run": "r1", "flight": "r1", "as_of": given["as_of"]}
    judged = evaluate(message, None)
    assert judged["passed"], world.data.get_json("staging/r1/evaluation.json")
    files = {name: world.data.get(f"staging/r1/{name}") for name in ("model.onnx", "signature.json")}
    for name, body in {**files, "manifest.json": manifest("late-trips", 1, files)}.items():
        (tmp_path / name).write_bytes(body)
    predictor = Predictor(verify(tmp_path))
    row = {"amount": 2.5, "city": "Basel", "sunny": False}
    (likely,) = predictor.score(
        {one.tensor: one.many([row[one.name]], one.datatype) for one in predictor.inputs}, 1
    ).values
    assert np.argmax(likely) == 1


def test_code_that_cannot_be_loaded_fails_the_training_by_name(world: World) -> None:
    deploy_own(world, **{"nearest.py": "import no_such_package"})
    drop(world, trips(range(10)), "first")
    request(world, "r1")
    assert main() == 1
    error = world.data.get_json("staging/r1/error.json")
    assert error["error"] == "CatalogInvalid"
    assert "estimators/nearest.py: ModuleNotFoundError" in error["cause"]
