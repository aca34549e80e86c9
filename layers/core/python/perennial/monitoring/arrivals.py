"""The outcomes that arrived on a day as one object, out of many small ones, read once.

    monitoring/<model>/day=YYYY-MM-DD/outcomes.jsonl.gz     as perennial/outcomes/store.py writes them, in order

Sealed and kept as predictions are (days.py); `day` is that of the arrival.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from perennial.monitoring.calendar import ONE, Span, day_of, is_settled
from perennial.monitoring.days import day_key, runs
from perennial.outcomes import Outcome
from perennial.outcomes.record import parse_outcome
from perennial.outcomes.store import OUTCOMES
from perennial.serving.log import keys_of_dates, parse_lines
from perennial.storage.objects import Objects, canonical_json

NAME = "outcomes.jsonl.gz"


def read_arrivals(
    objects: Objects, model: str, span: Span, as_of: datetime, there: set[tuple[date, str]]
) -> dict[date, list[Outcome]]:
    """What arrived on each day of `span`, as often as it was said; days that have settled by `as_of` are sealed.

    `there` is what days.sealed found. Raises StorageUnavailable.
    """
    found = {day: _parsed(objects.get(day_key(model, day, NAME))) for day in span if (day, NAME) in there}
    for part in runs([day for day in span if day not in found]):
        keys: dict[date, list[str]] = {day: [] for day in part}
        for key in keys_of_dates(objects, f"{OUTCOMES}{model}/", part.first, part.last):
            keys[date.fromisoformat(key.partition("/date=")[2][:10])].append(key)
        found |= {day: _arrived(objects, model, day, keys[day], as_of) for day in part}
    return found


def _arrived(objects: Objects, model: str, day: date, keys: list[str], as_of: datetime) -> list[Outcome]:
    lines = sorted(canonical_json(line) for key in keys for line in parse_lines(objects.get(key)))
    body = gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)
    if is_settled(day, as_of):
        key = day_key(model, day, NAME)
        if not objects.create(key, body, "application/gzip"):
            body = objects.get(key)
    return _parsed(body)


def _parsed(body: bytes) -> list[Outcome]:
    return [parse_outcome(line) for line in parse_lines(body)]


def about(said: Outcome) -> date:
    """The day of the prediction that an outcome is about, as far as it says so: ids begin with their date.

    No prediction was made on a date that is none, or that was still to come when the outcome arrived (by more than a
    day: clocks differ): such an outcome is taken to be about the day of its arrival, where it is unknown.
    """
    arrived = day_of(said.received_at)
    if said.event_time is not None:
        return day_of(said.event_time)
    try:
        day = date.fromisoformat((said.prediction_id or "")[:10])
    except ValueError:
        return arrived
    return arrived if day - arrived > ONE else day


class Overdue(NamedTuple):
    """Different outcomes that came when the cohort of their prediction was complete: `late` ones, and those of `older`
    predictions, of which nobody looks up whether they are late or come again.
    """

    late: int
    older: int


def count_overdue(arrivals: Iterable[Outcome], first: date, horizon: timedelta) -> Overdue:
    """What of `arrivals`, which are those from the day `first` on, came too late to count.

    An outcome that says of its subject what one in time said is a repetition, whenever it comes, also where another one
    stands by then. Of predictions before `first` the arrivals in time are not at hand, so late ones cannot be told from
    repetitions. By entity an outcome is about the day of its own event, since nobody knows whose it was.
    """
    timely: set[tuple[Any, ...]] = set()
    overdue: dict[tuple[Any, ...], date] = {}
    for said in arrivals:
        what, day = (said.subject, said.outcome, said.amount), about(said)
        if day_of(said.received_at) <= day + horizon:
            timely.add(what)
        else:
            overdue[what] = day
    days = [day for what, day in overdue.items() if what not in timely]
    older = sum(day < first for day in days)
    return Overdue(len(days) - older, older)
