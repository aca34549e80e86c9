"""Small made-up tables, specs and models; `python -m tests.unit.training.made` prints the digest of each graph."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from perennial.training import kernels

kernels.pin()

import numpy as np  # noqa: E402 - the kernel is pinned before numpy loads
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from perennial.catalog.contract import Column, Contract  # noqa: E402
from perennial.catalog.model import ModelSpec  # noqa: E402
from perennial.training.data import Rows, to_rows  # noqa: E402
from perennial.training.export import export  # noqa: E402
from perennial.training.features import Feature, features_of  # noqa: E402
from perennial.training.pipeline import fit  # noqa: E402

Array = np.ndarray[Any, Any]

COLUMNS = ("amount", "year", "näme with space", "sunny", "city", "probabilities")
CONTRACT = Contract(
    name="made",
    version="1",
    columns=(
        Column("amount", "number"),
        Column("year", "integer"),
        Column("näme with space", "number"),
        Column("sunny", "boolean"),
        Column("city", "string"),
        Column("probabilities", "string"),
        Column("late", "number"),
        Column("outcome", "string"),
        Column("at", "timestamp"),
    ),
    event_time="at",
)
LABELS: dict[str, dict[str, Any]] = {
    "binary": {"column": "late", "above": 0.5},
    "multiclass": {"column": "outcome"},
    "regression": {"column": "late"},
}
ALGORITHMS: list[tuple[str, str]] = [
    ("hist_gradient_boosting", "binary"),
    ("hist_gradient_boosting", "multiclass"),
    ("hist_gradient_boosting", "regression"),
    ("random_forest", "binary"),
    ("random_forest", "multiclass"),
    ("random_forest", "regression"),
    ("logistic_regression", "binary"),
    ("logistic_regression", "multiclass"),
    ("ridge", "regression"),
]
PARAMS: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"max_iter": 20, "max_leaf_nodes": 8},
    "random_forest": {"n_estimators": 12, "max_depth": 6},
}


def table(rows: int = 600, seed: int = 0) -> pa.Table:
    """Rows over 10 days with gaps, heavy tails, an offset column (year) and rare categories."""
    rng = np.random.default_rng(seed)
    amount = rng.normal(size=rows) * np.exp(rng.normal(size=rows))
    city = rng.choice(["Ålesund", "Basel", "Cork", "Davos", ""], size=rows, p=[0.4, 0.3, 0.2, 0.08, 0.02])
    sunny = rng.random(rows) < 0.5
    late = amount + (city == "Basel") * 1.5 + sunny * 0.5 + rng.normal(size=rows)
    gaps = rng.random((3, rows)) < 0.1
    return pa.table(
        {
            "amount": pa.array(amount, mask=gaps[0]),
            "year": pa.array(rng.integers(2010, 2015, rows)),
            "näme with space": pa.array(1e6 + rng.normal(size=rows) * 3),
            "sunny": pa.array(sunny, mask=gaps[1]),
            "city": pa.array(city, mask=gaps[2]),
            "probabilities": pa.array([f"plane {number}" for number in rng.zipf(1.6, rows) % 300]),
            "late": pa.array(late),
            "outcome": pa.array(np.select([late < 0, late < 1], ["early", "on time"], "late")),
            "at": pa.array(
                np.datetime64("2024-03-01T00:00", "us") + (np.arange(rows) * 10 // rows) * np.timedelta64(1, "D"),
                type=pa.timestamp("us", tz="UTC"),
            ),
        }
    )


def spec_of(algorithm: str, task: str, **changes: Any) -> ModelSpec:
    """A spec over the made table."""
    given: dict[str, Any] = {
        "name": "made",
        "dataset": "made",
        "task": task,
        "label": LABELS[task],
        "features": list(COLUMNS),
        "train": {"algorithm": algorithm, "params": PARAMS.get(algorithm, {})},
    }
    return ModelSpec.model_validate(given | changes)


def rows_of(spec: ModelSpec, made: pa.Table | None = None) -> tuple[list[Feature], Rows]:
    """Features and labelled rows of a spec."""
    features = features_of(spec, CONTRACT)
    return features, to_rows(table() if made is None else made, spec, features, "at")


def fitted(algorithm: str, task: str, **changes: Any) -> tuple[Any, list[Feature], pd.DataFrame, Array]:
    """A fitted pipeline with its features, frame and label."""
    spec = spec_of(algorithm, task, **changes)
    features, rows = rows_of(spec)
    with threadpool_limits(limits=1):
        return fit(spec, features, rows.features, rows.label, seed=7), features, rows.features, rows.label


def digests() -> dict[str, str]:
    """SHA-256 of the graph of every algorithm and task."""
    found = {}
    for algorithm, task in ALGORITHMS:
        pipeline, features, _, _ = fitted(algorithm, task)
        found[f"{algorithm} {task}"] = hashlib.sha256(export(pipeline, features, task)).hexdigest()
    return found


if __name__ == "__main__":
    print(json.dumps({"digests": digests(), "blas": kernels.recorded()}))  # noqa: T201 - its output is what the test reads
