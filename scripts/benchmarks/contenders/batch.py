"""Many rows at once, as each way of serving takes them best: a table of Arrow, or a frame of pandas, made beforehand.

Imports only what the contender that is named needs, since the peers' environments lack the rest.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from scripts.benchmarks.contenders.loop import Call, columns, serve, workload


def perennial(folder: Path, work: dict[str, Any]) -> Call:
    """`perennial.scoring` on the registered directory."""
    import pyarrow as pa

    from perennial.scoring.table import score_table
    from perennial.serving.bundle import verify
    from perennial.serving.predictor import Predictor

    predictor = Predictor(verify(str(folder / "bundle")))
    table = pa.table(columns(work["records"]))
    check(score_table(predictor, table)["probability"][0].as_py()[-1], folder)
    return lambda: score_table(predictor, table)


def scikit_learn(folder: Path, work: dict[str, Any]) -> Call:
    """The fitted pipeline."""
    import joblib

    pipeline, frame = joblib.load(folder / "pipeline.joblib"), _frame(work)
    check(pipeline.predict_proba(frame)[0, -1], folder)
    return lambda: pipeline.predict_proba(frame)


def mlflow(folder: Path, work: dict[str, Any]) -> Call:
    """The same pipeline as mlflow keeps it."""
    import mlflow.pyfunc

    warnings.simplefilter("ignore")
    model, frame = mlflow.pyfunc.load_model(str(folder / "mlflow-sklearn")), _frame(work)
    check(model.predict(frame)[0, -1], folder)
    return lambda: model.predict(frame)


def check(probability: float, folder: Path) -> None:
    """Raises ValueError unless this is the answer to the first row that all contenders give."""
    expected = json.loads((folder / "first.json").read_text())["probability"]
    if abs(float(probability) - expected) > 1e-6:
        raise ValueError(f"answered {probability}, not {expected}")


def _frame(work: dict[str, Any]) -> Any:
    import numpy as np
    import pandas as pd

    data = columns(work["records"])
    return pd.DataFrame(
        {
            one["tensor"]: np.array(data[one["name"]], object if one["element"] == "string" else np.float32)
            for one in work["inputs"]
        }
    )


CONTENDERS = {
    "perennial": (perennial, ("onnxruntime", "pyarrow")),
    "scikit-learn": (scikit_learn, ("scikit-learn", "pandas")),
    "mlflow": (mlflow, ("mlflow", "scikit-learn", "pandas")),
}


def main(name: str, folder: str) -> None:
    """Serve the one case, all rows of the workload."""
    made, packages = CONTENDERS[name]
    serve(lambda: {"all": made(Path(folder), workload(folder))}, packages)


if __name__ == "__main__":
    main(*sys.argv[1:])
