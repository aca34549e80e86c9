"""What a look reads: predictions, arrivals and complete cohorts by day, each sealed as soon as it can be.

    monitoring/<model>/day=YYYY-MM-DD/cohort.parquet     id, outcome, amount; in the order of predictions.parquet

The cohort of a day is complete when the day that lies `horizon` later has settled. Outcomes that come after that are
counted, and change nothing. So a look costs what is new since the last one, and the days that it spans.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from perennial.catalog.model import ModelSpec
from perennial.monitoring import arrivals, days
from perennial.monitoring.calendar import Span, is_settled
from perennial.monitoring.maturity import Cohort, settle_cohort
from perennial.outcomes import Outcome
from perennial.serving.log import Prediction
from perennial.storage.objects import Objects

COHORT = "cohort.parquet"
_COUNTED = b"counted"


@dataclass
class Shelf:
    """The days of a model as of an instant; those before `oldest` are no longer in the prediction log."""

    objects: Objects
    spec: ModelSpec
    as_of: datetime
    oldest: date
    _there: set[tuple[date, str]] = field(default_factory=set)
    _listed: set[date] = field(default_factory=set)
    _days: dict[date, pa.Table] = field(default_factory=dict)
    _arrivals: dict[date, list[Outcome]] = field(default_factory=dict)
    _cohorts: dict[date, pa.Table] = field(default_factory=dict)

    @property
    def horizon(self) -> timedelta:
        """How long an outcome may take."""
        return timedelta(seconds=self.spec.monitor.horizon)

    @property
    def reach(self) -> timedelta:
        """How far from its own day predictions matter to a cohort: by entity an outcome goes to the last one before
        it, whichever day that was on.
        """
        return self.horizon if self.spec.entity else timedelta(0)

    def list(self, span: Span) -> None:
        """Learn what is sealed of these days, by one call for all that are not known yet."""
        unknown = [day for day in span if day not in self._listed]
        if unknown:
            wanted = Span(unknown[0], unknown[-1])
            self._there |= days.sealed(self.objects, self.spec.name, wanted)
            self._listed |= set(wanted)

    def days(self, span: Span) -> dict[date, pa.Table]:
        """The predictions of each day that is still known (days.py)."""
        self.list(span)
        wanted = [day for day in span.since(self.oldest) if day not in self._days]
        for part in days.runs(wanted):
            self._days |= days.read_days(self.objects, self.spec.name, part, self.as_of, self._there)
        return {day: self._days[day] for day in span if day in self._days}

    def arrivals(self, span: Span) -> Iterator[Outcome]:
        """What arrived on the days of `span`, as often as it was said."""
        self.list(span)
        for part in days.runs([day for day in span if day not in self._arrivals]):
            self._arrivals |= arrivals.read_arrivals(self.objects, self.spec.name, part, self.as_of, self._there)
        return (said for day in span for said in self._arrivals[day])

    def is_complete(self, day: date) -> bool:
        """Whether the cohort of a day is complete."""
        return is_settled(day + self.horizon, self.as_of)

    def cohorts(self, span: Span) -> dict[date, pa.Table]:
        """The outcomes of each day whose cohort is complete, row by row as `days` has them; counts are in `counted`."""
        complete = [day for day in self.days(span) if self.is_complete(day)]
        self.list(span)
        new = [day for day in complete if (day, COHORT) not in self._there and day not in self._cohorts]
        if new:  # what they need, in as few calls as can be
            self.days(Span(new[0] - self.reach, new[-1] + self.reach))
            self.arrivals(Span(new[0], new[-1] + self.horizon))
        self._cohorts |= {day: self._cohort(day) for day in complete if day not in self._cohorts}
        return {day: self._cohorts[day] for day in complete}

    def _cohort(self, day: date) -> pa.Table:
        key = days.day_key(self.spec.name, day, COHORT)
        if (day, COHORT) in self._there:
            return days.from_parquet(self.objects.get(key))
        table = _table(self._settled(day))
        if self.objects.create(key, days.to_parquet(table), "application/vnd.apache.parquet"):
            return table
        return days.from_parquet(self.objects.get(key))

    def _settled(self, day: date) -> Cohort:
        asked = self.days(Span(day - self.reach, day + self.reach))
        return settle_cohort(
            (one for table in asked.values() for one in predictions(table, self.spec.entity)),
            self.arrivals(Span(day, day + self.horizon)),
            first=day,
            last=day,
            horizon=self.horizon,
            entity=self.spec.entity,
        )


def predictions(table: pa.Table, entity: Iterable[str]) -> Iterator[Prediction]:
    """The rows of a day as far as outcomes are joined by them: id, time and the columns of the entity."""
    names = [name for name in entity if days.INPUT + name in table.column_names]
    columns = [table[days.INPUT + name].to_pylist() for name in names]
    at = table["at"].cast(pa.int64()).to_pylist()
    for row, (name, moment, shortened) in enumerate(
        zip(table["id"].to_pylist(), at, table["shortened"].to_pylist(), strict=True)
    ):
        inputs = None if shortened else {one: column[row] for one, column in zip(names, columns, strict=True)}
        yield Prediction(name, days.moment(moment), 0, "", inputs, None, None)


def _table(cohort: Cohort) -> pa.Table:
    outcomes = [None if said is None else said.outcome for _, said in cohort.pairs]
    amounts = [None if said is None else said.amount for _, said in cohort.pairs]
    table = pa.table(
        {
            "id": pa.array([one.id for one, _ in cohort.pairs], pa.string()),
            "outcome": days.typed(outcomes),
            "amount": pa.array(amounts, pa.float64()),
        }
    )
    counts = json.dumps(cohort.counted.to_json(), sort_keys=True)
    return table.replace_schema_metadata({_COUNTED: counts.encode()})


def counted(table: pa.Table) -> Mapping[str, Any]:
    """What was counted as a cohort was completed (maturity.Counted)."""
    found: dict[str, Any] = json.loads(table.schema.metadata[_COUNTED])
    return found
