from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from functions.register.handler import lambda_handler
from perennial.errors import BundleInvalid, ObjectMissing
from perennial.registry import Registry
from perennial.serving.bundle import verify
from tests.functions.conftest import World
from tests.runs import leave
from tests.unit.serving.bundles import MODEL

EVENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "events" / "register.json").read_text())
RUN = EVENT["run"]
PREFIX = f"models/{MODEL}/00000001/"


def files(world: World) -> dict[str, bytes]:
    return {key.removeprefix(PREFIX): world.data.get(key) for key in world.data.list(PREFIX)}


def test_a_run_that_passed_becomes_a_version(world: World) -> None:
    leave(world.data, RUN)
    output = lambda_handler(EVENT, None)
    manifest = world.data.get(f"{PREFIX}manifest.json")
    assert output == {
        "model": MODEL,
        "run": RUN,
        "version": 1,
        "passed": True,
        "sha256": hashlib.sha256(manifest).hexdigest(),
        "prefix": PREFIX,
    }
    version = Registry(world.registry).get(MODEL, 1)
    assert (version.state, version.run, version.metrics, version.algorithm) == (
        "registered",
        RUN,
        {"auc": 0.7},
        "ridge",
    )
    assert [(use.dataset, use.version, use.rows) for use in version.datasets] == [("flights", 1, 100)]
    assert world.ledger_facts(f"model/{MODEL}") == ["registered"]
    (fact,) = world.facts("Model Version Registered")
    assert fact["detail"]["sha256"] == output["sha256"]


def test_a_run_that_failed_its_gates_is_registered_as_refused(world: World) -> None:
    leave(world.data, RUN, passed=False)
    output = lambda_handler(EVENT, None)
    assert (output["version"], output["passed"]) == (1, False)
    assert Registry(world.registry).get(MODEL, 1).state == "refused"


def test_the_directory_is_a_bundle_that_verifies(world: World, tmp_path: Path) -> None:
    leave(world.data, RUN)
    lambda_handler(EVENT, None)
    for name, body in files(world).items():
        (tmp_path / name).write_bytes(body)
    bundle = verify(tmp_path)
    assert (bundle.model, bundle.version) == (MODEL, 1)
    listed = json.loads(files(world)["manifest.json"])["files"]
    assert {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "lineage.json", "golden.json"} < set(listed)
    assert set(listed) == set(files(world)) - {"manifest.json"}


def test_the_reference_profile_goes_with_the_version_where_the_training_left_one(world: World) -> None:
    leave(world.data, RUN)
    world.data.put(f"staging/{RUN}/profile.json.gz", b"profile")
    lambda_handler(EVENT, None)
    assert files(world)["profile.json.gz"] == b"profile"
    assert "profile.json.gz" in json.loads(files(world)["manifest.json"])["files"]


def test_the_directory_is_an_mlflow_model(world: World) -> None:
    leave(world.data, RUN)
    lambda_handler(EVENT, None)
    found = yaml.safe_load(files(world)["MLmodel"])
    assert found["flavors"]["python_function"]["loader_module"] == "mlflow.onnx"
    assert found["flavors"]["onnx"]["data"] == "model.onnx"
    inputs = {one["name"]: one["tensor-spec"] for one in json.loads(found["signature"]["inputs"])}
    assert inputs["distance"] == {"dtype": "float32", "shape": [-1, 1]}
    assert inputs["carrier"] == {"dtype": "object", "shape": [-1, 1]}
    assert "mlflow_version" not in found


def test_lineage_leads_from_the_version_to_the_rows(world: World) -> None:
    leave(world.data, RUN)
    lambda_handler(EVENT, None)
    event = json.loads(files(world)["lineage.json"])
    (source,), (product,) = event["inputs"], event["outputs"]
    assert source["name"] == "curated/flights/version=00000001"
    assert source["facets"]["perennial_dataset"]["files"] == ["curated/flights/version=00000001/part-00000.parquet"]
    assert source["facets"]["perennial_dataset"]["contentSha256"] == "c" * 64
    assert product["name"] == PREFIX.rstrip("/")
    assert event["run"]["facets"]["perennial_run"]["run"] == RUN


def test_registering_again_changes_nothing(world: World) -> None:
    leave(world.data, RUN)
    first = lambda_handler(EVENT, None)
    before = files(world)
    assert lambda_handler(EVENT | {"as_of": "2026-04-01T00:00:00Z"}, None) == first
    assert files(world) == before
    assert world.ledger_facts(f"model/{MODEL}") == ["registered"]


def test_an_incomplete_workspace_costs_no_number(world: World) -> None:
    leave(world.data, RUN)
    world.data.delete(f"staging/{RUN}/golden.json")
    with pytest.raises(ObjectMissing, match=r"golden\.json"):
        lambda_handler(EVENT, None)
    leave(world.data, "other")
    assert lambda_handler(EVENT | {"run": "other"}, None)["version"] == 1


def test_the_workspace_of_another_run_is_refused(world: World) -> None:
    leave(world.data, RUN)
    world.data.put_json(
        f"staging/{RUN}/evaluation.json", {"model": MODEL, "run": "other", "passed": True, "metrics": {}}
    )
    with pytest.raises(BundleInvalid, match="run other"):
        lambda_handler(EVENT, None)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_every_task_can_be_registered(world: World, task: str) -> None:
    leave(world.data, RUN, task=task)
    assert lambda_handler(EVENT, None)["version"] == 1
    outputs = json.loads(yaml.safe_load(files(world)["MLmodel"])["signature"]["outputs"])
    assert outputs[0]["tensor-spec"]["shape"] == [-1, 3 if task == "multiclass" else 1]
