"""Which outcomes count for the predictions of a cohort, and what became of the others.

An outcome counts when it reached Perennial within the horizon of its prediction; said again within it, it is as new as
its newest repetition. So what a cohort says is settled once its last prediction is older than the horizon: outcomes
that come later are counted, by name, and change nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from perennial.monitoring.arrivals import about
from perennial.outcomes import Outcome, join_outcomes
from perennial.serving.log import Prediction


@dataclass(frozen=True)
class Counted:
    """What became of all that was said of a cohort.

    `predictions` were made in it, `with_outcome` of them have one. Outcomes that do not count: `late` came after the
    horizon, `before` were true before the prediction was asked for, `unknown` are of predictions or entities that
    nobody asked about, `further` are events of an entity after the first one, `repeated` say what another one said.
    `contradicting` predictions were told different things, of which the newest stands. No outcome is counted twice.
    """

    predictions: int
    with_outcome: int
    late: int
    before: int
    unknown: int
    further: int
    contradicting: int
    repeated: int

    def to_json(self) -> dict[str, Any]:
        """Part `cohort` of the monitor's report."""
        return asdict(self) | {"coverage": self.with_outcome / self.predictions if self.predictions else None}


@dataclass(frozen=True)
class Cohort:
    """The predictions of a cohort, each with the outcome that counts or None, in the order given."""

    pairs: list[tuple[Prediction, Outcome | None]]
    counted: Counted


def settle_cohort(
    predictions: Iterable[Prediction],
    outcomes: Iterable[Outcome],
    *,
    first: date,
    last: date,
    horizon: timedelta,
    entity: Sequence[str] = (),
) -> Cohort:
    """The predictions asked for on the days `first` to `last` (UTC) with the outcomes that count.

    Give the predictions up to the horizon after `last` and, where outcomes name an entity, some before `first`: an
    outcome whose own prediction is missing would go to an earlier one, or be unknown. Outcomes of predictions outside
    the cohort are no part of it. The result is the same whatever the order of outcomes, and however often each comes.
    """
    known = {one.id: one for one in predictions}
    distinct = _distinct(outcomes)
    owners = _owners(known.values(), [said[0] for said in distinct], entity)
    asked = _first_asked(known.values(), entity)
    cohort = {one.id for one in known.values() if first <= one.at.astimezone(UTC).date() <= last}
    told: dict[str, list[Outcome]] = defaultdict(list)
    counts = {"late": 0, "before": 0, "unknown": 0, "further": 0, "repeated": 0}
    for same in distinct:
        said, name = same[0], owners.get(same[0].subject)
        if name in cohort:
            counts["repeated"] += len(same) - 1
            prediction = known[name]
            timely = [one for one in same if one.received_at <= prediction.at + horizon]
            if _moment(said) < prediction.at:
                counts["before"] += 1
            elif not timely:
                counts["late"] += 1
            else:
                told[name].append(timely[-1])
        elif name is None and first <= about(said) <= last:
            counts[_without(said, asked, entity)] += 1
            counts["repeated"] += len(same) - 1
    standing = {name: max(said, key=lambda one: one.rank) for name, said in told.items()}
    counts["repeated"] += sum(len(said) - len(_values(said)) for said in told.values())
    pairs = [(one, standing.get(one.id)) for one in known.values() if one.id in cohort]
    contradicting = sum(len(_values(said)) > 1 for said in told.values())
    counted = Counted(len(pairs), len(standing), contradicting=contradicting, **counts)
    return Cohort(pairs, counted)


def _distinct(outcomes: Iterable[Outcome]) -> list[list[Outcome]]:
    """What was said, the same again beside it, in the order in which it was received."""
    found: dict[tuple[Any, ...], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        found[(one.subject, one.digest)].append(one)
    return [sorted(said, key=lambda one: one.received_at) for said in found.values()]


def _owners(
    predictions: Iterable[Prediction], outcomes: Sequence[Outcome], entity: Sequence[str]
) -> dict[tuple[Any, ...], str]:
    """The id of the prediction that each subject belongs to, as perennial.outcomes.join has it."""
    predictions = list(predictions)
    made = {one.id for one in predictions}
    owners = {one.subject: one.prediction_id for one in outcomes if one.prediction_id in made}
    events = {one.subject: one for one in outcomes if one.prediction_id is None}
    for prediction, event in join_outcomes(predictions, events.values(), entity) if events else ():
        if event is not None:
            owners[event.subject] = prediction.id
    return {subject: name for subject, name in owners.items() if name is not None}


def _first_asked(predictions: Iterable[Prediction], entity: Sequence[str]) -> dict[tuple[Any, ...], datetime]:
    """When each entity was first asked about."""
    found: dict[tuple[Any, ...], datetime] = {}
    for one in predictions if entity else ():
        whose = tuple((one.inputs or {}).get(column) for column in entity)
        found[whose] = min(one.at, found.get(whose, one.at))
    return found


def _without(said: Outcome, asked: Mapping[tuple[Any, ...], datetime], entity: Sequence[str]) -> str:
    """Why an outcome belongs to no prediction."""
    if said.event_time is None:
        return "unknown"
    since = asked.get(tuple(said.entity.get(column) for column in entity))
    return "unknown" if since is None else "before" if said.event_time < since else "further"


def _values(said: Iterable[Outcome]) -> set[tuple[Any, ...]]:
    return {(one.outcome, one.amount) for one in said}


def _moment(said: Outcome) -> datetime:
    return said.at if said.event_time is None else said.event_time
