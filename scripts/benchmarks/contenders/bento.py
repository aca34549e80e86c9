"""The model as two BentoML services: onnxruntime alone, and the scikit-learn pipeline over a frame. Columns come as
lists by name; `BENCH_FOLDER` is the prepared folder. Run by its path, in the peer's environment."""

import json
import os
from pathlib import Path
from typing import Any

import bentoml  # type: ignore[import-not-found]  # the peer's environment has it
import numpy as np

FOLDER = Path(os.environ["BENCH_FOLDER"])
INPUTS = json.loads((FOLDER / "first.json").read_text())["inputs"]


def arrays(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """The columns in the dtypes that the model takes, [n] each."""
    return {
        one["tensor"]: np.array(columns[one["name"]], object if one["element"] == "string" else np.float32)
        for one in INPUTS
    }


@bentoml.service(workers=1, traffic={"timeout": 120})
class Onnx:
    """The graph, on one thread."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        graph = (FOLDER / "bundle" / "model.onnx").read_bytes()
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, columns: dict[str, list[Any]]) -> list[list[float]]:
        """Probabilities of the rows, [n][k]."""
        feeds = {name: array.reshape(-1, 1) for name, array in arrays(columns).items()}
        found: list[list[float]] = self.session.run(None, feeds)[0].tolist()
        return found


@bentoml.service(workers=1, traffic={"timeout": 120})
class Sklearn:
    """The fitted pipeline."""

    def __init__(self) -> None:
        import joblib

        self.pipeline = joblib.load(FOLDER / "pipeline.joblib")

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, columns: dict[str, list[Any]]) -> list[list[float]]:
        """Probabilities of the rows, [n][k]."""
        import pandas as pd

        found: list[list[float]] = self.pipeline.predict_proba(pd.DataFrame(arrays(columns))).tolist()
        return found
