"""From a run's workspace to an immutable model directory and a version of the registry."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from perennial.registry.mlflow_format import directory
from perennial.registry.models import DatasetUse, ModelVersion
from perennial.registry.registry import Registry
from perennial.serving.bundle import manifest
from perennial.storage.objects import Objects, canonical_json

CARRIED = ("model.onnx", "signature.json", "golden.json", "training.json", "evaluation.json")


def register(model: str, run: str, at: datetime, objects: Objects, registry: Registry) -> ModelVersion:
    """Write the model directory, its manifest last, and record the version; repeated, it finds what it wrote.

    A candidate that failed its gates is registered as refused. Raises ObjectMissing when the workspace is incomplete.
    """
    claimed = registry.claim(model, run, at)
    if claimed.state != "registering":
        return claimed
    # a retry at a later time writes the same bytes
    version, prefix, at = claimed.version, claimed.prefix, claimed.at
    files = {name: objects.get(f"staging/{run}/{name}") for name in CARRIED}
    training, evaluation = json.loads(files["training.json"]), json.loads(files["evaluation.json"])
    graph = hashlib.sha256(files["model.onnx"]).hexdigest()
    files["lineage.json"] = canonical_json(_lineage(model, version, run, at, training, graph))
    signature = json.loads(files["signature.json"])
    files |= directory(run=run, at=at, signature=signature, training=training, graph_sha256=graph)
    for name, body in sorted(files.items()):
        objects.put(prefix + name, body)
    listed = manifest(model, version, files)
    objects.put(prefix + "manifest.json", listed, "application/json")
    completed = claimed.model_copy(
        update={
            "state": "registered" if evaluation["passed"] else "refused",
            "metrics": {name: metric["value"] for name, metric in evaluation["metrics"].items()},
            "sha256": hashlib.sha256(listed).hexdigest(),
            "algorithm": training["algorithm"],
            "datasets": [DatasetUse.model_validate(one) for one in training["datasets"]],
        }
    )
    registry.complete(completed)
    return registry.get(model, version)


def _lineage(
    model: str, version: int, run: str, at: datetime, training: dict[str, Any], graph_sha256: str
) -> dict[str, Any]:
    """An OpenLineage run event (https://openlineage.io/spec): dataset versions in, model version out."""
    inputs = [
        {
            "namespace": "perennial",
            "name": one["dataset"],
            "facets": {"version": {"datasetVersion": str(one["version"]), "content_sha256": one["content_sha256"]}},
        }
        for one in training["datasets"]
    ]
    facets = {"version": {"datasetVersion": str(version), "model_sha256": graph_sha256}}
    output = {"namespace": "perennial", "name": f"models/{model}", "facets": facets}
    return {
        "eventType": "COMPLETE",
        "eventTime": at.isoformat(),
        "producer": "perennial",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "job": {"namespace": "perennial", "name": f"train/{model}"},
        "run": {"runId": run, "facets": {"code": {"sha256": training["code_sha256"]}, "seed": training["seed"]}},
        "inputs": inputs,
        "outputs": [output],
    }
