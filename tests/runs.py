"""What the stages before leave behind: a dataset version; the workspace of a run, with a real (small) graph."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import onnxruntime

from perennial.datasets.versions import DatasetVersion, curated_prefix, dataset_pk, version_sk
from perennial.rollout.scores import spread_of
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from tests.unit.serving.bundles import INPUTS, MODEL, graph, signature

ROWS: list[dict[str, Any]] = [
    {"distance": 733.5, "hour": 7, "night": False, "carrier": "UA"},
    {"distance": None, "hour": 23, "night": True, "carrier": "never seen"},
    {"distance": 200.0, "hour": None, "night": None, "carrier": None},
]
CLASSES: dict[str, list[Any] | None] = {"binary": [False, True], "multiclass": ["a", "b", "c"], "regression": None}


def golden(model: bytes) -> dict[str, Any]:
    """golden.json of a graph."""
    session = onnxruntime.InferenceSession(model)
    feeds = {one["tensor"]: _column(one, [row[one["name"]] for row in ROWS]) for one in INPUTS}
    return {"rows": ROWS, "outputs": session.run(None, feeds)[0].tolist(), "tolerance": 1e-6}


def leave(
    objects: Objects, run: str, *, model: str = MODEL, task: str = "binary", passed: bool = True, auc: float = 0.7
) -> None:
    """Write the workspace of a run that was trained and evaluated."""
    classes = CLASSES[task]
    content = graph(task, classes=len(classes or ())).SerializeToString()
    use = {"version": 1, "content_sha256": "c" * 64, "rows": 100}
    version = use | {"files": ["curated/flights/version=00000001/part-00000.parquet"]}
    catalog = {"bucket": "assets", "key": "catalog.zip"}
    request = {"model": model, "run": run, "flight": run, "dataset": "flights", "versions": [version], "seed": 1}
    training = {
        "model": model,
        "run": run,
        "algorithm": "ridge",
        "datasets": [{"dataset": "flights", **use}],
        "python": "3.11.9",
        "libraries": {"onnx": "1.23.2", "onnxruntime": "1.32.0", "numpy": "2.4.6"},
        "code_sha256": "d" * 64,
        "catalog_sha256": "e" * 64,
    }
    metric = {"value": auc, "low": auc - 0.01, "high": auc + 0.01}
    evaluation = {"model": model, "run": run, "passed": passed, "metrics": {"auc": metric}, "gates": []}
    spread = spread_of([(1 - score / 10, score / 10) for score in range(10)], probabilities=True)
    evaluation["scores"] = spread.model_dump(mode="json")
    documents = {
        "request.json": request | {"as_of": "2026-03-01T12:00:00+00:00", "catalog": catalog, "reason": "test"},
        "signature.json": signature(task, classes) | {"model": model},
        "golden.json": golden(content),
        "training.json": training,
        "evaluation.json": evaluation,
    }
    objects.put(f"staging/{run}/model.onnx", content)
    for name, value in documents.items():
        objects.put(f"staging/{run}/{name}", json.dumps(value).encode())


def commit_version(items: Items, dataset: str, number: int, rows: int) -> None:
    """A batch became version `number` of a dataset."""
    version = DatasetVersion(
        dataset=dataset,
        version=number,
        batch=f"b{number}",
        key=f"raw/{dataset}/{number}.csv",
        rows=rows,
        quarantined=0,
        content_sha256=f"{number:064x}",
        contract_sha256="0" * 64,
        files=(f"{curated_prefix(dataset, number)}part-00000.parquet",),
        file_sha256=("0" * 64,),
        profile_key="",
        first_event_time="2026-02-01T00:00:00Z",
        last_event_time="2026-02-28T23:00:00Z",
        at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    item = {"pk": dataset_pk(dataset), "sk": version_sk(number), "state": "published"}
    items.create(item | version.model_dump(mode="json"))


def _column(one: dict[str, str], values: list[Any]) -> Any:
    if one["element"] == "string":
        return np.array([value or "" for value in values], dtype=object).reshape(-1, 1)
    return np.array([np.nan if value is None else value for value in values], np.float32).reshape(-1, 1)
