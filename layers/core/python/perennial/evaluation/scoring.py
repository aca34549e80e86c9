"""A graph opened and asked as serving does: onnxruntime, one thread, one tensor per feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime

Array = np.ndarray[Any, Any]

# Rows per call: bounds memory, changes no answer (rows are independent, and one thread sums in one order).
CHUNK = 8192


class Graph:
    """An ONNX model in memory. Raises onnxruntime's errors for bytes that are no model."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs: dict[str, str] = {
            given.name: "string" if "string" in given.type else "float" for given in self._session.get_inputs()
        }

    def score(self, columns: Mapping[str, Array]) -> Array:
        """Outputs float64 [n, k] for columns by tensor name, each [n], float32 or object strings."""
        size = len(next(iter(columns.values())))
        answers = [self._part(columns, start, min(start + CHUNK, size)) for start in range(0, max(size, 1), CHUNK)]
        return np.concatenate(answers).astype(np.float64)

    def _part(self, columns: Mapping[str, Array], start: int, end: int) -> Array:
        feeds = {name: columns[name][start:end].reshape(-1, 1) for name in self.inputs}
        (answer,) = self._session.run(None, feeds)
        return np.asarray(answer)
