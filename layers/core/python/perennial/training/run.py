"""One training: a request in, a candidate in its workspace `staging/<run>/` out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from perennial.catalog.load import Catalog
from perennial.catalog.model import ModelSpec
from perennial.errors import TrainingDataInvalid
from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.holdout import write_holdout
from perennial.evaluation.metrics import Scored, points
from perennial.evaluation.scoring import Graph
from perennial.monitoring.names import REFERENCE
from perennial.storage.objects import Objects
from perennial.training.data import Rows, read_versions, to_rows
from perennial.training.export import export
from perennial.training.features import Feature, features_of, other_columns, signature
from perennial.training.golden import golden
from perennial.training.parity import check_parity
from perennial.training.pipeline import fit
from perennial.training.provenance import surroundings
from perennial.training.reference import reference
from perennial.training.request import TrainRequest
from perennial.training.scoring import score
from perennial.training.split import Split, split

Progress = Callable[[str], None]


@dataclass
class Clock:
    """Seconds per step, and a line in the log as each begins."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    _name: str = ""
    _since: float = 0.0

    def step(self, name: str, line: str) -> None:
        """The step before ends, `name` begins."""
        self.stop()
        self._name, self._since = name, time.monotonic()
        self.progress(line)

    def stop(self) -> None:
        """The current step ends."""
        if self._name:
            self.seconds[self._name] = round(time.monotonic() - self._since, 3)
            self._name = ""


@dataclass(frozen=True)
class Candidate:
    """A fitted and converted model that passed the parity gate."""

    features: list[Feature]
    split: Split
    pipeline: Pipeline
    model: bytes
    parity: dict[str, Any]

    @property
    def classes(self) -> list[Any] | None:
        """The labels of the classes in the order of the graph's output."""
        return self.split.train.classes


def workspace(run: str) -> str:
    """The S3 prefix of a run."""
    return f"staging/{run}/"


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


def prepare_candidate(
    spec: ModelSpec, request: TrainRequest, catalog: Catalog, objects: Objects, clock: Clock
) -> Candidate:
    """Read, split, fit, convert, check."""
    if request.dataset != spec.dataset:
        raise TrainingDataInvalid(
            f"the request names dataset {request.dataset!r}, the model is made of {spec.dataset!r}"
        )
    contract = catalog.contract(spec.dataset)
    features = features_of(spec, contract)
    versions = request.ordered()
    clock.step("read", f"reading {sum(version.rows for version in versions)} rows in {len(versions)} versions")
    wanted = [*spec.features, spec.label.column, contract.event_time]
    columns = [name for name in dict.fromkeys(wanted) if name is not None]
    others = other_columns(spec, contract)
    table = read_versions(objects, versions, columns, [other.name for other in others])
    rows = to_rows(table, spec, features, contract.event_time, others)
    sides = split(rows, spec.train.split.holdout, request.seed)
    clock.step("fit", f"fitting {spec.train.algorithm} on {len(sides.train)} rows, {len(sides.holdout)} held out")
    pipeline = fit(spec, features, sides.train.features, sides.train.label, request.seed, catalog.estimators)
    clock.step("convert", "converting to ONNX")
    model = export(pipeline, features, spec.task)
    clock.step("parity", "checking that the graph predicts what the pipeline predicts")
    evidence = check_parity(pipeline, model, features, sides.train.features, sides.train.label, spec.task)
    return Candidate(features, sides, pipeline, model, evidence)


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
        "holdout.parquet": write_holdout(columns, held.label, held.time),
        REFERENCE: reference(spec.task, candidate.features, candidate.split, answers).to_bytes(),
    }
    return files, metrics


def _documents(spec: ModelSpec, candidate: Candidate) -> dict[str, Any]:
    return {
        "signature.json": signature(spec, candidate.features, candidate.classes),
        "golden.json": golden(Graph(candidate.model), candidate.features, candidate.split.holdout.features),
    }


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
        "split": sides.evidence,
        "rows": {"train": len(sides.train), "holdout": len(sides.holdout)},
        "metrics": metrics,
        "parity": candidate.parity,
        "datasets": [
            {"dataset": request.dataset, "version": one.version, "content_sha256": one.content_sha256, "rows": one.rows}
            for one in request.ordered()
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
