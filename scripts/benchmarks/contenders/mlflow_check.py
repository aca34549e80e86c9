"""Loads a registered model directory as any mlflow does, and asks it the golden rows: the numbers must be the same.

    python -m scripts.benchmarks.contenders.mlflow_check DIRECTORY

Runs in the peer's environment. Prints what was loaded; ends with a ValueError when an answer is another.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow.onnx
import mlflow.pyfunc
import numpy as np
import onnxruntime


def main(directory: Path) -> None:
    """Both ways of loading, against golden.json."""
    warnings.simplefilter("ignore")
    golden = json.loads((directory / "golden.json").read_text())
    inputs = json.loads((directory / "signature.json").read_text())["inputs"]
    feeds = {one["tensor"]: _column(one, [row[one["name"]] for row in golden["rows"]]) for one in inputs}
    expected = np.array(golden["outputs"], np.float32)
    function = mlflow.pyfunc.load_model(str(directory))
    _compare("mlflow.pyfunc", next(iter(function.predict(feeds).values())), expected)
    model = mlflow.onnx.load_model(str(directory))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    _compare("mlflow.onnx", session.run(None, feeds)[0], expected)
    names = [one.name for one in function.metadata.signature.inputs]
    sys.stdout.write(json.dumps({"mlflow": mlflow.__version__, "rows": len(expected), "inputs": names}) + "\n")


def _column(one: dict[str, str], values: list[Any]) -> Any:
    if one["element"] == "string":
        return np.array([value or "" for value in values], object).reshape(-1, 1)
    return np.array([np.nan if value is None else value for value in values], np.float32).reshape(-1, 1)


def _compare(how: str, found: Any, expected: Any) -> None:
    found = np.asarray(found, np.float32).reshape(expected.shape)
    if not np.array_equal(found, expected):
        raise ValueError(f"{how} answers otherwise: by up to {np.abs(found - expected).max()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
