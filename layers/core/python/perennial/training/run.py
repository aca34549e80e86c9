"""One training run: request in, candidate bundle in its workspace out."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.pipeline import Pipeline

from perennial.catalog.load import Catalog
from perennial.catalog.model import ModelSpec
from perennial.evaluation.metrics import point_metrics
from perennial.storage.objects import Objects
from perennial.training.data import Feature, Rows, features_of, read_table, to_rows
from perennial.training.export import export
from perennial.training.parity import PROBABILITY_TOLERANCE, REGRESSION_TOLERANCE, UNSEEN, check_parity
from perennial.training.pipeline import build_pipeline
from perennial.training.record import code_sha256, environment
from perennial.training.scoring import by_name, open_graph, score
from perennial.training.split import days_of, holdout_mask

log = logging.getLogger("perennial.train")

LABEL, DAY, TIME = "__label__", "__day__", "__time__"
GOLDEN_ROWS = 20


@dataclass(frozen=True)
class Candidate:
    """A fitted, converted and checked model."""

    pipeline: Pipeline
    model: bytes
    features: list[Feature]
    train: Rows
    holdout: Rows
    parity: dict[str, Any]


def workspace(run: str) -> str:
    """The S3 prefix of a run."""
    return f"staging/{run}/"


def train(request: dict[str, Any], catalog: Catalog, objects: Objects) -> dict[str, Any]:
    """Train what the request names and write the workspace; the training record.

    Same request, same files: nothing that depends on time enters them but `seconds` of training.json. Raises
    TrainingDataInvalid, ParityFailed.
    """
    started = time.monotonic()
    spec = catalog.model(request["model"])
    contract = catalog.contract(spec.dataset)
    features = features_of(spec, contract)
    columns = [
        *dict.fromkeys([*spec.features, spec.label.column, *([contract.event_time] * bool(contract.event_time))])
    ]
    log.info("reading %d versions of %s", len(request["versions"]), spec.dataset)
    table = read_table(objects, request["versions"], columns)
    rows = to_rows(table, spec, features, contract.event_time)
    candidate = fit(spec, features, rows)
    record = _record(request, catalog, spec, candidate)
    prefix = workspace(request["run"])
    objects.put(prefix + "model.onnx", candidate.model)
    objects.put(prefix + "holdout.parquet", _holdout(candidate))
    objects.put_json(prefix + "signature.json", signature(spec, features, rows.classes))
    objects.put_json(prefix + "golden.json", golden(spec, candidate))
    record["seconds"] = round(time.monotonic() - started, 3)
    objects.put_json(prefix + "training.json", record)
    log.info("done in %.1f s: %s", record["seconds"], record["metrics"])
    return record


def fit(spec: ModelSpec, features: list[Feature], rows: Rows) -> Candidate:
    """Split, fit, convert, check. Raises TrainingDataInvalid, ParityFailed."""
    mask = holdout_mask(rows, spec.train.split.holdout, spec.train.seed)
    training, holdout = rows.take(~mask), rows.take(mask)
    log.info("fitting %s on %d rows, %d held out", spec.train.algorithm, len(training.label), len(holdout.label))
    pipeline = build_pipeline(spec, features).fit(training.features, training.label)
    model = export(pipeline, features, spec.task)
    log.info("converted to %d bytes of ONNX; checking parity", len(model))
    evidence = check_parity(pipeline, model, features, training.features, training.label, spec.task)
    return Candidate(pipeline, model, features, training, holdout, evidence)


def signature(spec: ModelSpec, features: Sequence[Feature], classes: list[Any] | None) -> dict[str, Any]:
    """What the graph takes and answers, in the protocol's words."""
    inputs = [
        {
            "name": feature.name,
            "datatype": feature.datatype,
            "kind": feature.kind,
            "tensor": feature.name,
            "element": "string" if feature.kind == "category" else "float",
        }
        for feature in features
    ]
    return {"model": spec.name, "task": spec.task, "label": spec.label.column, "inputs": inputs, "classes": classes}


def golden(spec: ModelSpec, candidate: Candidate) -> dict[str, Any]:
    """Up to 20 held-out rows with the graph's answers; the last two have a missing value and an unseen category."""
    count = min(GOLDEN_ROWS, len(candidate.holdout.label))
    chosen = np.linspace(0, len(candidate.holdout.label) - 1, count).astype(int)
    frame = candidate.holdout.features.iloc[chosen].reset_index(drop=True).copy()
    for feature in candidate.features:
        last = count - 2 if feature.kind != "category" else count - 1
        frame.loc[last, feature.tensor] = UNSEEN if feature.kind == "category" else np.nan
    outputs = score(open_graph(candidate.model), by_name(frame, candidate.features))
    rows = [
        {feature.name: _plain(frame[feature.tensor].iloc[index], feature) for feature in candidate.features}
        for index in range(count)
    ]
    scale = REGRESSION_TOLERANCE * max(1.0, float(np.std(candidate.train.label)))
    tolerance = scale if spec.task == "regression" else PROBABILITY_TOLERANCE
    return {"rows": rows, "outputs": [[float(value) for value in row] for row in outputs], "tolerance": tolerance}


def _plain(value: Any, feature: Feature) -> Any:
    if feature.kind == "category":
        return value or None
    if np.isnan(value):
        return None
    if feature.kind == "boolean":
        return bool(value)
    return int(value) if feature.datatype == "INT64" else float(value)


def _holdout(candidate: Candidate) -> bytes:
    """The held-out rows as the graph takes them, with label, block and time."""
    held = candidate.holdout
    columns: dict[str, Any] = {
        name: pa.array(values, type=pa.string() if values.dtype == object else pa.float32(), from_pandas=False)
        for name, values in by_name(held.features, candidate.features).items()
    }
    columns |= {LABEL: pa.array(held.label), DAY: pa.array(days_of(held))}
    if held.time is not None:
        columns[TIME] = pa.array(held.time)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _record(request: dict[str, Any], catalog: Catalog, spec: ModelSpec, candidate: Candidate) -> dict[str, Any]:
    held = candidate.holdout
    scores = score(open_graph(candidate.model), by_name(held.features, candidate.features))
    split: dict[str, Any] = {"by": "hash" if held.time is None else "time", "holdout": spec.train.split.holdout}
    if held.time is not None:
        split |= {"first_held_out": str(pd.Timestamp(held.time.min())), "last": str(pd.Timestamp(held.time.max()))}
    return {
        "run": request["run"],
        "model": spec.name,
        "dataset": spec.dataset,
        "datasets": [
            {"dataset": spec.dataset, **{name: v[name] for name in ("version", "content_sha256", "rows")}}
            for v in request["versions"]
        ],
        "algorithm": spec.train.algorithm,
        "params": {name: str(v) for name, v in sorted(candidate.pipeline.named_steps["model"].get_params().items())},
        "features": [feature.name for feature in candidate.features],
        "label": spec.label.model_dump(),
        "seed": spec.train.seed,
        "split": split,
        "rows": {"train": len(candidate.train.label), "holdout": len(held.label)},
        "metrics": point_metrics(spec.task, held.label, scores),
        "parity": candidate.parity,
        "catalog_sha256": catalog.sha256,
        "code_sha256": code_sha256(),
        **environment(),
    }
