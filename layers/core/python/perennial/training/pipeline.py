"""The scikit-learn pipeline of a model spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from perennial.catalog.model import ModelSpec
from perennial.errors import TrainingDataInvalid
from perennial.training.data import Feature

# Early stopping is off: it would hold out random rows of its own. A forest predicts with one job, or last bits differ.
_CLASSIFIERS: dict[str, Callable[..., Any]] = {
    "hist_gradient_boosting": HistGradientBoostingClassifier,
    "random_forest": RandomForestClassifier,
    "logistic_regression": LogisticRegression,
}
_REGRESSORS: dict[str, Callable[..., Any]] = {
    "hist_gradient_boosting": HistGradientBoostingRegressor,
    "random_forest": RandomForestRegressor,
    "ridge": Ridge,
}
_FIXED: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"early_stopping": False},
    "random_forest": {"n_jobs": 1},
}
_DEFAULTS: dict[str, dict[str, Any]] = {"logistic_regression": {"max_iter": 1000}, "random_forest": {"max_depth": 12}}


def build_pipeline(spec: ModelSpec, features: Sequence[Feature]) -> Pipeline:
    """An unfitted pipeline over a frame with one column per tensor. Raises TrainingDataInvalid for unknown params."""
    algorithm = spec.train.algorithm
    linear = algorithm in {"logistic_regression", "ridge"}
    numbers = [feature.tensor for feature in features if feature.kind != "category"]
    categories = [feature.tensor for feature in features if feature.kind == "category"]
    steps = []
    if numbers:
        steps.append(("number", _numbers(algorithm), numbers))
    if categories:
        steps.append(("category", _categories(linear=linear), categories))
    prepared = ColumnTransformer(steps, sparse_threshold=0.0)
    return Pipeline([("prepare", prepared), ("model", _estimator(spec))])


def _numbers(algorithm: str) -> Any:
    """Histogram boosting takes missing values as they are; the others get the median, linear ones scaled."""
    if algorithm == "hist_gradient_boosting":
        return "passthrough"
    if algorithm == "random_forest":
        return SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())


def _categories(*, linear: bool) -> Any:
    if linear:
        return OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32)


def _estimator(spec: ModelSpec) -> Any:
    algorithm, known = spec.train.algorithm, _REGRESSORS if spec.task == "regression" else _CLASSIFIERS
    if algorithm not in known:
        raise TrainingDataInvalid(f"model {spec.name}: {algorithm} does not do {spec.task}")
    arguments = {**_DEFAULTS.get(algorithm, {}), **spec.train.params, **_FIXED.get(algorithm, {})}
    try:
        estimator = known[algorithm](random_state=spec.train.seed, **arguments)
    except TypeError as error:
        raise TrainingDataInvalid(f"model {spec.name}: train.params: {error}") from error
    return estimator
