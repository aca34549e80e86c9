"""From a request to a candidate: read, split, tune, fit, convert, check; and the same fitted again on all rows."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from perennial.catalog.load import Catalog
from perennial.catalog.model import ModelSpec
from perennial.errors import ParityFailed, TrainingDataInvalid
from perennial.storage.objects import Objects
from perennial.training.data import Rows, to_rows
from perennial.training.export import export
from perennial.training.features import Feature, features_of, other_columns
from perennial.training.parity import check_parity
from perennial.training.pipeline import fit
from perennial.training.request import NamedVersion, TrainRequest
from perennial.training.split import Split, split
from perennial.training.tuning import Params, choose, halve, search, with_params
from perennial.training.window import iso, select

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
            before = self.seconds.get(self._name, 0.0)
            self.seconds[self._name] = round(before + time.monotonic() - self._since, 3)
            self._name = ""


@dataclass(frozen=True)
class Material:
    """The rows of a request, split; which dataset `versions` they are of, and the record of their `window` (JSON)."""

    spec: ModelSpec
    features: list[Feature]
    versions: list[NamedVersion]
    window: dict[str, Any]
    split: Split


@dataclass(frozen=True)
class Refit:
    """The candidate fitted again on all rows; `model` is None when that did not work, and `failure` says why."""

    model: bytes | None = None
    pipeline: Pipeline | None = None
    parity: dict[str, Any] | None = None
    trained_until: str | None = None
    rows: int = 0
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For training.json."""
        return {
            "sha256": None if self.model is None else sha256(self.model),
            "trained_until": self.trained_until,
            "rows": self.rows,
            "parity": self.parity,
            "failure": self.failure,
        }


@dataclass(frozen=True)
class Candidate:
    """A fitted and converted model that passed the parity gate.

    `versions` and `window` as in Material; `tuned` is the record of the search for its parameters (JSON).
    """

    features: list[Feature]
    split: Split
    versions: list[NamedVersion]
    window: dict[str, Any]
    pipeline: Pipeline
    model: bytes
    parity: dict[str, Any]
    tuned: dict[str, Any] | None = None
    refit: Refit | None = None

    @property
    def classes(self) -> list[Any] | None:
        """The labels of the classes in the order of the graph's output."""
        return self.split.train.classes


def sha256(content: bytes) -> str:
    """The digest in hex."""
    return hashlib.sha256(content).hexdigest()


def workspace(run: str) -> str:
    """The S3 prefix of a run."""
    return f"staging/{run}/"


def tuned_key(run: str, chunk: int) -> str:
    """Where the task of a chunk leaves what its search gave."""
    return f"{workspace(run)}tune/{chunk:02d}.json"


def prepare_candidate(
    spec: ModelSpec, request: TrainRequest, catalog: Catalog, objects: Objects, clock: Clock
) -> Candidate:
    """Read, split, tune, fit, convert, check. Raises TrainingDataInvalid, ParityFailed, CatalogInvalid."""
    material = prepare_material(spec, request, catalog, objects, clock)
    sides, features, tuned = material.split, material.features, None
    if spec.train.tune is not None:
        params, tuned = _tune(material, request, catalog, objects, clock)
        spec = with_params(spec, params)
    clock.step("fit", f"fitting {spec.train.algorithm} on {len(sides.train)} rows, {len(sides.holdout)} held out")
    pipeline, model, evidence = _fitted(spec, features, sides.train, request.seed, catalog.estimators, clock)
    candidate = Candidate(features, sides, material.versions, material.window, pipeline, model, evidence, tuned)
    if not spec.train.refit:
        return candidate
    return replace(candidate, refit=refit(spec, candidate, request.seed, catalog.estimators, clock))


def prepare_material(
    spec: ModelSpec, request: TrainRequest, catalog: Catalog, objects: Objects, clock: Clock
) -> Material:
    """Read and split what the request names."""
    if request.dataset != spec.dataset:
        raise TrainingDataInvalid(
            f"the request names dataset {request.dataset!r}, the model is made of {spec.dataset!r}"
        )
    contract = catalog.contract(spec.dataset)
    features, others = features_of(spec, contract), other_columns(spec, contract)
    rows = sum(version.rows for version in request.versions)
    clock.step("read", f"reading of {rows} rows in {len(request.versions)} versions those that count")
    wanted = [*spec.features, spec.label.column, contract.event_time]
    columns = [name for name in dict.fromkeys(wanted) if name is not None]
    selected = select(objects, request, spec, columns, [other.name for other in others], contract.event_time)
    read = to_rows(selected.table, spec, features, contract.event_time, others)
    sides = split(read, spec.train.split.holdout, request.seed)
    return Material(spec, features, selected.versions, selected.evidence, sides)


def search_chunk(material: Material, request: TrainRequest, catalog: Catalog, chunk: int) -> dict[str, Any]:
    """What the search among the candidates of a chunk gives (JSON); the model is one that is tuned."""
    tune = material.spec.train.tune
    if tune is None:
        raise TrainingDataInvalid(f"model {material.spec.name} has no train.tune, so nothing is searched for it")
    found = search(material.spec, material.features, material.split.train, request.seed, catalog.estimators)
    return halve(found, tune, chunk)


def refit(spec: ModelSpec, candidate: Candidate, seed: int, own: Mapping[str, str], clock: Clock) -> Refit:
    """The candidate's pipeline fitted on the rows of both sides; what cannot be had is said, and fails nothing.

    A class that was never seen without the held-out rows would be a further output, of which nothing was evaluated.
    """
    sides = candidate.split
    if sides.train.classes is not None and (sides.holdout.label < 0).any():
        return Refit(failure="the held-out rows have a class that the other rows lack")
    rows = both_sides(sides)
    clock.step("refit", f"fitting again on all {len(rows)} rows")
    try:
        pipeline, model, evidence = _fitted(spec, candidate.features, rows, seed, own, clock)
    except ParityFailed as error:
        return Refit(failure=f"the graph does not predict what the pipeline predicts: {error}")
    return Refit(model, pipeline, evidence, trained_until(rows), len(rows))


def both_sides(sides: Split) -> Rows:
    """The rows of the training side and then the held-out ones."""
    one, other = sides.train, sides.holdout
    return replace(
        one,
        features=pd.concat([one.features, other.features], ignore_index=True),
        label=np.concatenate([one.label, other.label]),
        time=None if one.time is None or other.time is None else np.concatenate([one.time, other.time]),
        others=pd.concat([one.others, other.others], ignore_index=True),
        version=None,
    )


def trained_until(rows: Rows) -> str | None:
    """The event time of the newest row, as text in UTC; None without event times."""
    return None if rows.time is None else iso(rows.time.max())


def _tune(
    material: Material, request: TrainRequest, catalog: Catalog, objects: Objects, clock: Clock
) -> tuple[Params, dict[str, Any]]:
    """The best parameters and the record of their search; chunks that tasks of their own searched are not repeated."""
    spec = material.spec
    tune = spec.train.tune
    assert tune is not None  # noqa: S101 - the caller asked
    found = search(spec, material.features, material.split.train, request.seed, catalog.estimators)
    chunks = []
    for chunk in range(tune.tasks):
        clock.step("tune", f"searching parameters: chunk {chunk + 1} of {tune.tasks}")
        chunks.append(objects.find_json(tuned_key(request.run, chunk)) or halve(found, tune, chunk))
    return choose(found, tune, chunks)


def _fitted(
    spec: ModelSpec, features: list[Feature], rows: Rows, seed: int, own: Mapping[str, str], clock: Clock
) -> tuple[Pipeline, bytes, dict[str, Any]]:
    """Pipeline, graph, and the evidence that both predict the same."""
    pipeline = fit(spec, features, rows.features, rows.label, seed, own)
    clock.step("convert", "converting to ONNX")
    model = export(pipeline, features, spec.task)
    clock.step("parity", "checking that the graph predicts what the pipeline predicts")
    return pipeline, model, check_parity(pipeline, model, features, rows.features, rows.label, spec.task)
