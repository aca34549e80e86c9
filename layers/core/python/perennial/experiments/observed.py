"""The rows of an experiment: who answered them, about whom they were, and what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perennial.catalog.model import ModelSpec
from perennial.experiments.analysis import ArmRows
from perennial.outcomes import Outcome, join_outcomes, label_of
from perennial.registry import Experiment
from perennial.serving.assignment import ARMS, CHALLENGER, CHAMPION, bucket, entity_keys, parts
from perennial.serving.log import SHORTENED, Prediction, rows_of

CROSSED = "another arm than the entity's"
UNLIKE = "the outcome is no label of the model"


@dataclass
class _Arm:
    seen: set[str] = field(default_factory=set)
    rows: int = 0
    label: list[float] = field(default_factory=list)
    answers: list[list[float]] = field(default_factory=list)
    entity: list[str] = field(default_factory=list)
    amount: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Observed:
    """The rows of both arms; `excluded` counts by reason what is in neither, or in one without its outcome."""

    champion: ArmRows
    challenger: ArmRows
    excluded: Mapping[str, int]

    @property
    def crossed(self) -> int:
        """Rows that another arm answered than the one of their entity's hash: the split was not what it was to be."""
        return self.excluded.get(CROSSED, 0)


def observe(
    records: Iterable[Mapping[str, Any]],
    outcomes: Iterable[Outcome],
    experiment: Experiment,
    spec: ModelSpec,
    classes: tuple[Any, ...] | None,
) -> Observed:
    """The rows of `experiment` in the prediction log, with their outcomes.

    What takes no part is passed over. The arm of each row is computed again from its entity: rows that met another one
    are counted, and left out.
    """
    marks: dict[str, tuple[str, str]] = {}
    excluded: Counter[str] = Counter()
    arms = {name: _Arm() for name in ARMS}
    for prediction, outcome in join_outcomes(_taking_part(records, experiment, marks, excluded), outcomes, spec.entity):
        name, entity = marks.pop(prediction.id)
        arm = arms[name]
        arm.rows += 1
        arm.seen.add(entity)
        label = None if outcome is None else label_of(outcome.outcome, spec, classes)
        if outcome is None:
            continue
        if label is None:
            excluded[UNLIKE] += 1
            continue
        arm.label.append(label)
        arm.answers.append([prediction.prediction] if prediction.probability is None else prediction.probability)
        arm.entity.append(entity)
        arm.amount.append(np.nan if outcome.amount is None else outcome.amount)
    width = len(classes or (0,))
    return Observed(_rows(arms[CHAMPION], width, classes), _rows(arms[CHALLENGER], width, classes), dict(excluded))


def _taking_part(
    records: Iterable[Mapping[str, Any]],
    experiment: Experiment,
    marks: dict[str, tuple[str, str]],
    excluded: Counter[str],
) -> Iterator[Prediction]:
    """The predictions of an experiment; `marks` gets arm and entity of each."""
    salt, split = experiment.salt.encode(), parts(experiment.share)
    for record in records:
        if record.get("salt") != experiment.salt:
            continue
        if record["inputs"] is None:
            excluded[SHORTENED] += int(record["rows"])
            continue
        keys = entity_keys(record["inputs"], experiment.entity, record["rows"])
        for key, prediction in zip(keys, rows_of(record), strict=True):
            arm = CHALLENGER if key is not None and bucket(salt, key) < split else CHAMPION
            if key is None or arm != record["arm"]:
                excluded[CROSSED] += 1
                continue
            marks[prediction.id] = arm, key
            yield prediction


def _rows(arm: _Arm, width: int, classes: tuple[Any, ...] | None) -> ArmRows:
    names = {entity: number for number, entity in enumerate(sorted(set(arm.entity)))}
    return ArmRows(
        rows=arm.rows,
        entities=len(arm.seen),
        label=np.array(arm.label, np.float64 if classes is None else np.int64),
        answers=np.array(arm.answers, np.float64).reshape(-1, width),
        entity=np.array([names[entity] for entity in arm.entity], np.int64),
        amount=np.array(arm.amount, np.float64),
    )
