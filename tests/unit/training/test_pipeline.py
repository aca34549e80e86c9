from __future__ import annotations

import numpy as np
import pytest

from perennial.errors import CatalogInvalid, EstimatorUnknown
from perennial.training.pipeline import estimator_of
from tests.unit.training.made import fitted, rows_of, spec_of, table


def trained(algorithm: str, task: str, params: dict[str, object]) -> None:
    fitted(algorithm, task, train={"algorithm": algorithm, "params": params})


@pytest.mark.parametrize("name", ["n_jobs", "random_state", "categorical_features", "no_such"])
def test_a_parameter_that_is_not_the_specs_to_set_is_refused(name: str) -> None:
    with pytest.raises(CatalogInvalid, match=f"train.params has '{name}'"):
        trained("hist_gradient_boosting", "binary", {name: 1})


def test_a_parameter_out_of_range_is_refused() -> None:
    with pytest.raises(CatalogInvalid, match="learning_rate"):
        trained("hist_gradient_boosting", "binary", {"learning_rate": -1})


def test_an_algorithm_that_does_not_do_the_task_is_unknown() -> None:
    spec = spec_of("hist_gradient_boosting", "binary")
    wrong = spec.model_copy(update={"train": spec.train.model_copy(update={"algorithm": "ridge"})})
    with pytest.raises(EstimatorUnknown, match="no ridge for a binary task"):
        estimator_of(wrong, 0)


def test_a_forest_predicts_with_one_job() -> None:
    assert estimator_of(spec_of("random_forest", "binary"), 3).n_jobs == 1


def test_the_scaler_is_exact_in_float32() -> None:
    pipeline, _, _, _ = fitted("logistic_regression", "binary", features=["year", "amount"])
    scaler = pipeline.named_steps["prepare"].named_transformers_["number"][-1]
    assert np.array_equal(scaler.mean_, scaler.mean_.astype(np.float32))
    assert np.array_equal(np.log2(scaler.scale_), np.round(np.log2(scaler.scale_)))


def test_rare_categories_get_no_column_of_their_own() -> None:
    pipeline, _, frame, _ = fitted("logistic_regression", "binary", features=["probabilities"])
    encoder = pipeline.named_steps["prepare"].named_transformers_["category"]
    values, counts = np.unique(frame["feature_0"].to_numpy().astype(str), return_counts=True)
    assert set(encoder.categories_[0]) == {value for value, count in zip(values, counts, strict=True) if count >= 10}


def test_the_frame_holds_what_serving_sends() -> None:
    _, rows = rows_of(spec_of("ridge", "regression"), table(60))
    assert {str(kind) for kind in rows.features.dtypes} == {"float32", "object"}
