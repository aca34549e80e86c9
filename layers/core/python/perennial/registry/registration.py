"""From a run's workspace to a registered version: a directory in S3, sealed by its manifest, then an entry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import BundleInvalid, ObjectMissing
from perennial.governance.lineage import lineage_event
from perennial.monitoring.names import REFERENCE
from perennial.registry.mlflow_model import mlflow_files
from perennial.registry.models import DatasetUse, ModelVersion, Origin
from perennial.registry.registry import Registry
from perennial.serving.bundle import MANIFEST, manifest
from perennial.serving.graph import check_graph
from perennial.storage.objects import Objects, canonical_json

# as the run left them
COPIED = ("model.onnx", "signature.json", "golden.json", "request.json", "training.json", "evaluation.json")
# left by trainings since versions are watched; a version without it has no reference
OPTIONAL = (REFERENCE,)
# in the workspace of a version that another environment promoted
ORIGIN = "promotion.json"


@dataclass(frozen=True)
class Workspace:
    """What a run left under `staging/<run>/`, here or in the environment that promoted it."""

    files: Mapping[str, bytes]
    origin: Origin | None

    def json(self, name: str) -> Any:
        """One of its JSON files."""
        return json.loads(self.files[name])


def register(
    model: str, run: str, at: datetime, objects: Objects, registry: Registry, *, approval: bool = False
) -> ModelVersion:
    """The registered version of a run. One whose gates failed is registered as refused: kept, and never deployed;
    with `approval`, one that passed is as yet unapproved.

    The manifest is written last and never again, so a directory with a manifest is whole. A repetition returns the
    version; after a crash it goes on where the first call ended, under the same number and time. Raises ObjectMissing
    when the workspace is incomplete, BundleInvalid when it is another run's or its graph may not be served.
    """
    known = registry.of_run(model, run)
    if known is not None and known.state != "registering":
        return known
    workspace = read_workspace(model, run, objects)
    claimed = registry.claim(model, run, at)
    version = _described(claimed, workspace, approval)
    sealed = _seal(version, workspace, objects)
    version = version.model_copy(update={"sha256": hashlib.sha256(sealed).hexdigest()})
    registry.complete(version)
    return version


def read_workspace(model: str, run: str, objects: Objects) -> Workspace:
    """The workspace of a run, checked before a number is spent on it. Raises ObjectMissing, BundleInvalid."""
    prefix = f"staging/{run}/"
    origin = objects.find_json(prefix + ORIGIN)
    files = {name: objects.get(prefix + name) for name in COPIED}
    files |= {name: body for name in OPTIONAL if (body := objects.find(prefix + name)) is not None}
    workspace = Workspace(files, Origin.model_validate(origin) if origin else None)
    made_by = workspace.origin.run if workspace.origin else run
    for name in ("request.json", "training.json", "evaluation.json"):
        found = workspace.json(name)
        if (found["model"], found["run"]) != (model, made_by):
            raise BundleInvalid(f"{prefix}{name} is of run {found['run']} of model {found['model']}")
    check_graph(workspace.files["model.onnx"])
    return workspace


def _described(claimed: ModelVersion, workspace: Workspace, approval: bool) -> ModelVersion:
    training, evaluation = workspace.json("training.json"), workspace.json("evaluation.json")
    passed = "unapproved" if approval else "registered"
    return claimed.model_copy(
        update={
            "state": passed if evaluation["passed"] else "refused",
            "metrics": {name: float(metric["value"]) for name, metric in sorted(evaluation["metrics"].items())},
            "algorithm": training.get("algorithm"),
            "datasets": [DatasetUse.model_validate(one) for one in training["datasets"]],
            "promoted_from": workspace.origin,
        }
    )


def _seal(version: ModelVersion, workspace: Workspace, objects: Objects) -> bytes:
    """Write the directory of a version, manifest last; the bytes of its manifest."""
    sealed = _manifest_of(version, objects)
    if sealed is not None:
        return sealed
    files = directory(version, workspace, objects.bucket)
    for name, body in sorted(files.items()):
        objects.put(version.prefix + name, body)
    objects.create(version.prefix + MANIFEST, manifest(version.model, version.version, files))
    return objects.get(version.prefix + MANIFEST)


def directory(version: ModelVersion, workspace: Workspace, bucket: str) -> dict[str, bytes]:
    """Every file of a version's directory but its manifest; the same run gives the same bytes."""
    signature, training = workspace.json("signature.json"), workspace.json("training.json")
    event = lineage_event(version, workspace.json("request.json"), training, bucket)
    return {
        **workspace.files,
        **mlflow_files(version, signature, training),
        "lineage.json": canonical_json(event),
    }


def _manifest_of(version: ModelVersion, objects: Objects) -> bytes | None:
    try:
        return objects.get(version.prefix + MANIFEST)
    except ObjectMissing:
        return None
