"""What came of the answers: do the challenger's lose more, or earn less, than the champion's of the same time?

Outcomes arrive for some predictions, and late: what has arrived is asked, and few outcomes are no verdict. Each of the
two versions is compared on its own requests, in the pairs that the other guards have: neighbours in time, of one step.
Pairs are made of all requests before anybody looks for outcomes, so that a later outcome adds a pair and changes none;
whatever moves labels in time moves them for both of a pair. So the bets of bounded_tests hold however often they are
asked. Only an outcome whose coming, by the same moment, depends on which version answered could mislead them.

A request counts by its first row: rows of one request are alike, and taken for independent they would look like more
evidence than they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from perennial.catalog.model import ModelSpec
from perennial.catalog.rollout import Quality, RolloutSpec, Value
from perennial.outcomes import Outcome, join_outcomes, label_of
from perennial.outcomes.store import first_outcomes
from perennial.rollout.bounded_tests import over
from perennial.rollout.guards import pairs
from perennial.rollout.judge import Guard
from perennial.rollout.observed import Seen
from perennial.rollout.scores import Spread
from perennial.storage.objects import Objects

# From the beginning of the day on which a rollout begins, so that a look ends within the stage's two minutes: an object
# takes some 30 ms to come.
OBJECTS = 1_000

Windows = Sequence[Sequence[Seen]]


@dataclass(frozen=True)
class Labels:
    """How outcomes of a model are read: its spec, its classes (None for a regression), and of a regression how far
    apart its predictions of held-out rows are (None: not known, so that nothing is lost or won).
    """

    spec: ModelSpec
    classes: tuple[Any, ...] | None
    span: float | None

    @classmethod
    def of(cls, spec: ModelSpec, classes: tuple[Any, ...] | None, offline: Spread | None) -> Labels:
        """The span is that of the challenger's scores of held-out rows."""
        return cls(spec, classes, offline.high - offline.low if offline else None)

    def loss(self, outputs: Sequence[float], outcome: Any) -> float | None:
        """From 0 (right and sure) to 1: half the squared distance of the probabilities from the truth, which is the
        Brier score of two classes; of a regression the distance in spans, at most one.

        None for what is no label of the model.
        """
        label = label_of(outcome, self.spec, self.classes)
        if label is None:
            return None
        if self.classes is not None:
            true = int(label)  # -1 for a class that training never saw
            told = sum((value - float(place == true)) ** 2 for place, value in enumerate(outputs))
            return min(1.0, (told + float(true < 0)) / 2)
        return min(1.0, abs(outputs[0] - label) / self.span) if self.span else None


def read(objects: Objects, model: str, since: datetime, until: datetime) -> Iterable[Outcome]:
    """The outcomes that arrived on the days of a rollout. Raises StorageUnavailable."""
    return first_outcomes(objects, model, since.astimezone(UTC).date(), until.astimezone(UTC).date(), OBJECTS)


def with_results(windows: Windows, outcomes: Iterable[Outcome], labels: Labels, until: datetime) -> list[list[Seen]]:
    """The requests with what came of them.

    An outcome by entity and time is taken up to `until`, where the last window ends: a later prediction, which has not
    been read, may be the one it is about.
    """
    known = [one for one in outcomes if one.event_time is None or one.event_time < until]
    if not known:
        return [list(window) for window in windows]
    rows = [one.row for window in windows for one in window if one.row is not None]
    found = {row.id: outcome for row, outcome in join_outcomes(rows, known, labels.spec.entity) if outcome is not None}
    return [[_with(one, found, labels) for one in window] for window in windows]


def _with(one: Seen, found: dict[str, Outcome], labels: Labels) -> Seen:
    outcome = found.get(one.row.id) if one.row else None
    if outcome is None:
        return one
    return replace(one, loss=labels.loss(one.outputs, outcome.outcome), amount=outcome.amount)


def results_of(spec: RolloutSpec, windows: Windows) -> list[Guard]:
    """The guards' word on what came of the requests of each step."""
    both = [pair for window in windows for pair in pairs(window)]
    return [_quality(spec.quality, both), *([_value(spec.value, both)] if spec.value else [])]


def _quality(spec: Quality, both: Sequence[tuple[Seen, Seen]]) -> Guard:
    lost = [(mine.loss, theirs.loss) for mine, theirs in both]
    apart = list(_apart((mine, theirs) for mine, theirs in lost if mine is not None and theirs is not None))
    reason = f"loses {_mean(apart):.3g} more per prediction than the champion, in {len(apart)} pairs with outcomes"
    return _guard("quality", apart, spec.margin, spec.alpha, reason)


def _value(spec: Value, both: Sequence[tuple[Seen, Seen]]) -> Guard:
    def within(amount: float) -> float:
        return min(max(amount, spec.low), spec.high) / (spec.high - spec.low)

    paid = [(theirs.amount, mine.amount) for mine, theirs in both]
    apart = list(_apart((within(a), within(b)) for a, b in paid if a is not None and b is not None))
    less = _mean(apart) * (spec.high - spec.low)
    reason = f"earns {less:.3g} less per prediction than the champion, in {len(apart)} pairs with amounts"
    return _guard("value", apart, spec.margin / (spec.high - spec.low), spec.alpha, reason)


def _apart(both: Iterable[tuple[float, float]]) -> Iterator[float]:
    return (one - other for one, other in both)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _guard(name: str, apart: Sequence[float], margin: float, alpha: float, reason: str) -> Guard:
    """Differences in [−1, 1], against "on average they are at most the margin"."""
    evidence = {"pairs": len(apart), "mean": _mean(apart), "margin": margin}
    return Guard(name, over(Counter(apart), margin, -1.0), alpha, reason, evidence)
