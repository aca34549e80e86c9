"""The parity gate: the graph must predict what the fitted pipeline predicts, on real and on adversarial rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from perennial.errors import ParityFailed
from perennial.evaluation.scoring import Graph
from perennial.training.features import Feature
from perennial.training.probes import probes_of
from perennial.training.scoring import predict, score

Array = np.ndarray[Any, Any]

REAL_ROWS = 10_000
PROBABILITY_TOLERANCE = 1e-6
REGRESSION_TOLERANCE = 1e-5


def check_parity(
    pipeline: Pipeline, model: bytes, features: Sequence[Feature], frame: pd.DataFrame, label: Array, task: str
) -> dict[str, Any]:
    """Compare graph and pipeline on all rows of `frame` up to 10,000 (then as many, evenly spaced) and on all probes.

    Returns the evidence (JSON). Raises ParityFailed naming the worst row and what it probes when a probability differs
    by more than 1e-6, or a regression by more than 1e-5 × max(1, sd of the label).
    """
    chosen = np.unique(np.linspace(0, len(frame) - 1, min(REAL_ROWS, len(frame))).astype(int))
    probes = probes_of(pipeline, features, frame)
    rows = pd.concat([frame.iloc[chosen], probes.frame], ignore_index=True)
    what = [f"row {index}" for index in chosen.tolist()] + probes.what
    named = ["(any)"] * len(chosen) + probes.feature
    expected = predict(pipeline, rows, task)
    found = score(Graph(model), rows)
    tolerance = PROBABILITY_TOLERANCE
    if task == "regression":
        tolerance = REGRESSION_TOLERANCE * max(1.0, float(np.std(label)))
    difference = _difference(expected, found)
    worst = int(difference.argmax())
    if difference[worst] > tolerance:
        shown = {feature.name: str(rows[feature.tensor].iloc[worst]) for feature in features}
        raise ParityFailed(
            f"{int((difference > tolerance).sum())} of {len(rows)} rows differ by more than {tolerance:.3g}; worst: "
            f"{what[worst]}, feature {named[worst]}: the pipeline answers {expected[worst].tolist()}, the graph "
            f"{found[worst].tolist()} for {shown}"
        )
    return {
        "rows": len(chosen),
        "probes": dict(Counter(word.split(" (")[0] for word in probes.what)),
        "worst": float(difference[worst]),
        "worst_at": what[worst],
        "tolerance": tolerance,
    }


def _difference(expected: Array, found: Array) -> Array:
    """The greatest absolute difference per row; what is not finite on both sides, or of another shape, is infinite."""
    if expected.shape != found.shape:
        raise ParityFailed(f"the graph answers in shape {found.shape}, the pipeline in {expected.shape}")
    difference = np.abs(expected - found).max(axis=1)
    wide: Array = np.where(np.isfinite(difference), difference, np.inf)
    return wide
