"""Strict mode: functions run on the wheels of their layers, trimmed as for an account, and on nothing else."""

from __future__ import annotations

import gzip
import json
import os
import platform
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pyarrow import parquet, table

from infra.layers import LAYERS, LayerNotBuilt
from infra.local.context import Cloud
from infra.local.lambdas import wheels
from infra.lock import ROOT, Target, requirements
from scripts.cli.local import free_port
from tests.local.shop import GOOD, HEADER, Shop, eventually, orders, tensors, write_catalog
from tests.local.small_functions import archive, create, invoke, unique

RUNTIME = "python3.13"
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
# What the stages use of their layers, and where all of it came from.
LOOK = """
import importlib.util, sys
import boto3, numpy, pyarrow, pyarrow.compute, pyarrow.csv, pyarrow.parquet, pydantic, yaml
import aws_lambda_powertools

def handle(event, context):
    files = sorted({module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)})
    found = [name for name in event if importlib.util.find_spec(name)]
    return {"files": files, "found": found, "executable": sys.executable, "version": sys.version_info[:2]}
"""


@pytest.fixture
def strict(cloud: Cloud, unpacked: Target, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(cloud, "strict", True)
    return cloud


def published(cloud: Cloud, listed: str) -> str:
    """A layer as the template publishes it: requirements, no packages."""
    arn: str = cloud.client("lambda").publish_layer_version(
        LayerName=unique("layer"),
        Content={"ZipFile": archive({"requirements.txt": listed})},
        CompatibleRuntimes=[RUNTIME],
        CompatibleArchitectures=["x86_64"],
    )["LayerVersionArn"]
    return arn


def test_a_function_sees_its_layers_the_runtime_and_nothing_else(strict: Cloud, unpacked: Target) -> None:
    layers = [published(strict, requirements(LAYERS[name], Target("3.13", "x86_64"))) for name in ("base", "data")]
    name = create(strict, LOOK, Layers=layers, Timeout=30, MemorySize=512)
    _, seen = invoke(strict, name, ["moto", "onnxruntime", "sklearn", "pip", "infra", "perennial"])
    assert seen["found"] == []
    assert ".".join(map(str, seen["version"])) == unpacked.python
    assert not seen["executable"].startswith(str(ROOT / ".venv"))
    library = Path(seen["executable"]).parents[1] / "lib" / f"python{unpacked.python}"
    allowed = [str(library), str(strict.workdir / "lambda"), str(wheels.sdk(RUNTIME))]
    assert [file for file in seen["files"] if not file.startswith(tuple(allowed))] == []
    assert any("/opt/" in file and "pyarrow" in file for file in seen["files"])


def test_a_package_of_another_layer_is_missing(strict: Cloud) -> None:
    layer = published(strict, requirements(LAYERS["base"], Target("3.13", "x86_64")))
    name = create(strict, LOOK, Layers=[layer], Timeout=30)
    reply, failure = invoke(strict, name, [])
    assert reply["FunctionError"] == "Unhandled"
    assert "No module named 'numpy'" in failure["errorMessage"]


def test_the_size_that_counts_is_that_of_the_unpacked_layer(strict: Cloud) -> None:
    twice = [published(strict, requirements(LAYERS["data"], Target("3.13", "x86_64"))) for _ in range(2)]
    with pytest.raises(ClientError, match="exceeds the maximum allowed size of 262144000 bytes"):
        create(strict, LOOK, Layers=twice)


def test_a_layer_of_another_lock_is_refused(strict: Cloud) -> None:
    with pytest.raises(ClientError, match="not those of a layer of this checkout's lock"):
        published(strict, "pyarrow==1.0\n")


def test_a_python_that_is_not_here_is_replaced_by_the_own_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "interpreter", lambda python: None)
    assert wheels.target("python3.99").python == OWN


def test_a_machine_that_cannot_run_the_wheels_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(LayerNotBuilt, match=r"run on Linux with glibc.*this is Darwin"):
        wheels.prepare(RUNTIME)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, unpacked: Target) -> Iterator[Shop]:
    workdir = tmp_path_factory.mktemp("strict")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(workdir),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core/python'}",
        "PERENNIAL_WORKDIR": str(workdir / "state"),
        "COLUMNS": "200",
    }
    shop = Shop(workdir, environment)
    catalog = str(write_catalog(workdir / "catalog"))
    shop.json("up", "--strict", "--detach", "--port", str(free_port()), "--catalog", catalog)
    try:
        variables = shop.json("env")
        environment.update(variables)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            yield shop
    finally:
        shop.run("down")


def other_formats(folder: Path, rows: list[list[Any]]) -> list[Path]:
    """The rows as Parquet and as compressed JSON lines: the other readers of the data layer."""
    columns = dict(zip(HEADER, zip(*rows, strict=True), strict=True))
    flags = {name: [value == "true" for value in columns[name]] for name in ("first order", "returned")}
    moments = [datetime.fromisoformat(value) for value in columns["ordered_at"]]
    parquet.write_table(table({**columns, **flags, "ordered_at": moments}), folder / "february.parquet")
    again = {**columns, **flags, "order id": [f"again-{number}" for number in range(len(rows))]}
    lines = [dict(zip(again, values, strict=True)) for values in zip(*again.values(), strict=True)]
    with gzip.open(folder / "february.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return [folder / "february.parquet", folder / "february.jsonl.gz"]


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("strict")
def test_the_main_job_runs_on_the_layers_alone(shop: Shop) -> None:
    rows = orders(1)
    rows[7][2] = "-5"
    dropped = shop.drop("january.csv", rows)
    assert (dropped["status"], dropped["rows"], dropped["quarantined"]) == ("accepted", 399, 1)
    for path in other_formats(shop.workdir, orders(2, 20)):
        found = json.loads(shop.run("drop", str(path), "--dataset", "orders", "--wait", "--json"))
        assert (found["status"], found["rows"]) == ("accepted", 20), path.name
    eventually(lambda: [one for one in shop.lifecycles() if one["status"] != "RUNNING"])
    assert [one["status"] for one in shop.lifecycles()] == ["SUCCEEDED"]
    assert [version["state"] for version in shop.json("versions", "returns")] == ["deployed"]
    answer: dict[str, Any] = shop.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD))
    assert answer["model_version"] == "1"
    assert shop.api.json("POST", "/v2/models/returns/versions/1/infer", tensors(**GOOD))["model_version"] == "1"
    assert [one["name"] for one in shop.api.json("GET", "/v2/models")["models"]] == ["returns"]
    assert shop.json("ledger", "verify")["ok"] is True
    refused = shop.run("up", "--detach", "--port", shop.environment["AWS_ENDPOINT_URL"].rpartition(":")[2], expect=1)
    assert "strict" in refused
