"""The model that serving is measured with: the shipped one, trained and laid out by the stages' own code."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import joblib
from threadpoolctl import threadpool_limits

from perennial.catalog.load import Catalog, read_catalog
from perennial.catalog.train import Train
from perennial.datasets.sift import sift
from perennial.registry import ModelVersion
from perennial.registry.registration import Workspace, directory
from perennial.serving.bundle import manifest
from perennial.storage.objects import Objects
from perennial.training.candidate import Clock, prepare_candidate, workspace
from perennial.training.request import CatalogAt, NamedVersion, TrainRequest
from perennial.training.run import train
from scripts.cli.local import ROOT
from scripts.cli.output import Failure
from scripts.steps import Say

MODEL, DATASET = "flight-delays", "flights"
RUN = "flight-delays-000001-bench"
AT = datetime(2013, 4, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Folder(Objects):
    """A directory in the place of a bucket; `bucket` is its path."""

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """The file's bytes."""
        return Path(self.bucket, key).read_bytes()

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Write the file."""
        path = Path(self.bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def prepare(
    folder: Path,
    training: list[Path],
    scored: list[Path],
    sizes: tuple[int, ...],
    say: Say,
    trained: Train | None = None,
) -> None:
    """Train on the files in `training`, as `trained` says or as shipped, and write into `folder` what contenders need.

    `bundle/` is the registered directory under its manifest, `pipeline.joblib` the fitted scikit-learn pipeline behind
    it, `workload.json` rows of the files `scored`, `event.json` an API event, `first.json` one row and its answer.
    """
    catalog, objects = _catalog(trained), Folder(str(folder))
    request = _request(catalog, objects, training, say)
    say("training the model")
    train(request, catalog, objects, "0" * 64, say)
    with threadpool_limits(limits=1):
        candidate = prepare_candidate(catalog.model(MODEL), request, catalog, objects, Clock(say))
    if candidate.model != objects.get(workspace(RUN) + "model.onnx"):
        raise Failure("two trainings of one request made two graphs")
    joblib.dump(candidate.pipeline, folder / "pipeline.joblib")
    signature = _register(objects, request)
    records = _records(scored, signature["inputs"], catalog, max(sizes))
    _write(folder / "workload.json", {"records": records, "inputs": signature["inputs"], "sizes": sizes})
    _write(folder / "event.json", _event(records[0], signature["inputs"]))
    first = {feature.tensor: records[0][feature.name] for feature in candidate.features}
    frame = candidate.split.train.features.iloc[:1].assign(**first).astype(candidate.split.train.features.dtypes)
    probability = float(candidate.pipeline.predict_proba(frame)[0, -1])
    _write(folder / "first.json", {"record": records[0], "inputs": signature["inputs"], "probability": probability})


def _catalog(trained: Train | None) -> Catalog:
    catalog = read_catalog(ROOT / "infra" / "catalog")
    if trained is None:
        return catalog
    return replace(catalog, models={MODEL: catalog.model(MODEL).model_copy(update={"train": trained})})


def _request(catalog: Catalog, objects: Folder, training: list[Path], say: Say) -> TrainRequest:
    """Each file ingested as a version of its own."""
    versions = []
    for number, path in enumerate(training, start=1):
        say(f"checking {path.name}")
        place = Path(objects.bucket, f"version={number}")
        sifted = sift(path, path.name, catalog.contract(DATASET), place)
        if sifted.refusal is not None:
            raise Failure(f"{path.name}: {sifted.refusal}")
        files = [str(part.path.relative_to(objects.bucket)) for part in sifted.parts]
        versions.append(
            NamedVersion(version=number, rows=sifted.accepted, content_sha256=sifted.content_sha256, files=files)
        )
    return TrainRequest(
        model=MODEL,
        run=RUN,
        dataset=DATASET,
        versions=versions,
        seed=catalog.model(MODEL).train.seed,
        as_of=AT,
        catalog=CatalogAt(bucket="none", key="none"),
    )


def _register(objects: Folder, request: TrainRequest) -> dict[str, Any]:
    """Write `bundle/` as stage register does; its signature."""
    objects.put(workspace(RUN) + "request.json", request.model_dump_json().encode())
    names = ("model.onnx", "signature.json", "golden.json", "request.json", "training.json")
    left = Workspace({name: objects.get(workspace(RUN) + name) for name in names}, origin=None)
    version = ModelVersion(model=MODEL, version=1, run=RUN, state="registered", prefix=f"models/{MODEL}/1/", at=AT)
    files = directory(version, left, "bench")
    for name, body in (files | {"manifest.json": manifest(MODEL, 1, files)}).items():
        objects.put(f"bundle/{name}", body)
    signature: dict[str, Any] = left.json("signature.json")
    return signature


def _records(paths: list[Path], inputs: list[dict[str, Any]], catalog: Catalog, count: int) -> list[dict[str, Any]]:
    """The first rows of CSV files with all inputs, in the inputs' types."""
    missing = catalog.contract(DATASET).missing
    types = {"INT64": int, "FP64": float, "BYTES": str}
    whole = (row for row in _rows(paths) if not any(row[one["name"]] in missing for one in inputs))
    found = [{one["name"]: types[one["datatype"]](row[one["name"]]) for one in inputs} for row in islice(whole, count)]
    if len(found) < count:
        raise Failure(f"{len(found)} whole rows in {len(paths)} files, {count} are needed")
    return found


def _rows(paths: list[Path]) -> Iterator[dict[str, str]]:
    for path in paths:
        with path.open(newline="") as lines:
            yield from csv.DictReader(lines)


def _event(record: dict[str, Any], inputs: list[dict[str, Any]]) -> dict[str, Any]:
    envelope: dict[str, Any] = json.loads((ROOT / "events" / "predict.json").read_text())
    tensors = [
        {"name": one["name"], "datatype": one["datatype"], "shape": [1, 1], "data": [record[one["name"]]]}
        for one in inputs
    ]
    return {**envelope, "body": json.dumps({"inputs": tensors})}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))
