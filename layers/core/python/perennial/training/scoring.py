"""The graph's answers to a frame of prepared columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from perennial.evaluation.scoring import Graph

Array = np.ndarray[Any, Any]


def score(graph: Graph, frame: pd.DataFrame) -> Array:
    """Outputs float64 [n, k] for a frame with one column per tensor."""
    return graph.score({str(name): frame[name].to_numpy() for name in frame.columns})
