"""The parity gate: the graph must predict what the fitted pipeline predicts, on real and on adversarial rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from perennial.errors import ParityFailed
from perennial.training.data import Feature
from perennial.training.export import floor32, split_thresholds
from perennial.training.scoring import by_name, open_graph, score

ROWS = 10_000
PROBABILITY_TOLERANCE = 1e-6
REGRESSION_TOLERANCE = 1e-5
UNSEEN = "a category that was never seen ∅"


def check_parity(
    pipeline: Pipeline, model: bytes, features: Sequence[Feature], frame: pd.DataFrame, label: Any, task: str
) -> dict[str, Any]:
    """Compare graph and pipeline on up to 10,000 rows of `frame` plus adversarial ones; the evidence.

    Adversarial: an unseen category, a missing value and infinite values per feature, and the float32 values on both
    sides of every split threshold. Raises ParityFailed naming the worst row when a probability differs by more than
    1e-6, or a regression by more than 1e-5 × max(1, sd of the label).
    """
    probes = adversarial_rows(pipeline, features, frame)
    rows = pd.concat([frame.iloc[:ROWS], probes], ignore_index=True)
    expected = pipeline.predict(rows) if task == "regression" else pipeline.predict_proba(rows)
    found = score(open_graph(model), by_name(rows, features)).reshape(np.shape(expected))
    tolerance = PROBABILITY_TOLERANCE
    if task == "regression":
        tolerance = REGRESSION_TOLERANCE * max(1.0, float(np.std(label)))
    difference = np.abs(found - expected).reshape(len(rows), -1).max(axis=1)
    difference = np.where(np.isfinite(difference), difference, np.inf)
    worst = int(difference.argmax())
    if difference[worst] > tolerance:
        values = {feature.name: str(rows[feature.tensor].iloc[worst]) for feature in features}
        raise ParityFailed(
            f"the graph answers {np.ravel(found[worst])} where the pipeline answers {np.ravel(expected[worst])} "
            f"(difference {difference[worst]:.3g}, tolerance {tolerance:.3g}) for {values}"
        )
    return {"rows": len(rows) - len(probes), "adversarial": len(probes), "worst": float(difference[worst]),
            "tolerance": tolerance}  # fmt: skip


def adversarial_rows(pipeline: Pipeline, features: Sequence[Feature], frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of `frame`, each with one feature replaced by a value that conversions get wrong."""
    floors = floor32(split_thresholds(pipeline))
    beside = np.unique(np.concatenate([floors, np.nextafter(floors, np.float32(np.inf))]).astype(np.float32))
    made = []
    for feature in features:
        if feature.kind == "category":
            values: Any = np.array([UNSEEN, ""], dtype=object)
        else:
            low, high = np.nanmin(frame[feature.tensor]), np.nanmax(frame[feature.tensor])
            within = beside[(beside >= low) & (beside <= high)] if np.isfinite(low) else beside[:0]
            values = np.concatenate([within, [np.nan, low, high]]).astype(np.float32)
        base = frame.iloc[np.arange(len(values)) % len(frame)].reset_index(drop=True).copy()
        base[feature.tensor] = values
        made.append(base)
    return pd.concat(made, ignore_index=True)
