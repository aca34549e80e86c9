"""The scikit-learn pipeline of a model spec, fitted on the dtypes that serving sends.

Preparation is chosen so that float32 arithmetic in the graph gives what scikit-learn gives, not only nearly:

- trees take numbers as they are. Histogram boosting takes missing values too; the forest gets medians, since its
  conversion knows no missing values. Categories become ordinals; an unseen one goes where missing values go
  (histogram boosting) or below all others (forest).
- linear models get medians, scaled by powers of two about a float32 centre: both are exact in float32, where the usual
  scaling loses a column like the year (mean 2013, sd ½). Their sums are then taken in float64. Categories become one
  column each for the most frequent; rare and unseen ones are all zeros.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx.sklapi import CastTransformer
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from perennial.catalog.model import ModelSpec
from perennial.errors import CatalogInvalid, EstimatorUnknown
from perennial.training.estimators import own_estimator
from perennial.training.features import Feature

Array = np.ndarray[Any, Any]

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
# Early stopping would hold out rows of its own, at random; a forest without limits makes a graph of 100 MB.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"early_stopping": False},
    "random_forest": {"max_depth": 12, "min_samples_leaf": 5},
    "logistic_regression": {"max_iter": 1000},
    "ridge": {},
}
# Given by Perennial, or refused since the graph or the same bytes twice could not be had: a forest that predicts on
# several threads differs in its last bits; native categories convert silently wrong.
_RESERVED = {"random_state", "n_jobs", "verbose", "warm_start", "categorical_features", "scoring"}

# One-hot columns per category feature, and how often a category must be seen to get one.
MOST_COLUMNS = 64
LEAST_SEEN = 10


def estimator_of(spec: ModelSpec, seed: int, own: Mapping[str, str] | None = None) -> Any:
    """The unfitted estimator; `own` are the sources of the catalog's estimators.

    Raises EstimatorUnknown, and CatalogInvalid for a parameter that it does not take.
    """
    algorithm = spec.train.algorithm
    known = _REGRESSORS if spec.task == "regression" else _CLASSIFIERS
    if spec.train.own_module is not None:
        known = {algorithm: own_estimator(algorithm, spec.task, own or {})}
    if algorithm not in known:
        raise EstimatorUnknown(f"model {spec.name}: no {algorithm} for a {spec.task} task; there are {sorted(known)}")
    estimator = known[algorithm]()
    allowed = set(estimator.get_params()) - _RESERVED
    for name in spec.train.params:
        if name not in allowed:
            raise CatalogInvalid(f"model {spec.name}: train.params has {name!r}; {algorithm} takes {sorted(allowed)}")
    # to name the jobs of a logistic regression is deprecated; it has one
    given = {"random_state": seed} | ({} if algorithm == "logistic_regression" else {"n_jobs": 1})
    fixed = {name: value for name, value in given.items() if name in estimator.get_params()}
    return estimator.set_params(**{**_DEFAULTS.get(algorithm, {}), **spec.train.params, **fixed})


def fit(
    spec: ModelSpec,
    features: Sequence[Feature],
    frame: pd.DataFrame,
    label: Array,
    seed: int,
    own: Mapping[str, str] | None = None,
) -> Pipeline:
    """The fitted pipeline `prepare` → (`widen` →) `model` over a frame with one column per tensor.

    Fitted step by step, since the scaler's parameters are rounded before the model sees what it scales. `own` as in
    `estimator_of`; a team's own estimator gets what a linear model gets.
    """
    estimator = estimator_of(spec, seed, own)
    linear = spec.train.own_module is not None or isinstance(estimator, LogisticRegression | Ridge)
    prepare = _preparation(spec.train.algorithm, features, frame, linear=linear).fit(frame)
    steps: list[tuple[str, Any]] = [("prepare", prepare)]
    if linear:
        _round_scaler(prepare)
        steps.append(("widen", CastTransformer(dtype=np.float64).fit(prepare.transform(frame))))
    prepared = Pipeline(steps).transform(frame)
    try:
        with warnings.catch_warnings():
            # reported in training.json as the number of iterations; a log line tells nobody
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(prepared, label)
    except InvalidParameterError as error:
        raise CatalogInvalid(f"model {spec.name}: train.params: {error}") from error
    return Pipeline([*steps, ("model", estimator)])


def prepared_order(features: Sequence[Feature]) -> list[Feature]:
    """The features in the order of the prepared columns that tree models see: numbers and booleans, then categories."""
    return sorted(features, key=lambda feature: feature.kind == "category")


def categories_of(pipeline: Pipeline) -> list[Array]:
    """Categories by ordinal, one array per category feature, as tree models see them."""
    encoder = pipeline.named_steps["prepare"].named_transformers_.get("category")
    return [] if encoder is None else list(encoder.categories_)


def _preparation(
    algorithm: str, features: Sequence[Feature], frame: pd.DataFrame, *, linear: bool
) -> ColumnTransformer:
    numbers = [feature.tensor for feature in features if feature.kind != "category"]
    categories = [feature.tensor for feature in features if feature.kind == "category"]
    steps: list[tuple[str, Any, list[str]]] = []
    if numbers:
        steps.append(("number", _numbers(algorithm, linear=linear), numbers))
    if categories and linear:
        frequent = [_frequent(frame[name].to_numpy()) for name in categories]
        encoder = OneHotEncoder(categories=frequent, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        steps.append(("category", encoder, categories))
    elif categories:
        unknown = np.nan if algorithm == "hist_gradient_boosting" else -1
        ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=unknown, dtype=np.float32)
        steps.append(("category", ordinal, categories))
    return ColumnTransformer(steps, sparse_threshold=0.0)


def _numbers(algorithm: str, *, linear: bool) -> Any:
    if algorithm == "hist_gradient_boosting":
        return "passthrough"
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler()) if linear else imputer


def _frequent(column: Array) -> list[str]:
    """The categories that get a column, sorted: at most 64, each seen 10 times; at least the most frequent one."""
    values, counts = np.unique(column.astype(str), return_counts=True)
    order = np.lexsort((values, -counts))[:MOST_COLUMNS]
    kept = [int(index) for index in order if counts[index] >= LEAST_SEEN] or [int(order[0])]
    return sorted(str(values[index]) for index in kept)


def _round_scaler(prepare: ColumnTransformer) -> None:
    number = prepare.named_transformers_.get("number")
    if number is None:
        return
    scaler = number[-1]
    scaler.mean_ = scaler.mean_.astype(np.float32).astype(np.float64)
    scaler.scale_ = np.exp2(np.clip(np.round(np.log2(scaler.scale_)), -100, 100))
