"""The model spec: what a team declares about one model (YAML in the catalog, reviewed in git)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from perennial.catalog.document import parse_document
from perennial.catalog.monitor import Monitor, Value
from perennial.catalog.rollout import RolloutSpec
from perennial.catalog.spec import Spec
from perennial.catalog.train import Train
from perennial.errors import CatalogInvalid

NAME = r"^[a-z][a-z0-9-]{0,39}$"

# What perennial.evaluation.metrics computes, by task; a test holds the two together. Named here, since the catalog is
# read where there is no numpy.
METRIC_NAMES: dict[str, frozenset[str]] = {
    "binary": frozenset({"auc", "average_precision", "log_loss", "brier", "accuracy", "base_rate"}),
    "multiclass": frozenset({"auc", "log_loss", "accuracy"}),
    "regression": frozenset({"rmse", "mae", "r2"}),
}


class Label(Spec):
    """What is predicted: a column as it is, or for a binary task whether it lies above `above`.

    Rows in which the column is null have no label and are left out of training.
    """

    column: str
    above: float | None = None


class Gate(Spec):
    """Absolute bounds of one metric on the held-out rows."""

    min: float | None = None
    max: float | None = None


class Comparison(Spec):
    """The challenger may be at most `margin` worse than the champion in `metric`, with the interval's lower end.

    One that takes away more than the share `gain` of what the champion lacks of a perfect score is suspected to know
    the label from a leak, and refused; with 1 any gain is believed.
    """

    metric: str
    margin: float = Field(default=0.01, ge=0)
    gain: float = Field(default=0.5, gt=0, le=1)


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
    monitor: Monitor = Monitor()
    value: Value | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if self.label.column in self.features:
            raise ValueError(f"label column {self.label.column!r} is listed among the features")
        if len(set(self.features)) != len(self.features):
            raise ValueError("a feature is listed twice")
        self._check_entity()
        if self.label.above is not None and self.task != "binary":
            raise ValueError("label.above makes a binary label; the task is " + self.task)
        for name in [
            *self.gates,
            *([self.comparison.metric] if self.comparison else []),
            *([self.monitor.metric] if self.monitor.metric else []),
        ]:
            if name not in METRIC_NAMES[self.task]:
                raise ValueError(
                    f"no metric {name!r} for task {self.task}; there are {sorted(METRIC_NAMES[self.task])}"
                )
        if (self.train.algorithm == "ridge") != (self.task == "regression") and self.train.algorithm in {
            "ridge",
            "logistic_regression",
        }:
            raise ValueError(f"algorithm {self.train.algorithm} does not fit task {self.task}")
        self._check_monitor()
        return self

    def _check_monitor(self) -> None:
        for name in self.monitor.slices:
            if name not in self.features:
                raise ValueError(f"monitor.slices: {name!r} is not among the features")
        if self.value is not None and self.task == "regression":
            raise ValueError("value.matrix is of classes; a regression's predictions are worth what outcomes say")
        if self.value is not None and self.amount_unit is None:
            raise ValueError("value.matrix needs amount_unit, in which it counts")
        if self.train.tune is not None:
            twice = sorted(set(self.train.tune.space) & set(self.train.params))
            if twice:
                raise ValueError(f"train.tune.space and train.params both have {twice[0]!r}")

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
