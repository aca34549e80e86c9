"""Judge a candidate on its held-out rows, against bounds and against the champion."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from perennial.catalog.model import ModelSpec
from perennial.errors import BundleInvalid
from perennial.evaluation import gates
from perennial.evaluation.intervals import Interval, block_interval
from perennial.evaluation.metrics import Weighted, prepare
from perennial.registry import ModelVersion
from perennial.storage.objects import Objects
from perennial.training.run import DAY, LABEL, workspace
from perennial.training.scoring import open_graph, score

Array = np.ndarray[Any, Any]


def evaluate(spec: ModelSpec, run: str, objects: Objects, champion: ModelVersion | None) -> dict[str, Any]:
    """The evaluation record of a run: metrics with intervals, gates with evidence, the verdict `passed`."""
    prefix = workspace(run)
    held = pq.ParquetFile(pa.BufferReader(objects.get(prefix + "holdout.parquet"))).read()
    label, days = held.column(LABEL).to_numpy(), held.column(DAY).to_numpy()
    own = prepare(spec.task, label, _score(objects.get(prefix + "model.onnx"), held))
    metrics = {name: block_interval(metric, days) for name, metric in own.items()}
    metrics = {name: interval for name, interval in metrics.items() if np.isfinite(interval.value)}
    found = gates.bounds(spec.gates, metrics)
    against = None
    if champion is not None and spec.comparison is not None:
        against = _compare(spec, objects, champion, held, own)
        found.append(against.pop("gate"))
    return {
        "run": run,
        "model": spec.name,
        "rows": held.num_rows,
        "days": len(np.unique(days)),
        "metrics": {name: interval.as_dict() for name, interval in metrics.items()},
        "gates": found,
        "champion": None if champion is None else {"version": champion.version, "sha256": champion.sha256},
        "comparison": against,
        "passed": all(gate["passed"] for gate in found),
    }


def _compare(
    spec: ModelSpec, objects: Objects, champion: ModelVersion, held: pa.Table, own: dict[str, Weighted]
) -> dict[str, Any]:
    """The champion on the same rows, and the paired difference by blocks of days."""
    assert spec.comparison is not None  # noqa: S101 - the caller asks only then
    name = spec.comparison.metric
    label, days = held.column(LABEL).to_numpy(), held.column(DAY).to_numpy()
    signature = objects.get_json(champion.prefix + "signature.json")
    missing = [one["name"] for one in signature["inputs"] if one["name"] not in held.column_names]
    if missing or name not in own:
        reason = f"the champion takes {missing}, which the challenger's rows lack" if missing else f"no metric {name}"
        gate = {"name": f"{name}.champion", "threshold": None, "value": None, "passed": False, "reason": reason}
        return {"metric": name, "comparable": False, "reason": reason, "gate": gate}
    theirs = prepare(spec.task, label, _score(_champion_graph(objects, champion), held))[name]
    turned = gates.sign(name)
    difference = block_interval(lambda weights: turned * (own[name](weights) - theirs(weights)), days)
    before: Interval = block_interval(theirs, days)
    return {
        "metric": name,
        "comparable": True,
        "champion": before.as_dict(),
        "difference": difference.as_dict(),
        "gate": gates.not_worse(spec.comparison, difference),
    }


def _champion_graph(objects: Objects, champion: ModelVersion) -> bytes:
    """The champion's graph, checked against its manifest before it is parsed. Raises BundleInvalid."""
    listed = objects.get_json(champion.prefix + "manifest.json")["files"]["model.onnx"]["sha256"]
    graph = objects.get(champion.prefix + "model.onnx")
    if hashlib.sha256(graph).hexdigest() != listed:
        raise BundleInvalid(f"{champion.prefix}model.onnx does not have the digest of its manifest")
    return graph


def _score(graph: bytes, held: pa.Table) -> Array:
    session = open_graph(graph)
    columns = {
        one.name: np.array(held.column(one.name).to_pylist(), dtype=object)
        if pa.types.is_string(held.schema.field(one.name).type)
        else held.column(one.name).to_numpy().astype(np.float32)
        for one in session.get_inputs()
    }
    return score(session, columns)
