"""The graph's answers, computed as serving computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from perennial.training.data import Feature

Array = np.ndarray[Any, Any]


def open_graph(model: bytes) -> Any:
    """An onnxruntime session with one thread: the same sums in the same order every time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def score(session: Any, columns: Mapping[str, Array]) -> Array:
    """Outputs float32 [n, k] for columns by input name (each [n], float32 or object strings)."""
    feeds = {spec.name: np.asarray(columns[spec.name]).reshape(-1, 1) for spec in session.get_inputs()}
    found: Array = session.run(None, feeds)[0]
    return found


def by_name(frame: Any, features: Sequence[Feature]) -> dict[str, Array]:
    """A frame with one column per tensor as arrays by feature name."""
    return {feature.name: frame[feature.tensor].to_numpy() for feature in features}
