"""The model spec: what a team declares about one model (YAML in the catalog, reviewed in git)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from perennial.catalog.document import parse_document
from perennial.catalog.rollout import RolloutSpec
from perennial.catalog.schedule import check_schedule
from perennial.catalog.spec import Seconds, Spec
from perennial.errors import CatalogInvalid

NAME = r"^[a-z][a-z0-9-]{0,39}$"

# What perennial.evaluation.metrics computes, by task; a test holds the two together. Named here, since the catalog is
# read where there is no numpy.
METRIC_NAMES: dict[str, frozenset[str]] = {
    "binary": frozenset({"auc", "average_precision", "log_loss", "brier", "accuracy", "base_rate"}),
    "multiclass": frozenset({"auc", "log_loss", "accuracy"}),
    "regression": frozenset({"rmse", "mae", "r2"}),
}

ALGORITHMS = ("hist_gradient_boosting", "logistic_regression", "ridge", "random_forest")
# A class in a module of the catalog's folder `estimators`, `my_package.my_module:MyEstimator`
OWN_ALGORITHM = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"


class Label(Spec):
    """What is predicted: a column as it is, or for a binary task whether it lies above `above`.

    Rows in which the column is null have no label and are left out of training.
    """

    column: str
    above: float | None = None


class When(Spec):
    """When new data starts a training: at least `min_rows` unseen rows, and no arrival for `settle` seconds.

    `schedule` (EventBridge Scheduler: `rate(30 days)`, `cron(…)`) asks besides; the governor declines when nothing
    is new.
    """

    min_rows: int = Field(default=1, ge=1)
    settle: Seconds = 60
    schedule: Annotated[str, AfterValidator(check_schedule)] | None = None


class Split(Spec):
    """Which rows are held out: the last `holdout` share by event time (whole days), else a seeded stratified hash."""

    holdout: float = Field(default=0.2, gt=0, lt=1)


class Train(Spec):
    """How the model is trained."""

    when: When = When()
    algorithm: str = "hist_gradient_boosting"
    params: dict[str, int | float | str | bool | None] = Field(default={})
    split: Split = Split()
    seed: int = Field(default=0, ge=0, lt=2**31)
    min_rows: int = Field(default=20, ge=10)

    @field_validator("algorithm")
    @classmethod
    def _known(cls, algorithm: str) -> str:
        if algorithm not in ALGORITHMS and not re.fullmatch(OWN_ALGORITHM, algorithm):
            raise ValueError(f"{algorithm!r} is none of {', '.join(ALGORITHMS)}, nor an own my_module:MyEstimator")
        return algorithm

    @property
    def own_module(self) -> str | None:
        """The module of an own estimator (`my_package.my_module`); None for an algorithm of Perennial's."""
        return None if self.algorithm in ALGORITHMS else self.algorithm.partition(":")[0]


class Gate(Spec):
    """Absolute bounds of one metric on the held-out rows."""

    min: float | None = None
    max: float | None = None


class Comparison(Spec):
    """The challenger may be at most `margin` worse than the champion in `metric`, with the interval's lower end."""

    metric: str
    margin: float = Field(default=0.01, ge=0)


# What a file of outcomes has besides the columns of an entity (perennial.outcomes).
OUTCOME_COLUMNS = frozenset({"prediction_id", "event_time", "outcome", "amount", "at"})


class ModelSpec(Spec):
    """One model of the catalog.

    `entity` are the features that say whom a prediction is about, so that an outcome may name it by them; `amount_unit`
    is what the amounts of outcomes are counted in (EUR, minutes). Without `rollout` a new version gets all requests as
    soon as it has been tried.
    """

    name: str = Field(pattern=NAME)
    description: str = ""
    owner: str = ""
    dataset: str = Field(pattern=NAME)
    task: Literal["binary", "multiclass", "regression"]
    label: Label
    features: list[str] = Field(min_length=1, max_length=2000)
    entity: list[str] = Field(default=[], max_length=16)
    amount_unit: str | None = Field(default=None, min_length=1, max_length=40)
    train: Train = Train()
    gates: dict[str, Gate] = Field(default={})
    comparison: Comparison | None = None
    rollout: RolloutSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if self.label.column in self.features:
            raise ValueError(f"label column {self.label.column!r} is listed among the features")
        if len(set(self.features)) != len(self.features):
            raise ValueError("a feature is listed twice")
        self._check_entity()
        if self.label.above is not None and self.task != "binary":
            raise ValueError("label.above makes a binary label; the task is " + self.task)
        for name in [*self.gates, *([self.comparison.metric] if self.comparison else [])]:
            if name not in METRIC_NAMES[self.task]:
                raise ValueError(
                    f"no metric {name!r} for task {self.task}; there are {sorted(METRIC_NAMES[self.task])}"
                )
        if (self.train.algorithm == "ridge") != (self.task == "regression") and self.train.algorithm in {
            "ridge",
            "logistic_regression",
        }:
            raise ValueError(f"algorithm {self.train.algorithm} does not fit task {self.task}")
        return self

    def _check_entity(self) -> None:
        """A prediction's record holds features and nothing else."""
        for name in self.entity:
            if name not in self.features:
                raise ValueError(f"entity column {name!r} is not among the features")
            if name in OUTCOME_COLUMNS:
                raise ValueError(f"entity column {name!r}: files of outcomes have a column of that name")
        if len(set(self.entity)) != len(self.entity):
            raise ValueError("an entity column is listed twice")


def parse_model(text: str, source: str) -> ModelSpec:
    """The spec in a YAML text; `source` names the file in errors. Raises CatalogInvalid."""
    try:
        return ModelSpec.model_validate(parse_document(text, source))
    except ValidationError as error:
        raise CatalogInvalid(f"{source}: {error}") from error
