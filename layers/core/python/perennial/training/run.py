"""One training: a request in, a candidate in its workspace `staging/<run>/` out."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from perennial.catalog.load import Catalog
from perennial.catalog.model import ModelSpec
from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.holdout import write_holdout
from perennial.evaluation.metrics import Scored, points
from perennial.evaluation.scoring import Graph
from perennial.monitoring.names import REFERENCE
from perennial.registry.registration import REFITTED
from perennial.storage.objects import Objects
from perennial.training.candidate import (
    Candidate,
    Clock,
    Progress,
    prepare_candidate,
    prepare_material,
    search_chunk,
    sha256,
    trained_until,
    tuned_key,
    workspace,
)
from perennial.training.data import Rows
from perennial.training.features import signature
from perennial.training.golden import golden
from perennial.training.provenance import surroundings
from perennial.training.reference import reference
from perennial.training.request import TrainRequest
from perennial.training.scoring import score

# Of the training record, what the ledger keeps.
EVIDENCE = (
    "run", "algorithm", "datasets", "rows", "window", "split", "trained_until", "metrics", "parity",
    "code_sha256", "seed",
)  # fmt: skip


def train(
    request: TrainRequest, catalog: Catalog, objects: Objects, code_sha256: str, progress: Progress
) -> dict[str, Any]:
    """Train what the request names, write the workspace and return the training record (training.json).

    The same request gives the same bytes, but for `seconds` in training.json. Raises TrainingDataInvalid, ParityFailed,
    EstimatorUnknown, CatalogInvalid.
    """
    spec = catalog.model(request.model)
    clock = Clock(progress)
    # one thread: several would sum in another order, and gain little on a task of one or two cores
    with threadpool_limits(limits=1):
        candidate = prepare_candidate(spec, request, catalog, objects, clock)
        clock.step("write", f"writing the candidate, a graph of {len(candidate.model)} bytes")
        files, metrics = _describe(spec, candidate)
    for name, body in files.items():
        objects.put(workspace(request.run) + name, body)
    for name, value in _documents(spec, candidate).items():
        objects.put_json(workspace(request.run) + name, value)
    record = _record(request, spec, candidate, metrics) | {
        "catalog_sha256": catalog.sha256,
        "code_sha256": code_sha256,
        **surroundings(),
    }
    clock.stop()
    objects.put_json(workspace(request.run) + "training.json", record | {"seconds": clock.seconds})
    progress(f"done: {metrics}")
    return record


def search_part(request: TrainRequest, chunk: int, catalog: Catalog, objects: Objects, progress: Progress) -> None:
    """Search parameters among the candidates of a chunk, and leave what came of it for the training of this run.

    A task that is started twice finds the result of the first. Raises as `train` does.
    """
    if objects.find_json(tuned_key(request.run, chunk)) is not None:
        progress(f"chunk {chunk + 1} has been searched before")
        return
    spec, clock = catalog.model(request.model), Clock(progress)
    with threadpool_limits(limits=1):
        material = prepare_material(spec, request, catalog, objects, clock)
        clock.step("tune", f"searching parameters: chunk {chunk + 1}")
        found = search_chunk(material, request, catalog, chunk)
    objects.put_json(tuned_key(request.run, chunk), found)
    progress(f"done: the best of {len(found['candidates'])} is {found['best']}")


def _describe(spec: ModelSpec, candidate: Candidate) -> tuple[dict[str, bytes], dict[str, float]]:
    """The workspace's binary files, and the metrics on the held-out rows."""
    held = candidate.split.holdout
    columns = {feature.name: held.features[feature.tensor].to_numpy() for feature in candidate.features}
    columns |= {str(name): held.others[name].to_numpy() for name in held.others.columns}
    answers = score(Graph(candidate.model), held.features)
    days = None if held.time is None else held.time.astype("datetime64[D]")
    metrics = points(spec.task, Scored(held.label, answers, blocks_of(days, len(held))))
    files = {
        "model.onnx": candidate.model,
        "holdout.parquet": write_holdout(columns, held.label, held.time, held.version),
        REFERENCE: reference(spec.task, candidate.features, candidate.split, answers).to_bytes(),
    }
    if candidate.refit is not None and candidate.refit.model is not None:
        files[REFITTED["model.onnx"]] = candidate.refit.model
    return files, metrics


def _documents(spec: ModelSpec, candidate: Candidate) -> dict[str, Any]:
    rows = candidate.split.holdout.features
    documents = {
        "signature.json": signature(spec, candidate.features, candidate.classes),
        "golden.json": golden(Graph(candidate.model), candidate.features, rows),
    }
    if candidate.refit is not None and candidate.refit.model is not None:
        documents[REFITTED["golden.json"]] = golden(Graph(candidate.refit.model), candidate.features, rows)
    return documents


def _record(request: TrainRequest, spec: ModelSpec, candidate: Candidate, metrics: dict[str, float]) -> dict[str, Any]:
    sides = candidate.split
    return {
        "run": request.run,
        "model": spec.name,
        "task": spec.task,
        "algorithm": spec.train.algorithm,
        "params": _params(candidate.pipeline),
        "iterations": _iterations(candidate.pipeline),
        "seed": request.seed,
        "label": spec.label.model_dump(),
        "classes": _class_rows(sides.train),
        "features": [feature.name for feature in candidate.features],
        "window": candidate.window,
        "split": sides.evidence,
        "rows": {"train": len(sides.train), "holdout": len(sides.holdout)},
        "trained_until": trained_until(sides.train),
        "sha256": sha256(candidate.model),
        "tune": candidate.tuned,
        "refit": None if candidate.refit is None else candidate.refit.to_json(),
        "metrics": metrics,
        "parity": candidate.parity,
        "datasets": [
            {"dataset": request.dataset, "version": one.version, "content_sha256": one.content_sha256, "rows": one.rows}
            for one in candidate.versions
        ],
        "as_of": request.as_of.isoformat(),
        "reason": request.reason,
    }


def _params(pipeline: Pipeline) -> dict[str, Any]:
    """The estimator's parameters, defaults included, as JSON."""
    found = pipeline.named_steps["model"].get_params()
    plain = (str, int, float, bool, type(None))
    return {name: value if isinstance(value, plain) else str(value) for name, value in sorted(found.items())}


def _iterations(pipeline: Pipeline) -> int | None:
    """How many steps an iterative fit took (its limit is in the parameters: as many means that it did not converge)."""
    found = getattr(pipeline.named_steps["model"], "n_iter_", None)
    if found is None:
        return None
    return max(int(count) for count in found) if hasattr(found, "__len__") else int(found)


def _class_rows(train: Rows) -> dict[str, int] | None:
    if train.classes is None:
        return None
    return {str(value): int((train.label == code).sum()) for code, value in enumerate(train.classes)}
