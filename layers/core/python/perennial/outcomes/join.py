"""Predictions with their outcomes.

By id an outcome belongs to the prediction of that id. By entity it belongs to the last prediction about this entity
that was made at or before the outcome's event time: of several events before the next prediction, to the first one.
Of an outcome by id and one by entity the newer one stands, as of any two.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from perennial.outcomes.record import Outcome
from perennial.serving.log import Prediction

Pair = tuple[Prediction, Outcome | None]


def join_outcomes(
    predictions: Iterable[Prediction], outcomes: Iterable[Outcome], entity: Sequence[str] = ()
) -> Iterator[Pair]:
    """Every prediction once, with its outcome or None; `entity` are the columns of the model's spec.

    Predictions about entities that have outcomes are kept until the end and come last, so give them up to the latest
    event time: an outcome whose own prediction is missing would go to an earlier one.
    """
    by_id: dict[str, Outcome] = {}
    events: dict[tuple[Any, ...], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.prediction_id is not None:
            by_id[outcome.prediction_id] = outcome
        else:
            events[tuple(outcome.entity.get(column) for column in entity)].append(outcome)
    kept: dict[tuple[Any, ...], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        about = _about(prediction, entity) if events else None
        if about is not None and about in events:
            kept[about].append(prediction)
        else:
            yield prediction, by_id.get(prediction.id)
    for about, made in kept.items():
        for prediction, event in _first_events(made, events[about]):
            known = [one for one in (by_id.get(prediction.id), event) if one is not None]
            yield prediction, max(known, key=lambda one: one.rank, default=None)


def _about(prediction: Prediction, entity: Sequence[str]) -> tuple[Any, ...] | None:
    """The entity of a prediction; None when the record lost it, or one of its columns was missing."""
    if prediction.inputs is None:
        return None
    values = tuple(prediction.inputs.get(column) for column in entity)
    return None if None in values else values


def _first_events(predictions: list[Prediction], outcomes: list[Outcome]) -> Iterator[Pair]:
    """Each prediction about one entity with the first event between it and the next prediction."""
    made = sorted(predictions, key=lambda one: (one.at, one.id))
    events = sorted((one for one in outcomes if one.event_time is not None), key=lambda one: (one.event_time, one.rank))
    times = [one.event_time for one in events]
    places = [bisect_left(times, one.at) for one in made]  # type: ignore[type-var]
    for prediction, (first, beyond) in zip(made, pairwise([*places, len(events)]), strict=True):
        yield prediction, events[first] if first < beyond else None
