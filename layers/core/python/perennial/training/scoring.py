"""The answers of a graph, and of the pipeline it is made from, to a frame of prepared columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from perennial.evaluation.scoring import Graph

Array = np.ndarray[Any, Any]

# Rows per call: bounds memory.
CHUNK = 20_000


def score(graph: Graph, frame: pd.DataFrame) -> Array:
    """Outputs float64 [n, k] for a frame with one column per tensor."""
    return graph.score({str(name): frame[name].to_numpy() for name in frame.columns})


def predict(pipeline: Pipeline, frame: pd.DataFrame, task: str) -> Array:
    """What the fitted pipeline answers [n, k]: probabilities by class, or [n, 1] values."""
    answer = pipeline.predict if task == "regression" else pipeline.predict_proba
    parts = [np.asarray(answer(frame.iloc[start : start + CHUNK])) for start in range(0, len(frame), CHUNK)]
    return np.concatenate(parts).reshape(len(frame), -1)
