"""The model spec: what a team declares about one model (YAML in the catalog, reviewed in git)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from perennial.catalog.document import parse_document
from perennial.catalog.schedule import check_schedule
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

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_seconds(text: str) -> int:
    """`"90s"`, `"5m"`, `"1h"`, `"2d"` as whole seconds. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*([smhd])\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is no span of time; write 90s, 5m, 1h or 2d")
    return int(match[1]) * _UNITS[match[2]]


def _seconds(value: Any) -> Any:
    return parse_seconds(value) if isinstance(value, str) else value


# The longest Wait of Step Functions, somewhat more than three years: an execution with a longer one fails uncaught.
# https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
LONGEST_WAIT = 99_999_999

Seconds = Annotated[int, BeforeValidator(_seconds), Field(ge=0, le=LONGEST_WAIT)]


class Spec(BaseModel):
    """Base of the spec's parts: an unknown word is an error, since a typo must not become a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    params: dict[str, int | float | str | bool | None] = {}
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
    is what the amounts of outcomes are counted in (EUR, minutes).
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
    gates: dict[str, Gate] = {}
    comparison: Comparison | None = None

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
