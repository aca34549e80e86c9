"""Writes the fitted pipeline as a team that uses mlflow would: `mlflow.sklearn`, answering probabilities."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import joblib
import mlflow.sklearn

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    mlflow.sklearn.save_model(
        joblib.load(folder / "pipeline.joblib"),
        str(folder / "mlflow-sklearn"),
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        pip_requirements=["scikit-learn"],
    )
