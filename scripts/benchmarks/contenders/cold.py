"""A fresh process, one answer, and out: what each way of serving costs the first caller. Run by its path."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def perennial(folder: Path) -> None:
    """The predict function as Lambda starts it."""
    import importlib

    handler = importlib.import_module("predict.handler")
    reply = handler.lambda_handler(json.loads((folder / "event.json").read_text()), None)
    check(float(json.loads(reply["body"])["outputs"][1]["data"][-1]), folder)


def onnxruntime(folder: Path) -> None:
    """The graph and nothing else."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = (folder / "bundle" / "model.onnx").read_bytes()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    work = json.loads((folder / "first.json").read_text())
    feeds = {
        one["tensor"]: np.array([[work["record"][one["name"]]]], object if one["element"] == "string" else np.float32)
        for one in work["inputs"]
    }
    check(float(session.run(None, feeds)[0][0, -1]), folder)


def scikit_learn(folder: Path) -> None:
    """The pickled pipeline over a frame."""
    import joblib

    pipeline = joblib.load(folder / "pipeline.joblib")
    check(float(pipeline.predict_proba(_frame(folder))[0, -1]), folder)


def mlflow(folder: Path) -> None:
    """The same pipeline as mlflow keeps it."""
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(folder / "mlflow-sklearn"))
    check(float(model.predict(_frame(folder))[0, -1]), folder)


def check(probability: float, folder: Path) -> None:
    """Raises ValueError unless this is the answer that all contenders give."""
    expected = json.loads((folder / "first.json").read_text())["probability"]
    if abs(probability - expected) > 1e-6:
        raise ValueError(f"answered {probability}, not {expected}")


def _frame(folder: Path) -> object:
    import numpy as np
    import pandas as pd

    work = json.loads((folder / "first.json").read_text())
    return pd.DataFrame(
        {
            one["tensor"]: np.array([work["record"][one["name"]]], object if one["element"] == "string" else np.float32)
            for one in work["inputs"]
        }
    )


def memory() -> float:
    """Proportional set size of this process in MiB, as Linux counts it."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pss:"))) / 1024


if __name__ == "__main__":
    {"perennial": perennial, "onnxruntime": onnxruntime, "scikit-learn": scikit_learn, "mlflow": mlflow}[sys.argv[1]](
        Path(sys.argv[2])
    )
    if sys.argv[3:] == ["memory"]:
        sys.stdout.write(f"{memory()}\n")
