"""What one training on the file would give: the code that trains, on the sampled rows.

From it come the floors of the gates. They are honest rather than ambitious: half of what a simple, untuned linear model
adds to guessing; where even that cannot be told from guessing, no floor is proposed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from perennial.catalog.contract import Column, Contract
from perennial.catalog.model import Label, ModelSpec
from perennial.catalog.train import Train
from perennial.evaluation.blocks import Interval, blocks_of
from perennial.evaluation.metrics import Scored, measure
from perennial.proposal.label import LabelPlan
from perennial.proposal.leaks import Finding, find_leaks
from perennial.proposal.roles import Plan, event_time, features
from perennial.training.data import Rows, to_rows
from perennial.training.features import Feature, features_of
from perennial.training.pipeline import fit
from perennial.training.split import Split, split

MOST_ROWS = 20_000
MOST_CELLS = 2_000_000
# Boosted trees need rows for every leaf, and grow as many trees as there are classes
LEAST_FOR_TREES = 500
MOST_CLASSES_FOR_TREES = 20
MOST_CLASSES_BY_COLUMNS = 2000

METRIC = {"binary": "auc", "multiclass": "auc", "regression": "r2"}
GUESSING = {"auc": 0.5, "r2": 0.0}
SIMPLE = {"binary": "logistic_regression", "multiclass": "logistic_regression", "regression": "ridge"}


@dataclass(frozen=True)
class Trial:
    """What was tried: `simple` and `value` are the linear and the proposed model on `held` held-out rows.

    `floor` is None when the simple model cannot be told from guessing; `noise` is what held-out rows cannot tell apart.
    """

    algorithm: str
    metric: str
    held: int
    simple: Interval | None
    value: Interval | None
    floor: float | None
    noise: float | None


def trial_spec(label: LabelPlan, names: list[str], algorithm: str) -> ModelSpec:
    """A spec as the file's proposal will have it."""
    train = Train.model_validate({"algorithm": algorithm, "min_rows": 10})
    return ModelSpec(
        name="trial", dataset="trial", task=label.task, label=Label(column=label.column), features=names, train=train
    )


def sampled_rows(sample: pa.Table, label: LabelPlan, plans: dict[str, Plan]) -> Rows:
    """Labelled rows of the sample, as training makes them. Raises TrainingDataInvalid."""
    names = features(plans)
    contract = Contract("trial", "1", tuple(Column(plan.name, plan.type) for plan in plans.values()))
    spec = trial_spec(label, names, SIMPLE[label.task])
    most = max(2000, min(MOST_ROWS, MOST_CELLS // len(names)))
    if sample.num_rows > most:
        sample = sample.take(pa.array(np.unique(np.linspace(0, sample.num_rows - 1, most).astype(int))))
    return to_rows(sample, spec, features_of(spec, contract), event_time(plans))


def leaks_in(rows: Rows, label: LabelPlan, plans: dict[str, Plan], progress: Callable[[str], None]) -> list[Finding]:
    """The suspicious features."""
    return find_leaks(label.task, _features(label, plans), rows.features, rows.label, progress)


def holdout(rows: Rows) -> Split:
    """The split that training will make. Raises TrainingDataInvalid when a side lacks rows or a class."""
    return split(rows, 0.2, 0)


def try_out(
    sides: Split, label: LabelPlan, plans: dict[str, Plan], rows: int, progress: Callable[[str], None]
) -> Trial:
    """Fit the simple and the proposed model on one side, and measure both on the other."""
    metric, simple_name = METRIC[label.task], SIMPLE[label.task]
    algorithm = proposed_algorithm(label, len(features(plans)), rows)
    progress(f"trying {simple_name}")
    simple = _measured(sides, label, plans, simple_name, metric)
    value = simple
    if algorithm != simple_name:
        progress(f"trying {algorithm}")
        value = _measured(sides, label, plans, algorithm, metric)
    floor = _floor(simple, GUESSING[metric])
    if floor is not None and (value is None or value.value < floor):
        algorithm, value = simple_name, simple
    return Trial(algorithm, metric, len(sides.holdout), simple, value, floor, _noise(value))


def proposed_algorithm(label: LabelPlan, columns: int, rows: int) -> str:
    """Boosted trees where there are rows for them, else a linear model."""
    classes = len(label.classes or [])
    if rows < LEAST_FOR_TREES or classes > MOST_CLASSES_FOR_TREES or classes * columns > MOST_CLASSES_BY_COLUMNS:
        return SIMPLE[label.task]
    return "hist_gradient_boosting"


def _measured(sides: Split, label: LabelPlan, plans: dict[str, Plan], algorithm: str, metric: str) -> Interval | None:
    spec = trial_spec(label, features(plans), algorithm)
    pipeline = fit(spec, _features(label, plans), sides.train.features, sides.train.label, 0)
    held = sides.holdout
    answers = pipeline.predict if label.task == "regression" else pipeline.predict_proba
    scored = np.asarray(answers(held.features), dtype=np.float64).reshape(len(held), -1)
    days = None if held.time is None else held.time.astype("datetime64[D]")
    return measure(label.task, Scored(held.label, scored, blocks_of(days, len(held)))).get(metric)


def _features(label: LabelPlan, plans: dict[str, Plan]) -> list[Feature]:
    names = features(plans)
    contract = Contract("trial", "1", tuple(Column(plan.name, plan.type) for plan in plans.values()))
    return features_of(trial_spec(label, names, SIMPLE[label.task]), contract)


def _floor(simple: Interval | None, guessing: float) -> float | None:
    """Half way from guessing to the simple model, in hundredths; None when its interval reaches down to guessing."""
    if simple is None or simple.low is None or simple.low <= guessing:
        return None
    floor = math.floor((guessing + (simple.value - guessing) / 2) * 100) / 100
    return floor if floor > guessing else None


def _noise(value: Interval | None) -> float | None:
    if value is None or value.low is None or value.high is None:
        return None
    return min(0.5, max(0.01, math.ceil((value.high - value.low) / 2 * 100) / 100))
