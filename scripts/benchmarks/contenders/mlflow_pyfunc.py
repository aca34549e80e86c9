"""`mlflow.pyfunc` over a model directory: a frame built from a dict (or lists by name), `predict`."""

from __future__ import annotations

import functools
import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd

from scripts.benchmarks.contenders.loop import Call, columns, in_turn, serve, workload

PACKAGES = ("mlflow", "scikit-learn", "onnxruntime", "pandas")


def frame(data: dict[str, list[Any]], inputs: list[dict[str, Any]]) -> pd.DataFrame:
    """The columns in the dtypes that the model takes."""
    return pd.DataFrame(
        {i["tensor"]: np.array(data[i["name"]], object if i["element"] == "string" else np.float32) for i in inputs}
    )


def main(folder: str, model: str) -> None:
    """`model` is the directory below `folder` that mlflow loads."""
    warnings.simplefilter("ignore")
    work = workload(folder)
    loaded = mlflow.pyfunc.load_model(str(Path(folder, model)))
    records = work["records"]

    def predict(data: dict[str, list[Any]]) -> Any:
        return loaded.predict(frame(data, work["inputs"]))

    def case(rows: int) -> Call:
        pieces = [records[start : start + rows] for start in range(0, min(len(records), rows * 200), rows)]
        predict(columns(pieces[0]))
        return in_turn([functools.partial(predict, columns(piece)) for piece in pieces])

    serve(lambda: {str(rows): case(rows) for rows in work["sizes"]}, PACKAGES)


if __name__ == "__main__":
    main(*sys.argv[1:])
